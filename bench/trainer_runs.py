"""The real trainer, supervised and alone, for bench/supervision.py.

Each run has a folder of its own with a configuration of absolute paths. Only one trainer runs at a time.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

from supervisors import read_stamps, until

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Before the checkpoint that recovery begins from, and after it before the kill.
EPISODES_BEFORE = 10
EPISODES_AFTER = 3
LOOK_S = 0.005
LONGEST_RUN_S = 3600


def bare_configuration(folder):
    return {"snapshots": {"enabled": False}, "checkpoints": {"directory": f"{folder}/models", "save_frequency": 1000000,
                                                             "save_interval": "0s", "save_best": False}}


class TrainerRuns:
    def __init__(self, scratch, programs, helpers, episodes):
        self.scratch = scratch
        self.programs = programs
        self.first_step = helpers / "libbench-first-step.so"
        self.episodes = episodes
        self.count = 0
        self.prepared = None

    # ---- pieces

    @contextlib.contextmanager
    def folder(self):
        self.count += 1
        folder = self.scratch / f"run-{self.count}"
        (folder / "logs").mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    def configure(self, folder, episodes, changes=None):
        config = {"training": {"episodes": episodes}, "data": {"path": str(ROOT / "data/sp500-daily.csv")},
                  "checkpoints": {"directory": f"{folder}/models"}, "logging": {"directory": f"{folder}/logs"}, **(changes or {})}
        file = folder / "config.yaml"
        file.write_text(json.dumps(config, indent=1), encoding="utf-8")  # JSON is YAML
        return file

    def spawn(self, folder, program, *arguments, **environment):
        """Pid and the moment before; posix_spawn, since subprocess takes its time over a start."""
        log = folder / "logs/worker.log" if program == "trainer" else folder / "supervisor.log"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
                   (os.POSIX_SPAWN_DUP2, 1, 2)]
        command = [str(self.programs / program), *map(str, arguments)]
        begun = time.monotonic_ns()
        return os.posix_spawn(command[0], command, {**os.environ, **environment}, file_actions=actions), begun

    @contextlib.contextmanager
    def running(self, pid, ask):
        """Whatever happens, it is gone afterwards: asked with a signal first."""
        try:
            yield
        finally:
            os.kill(pid, ask)
            os.waitpid(pid, 0)

    def status(self, config):
        done = subprocess.run([self.programs / "supervisorctl", "--config", config, "status", "--json"], capture_output=True,
                              text=True, check=False)
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            return {}  # not up yet

    # ---- recovery

    def prepare(self):
        """The checkpoint that every round begins from."""
        folder = self.scratch / "prepared"
        (folder / "logs").mkdir(parents=True)
        pid, _ = self.spawn(folder, "trainer", "--config", self.configure(folder, EPISODES_BEFORE))
        status = os.waitpid(pid, 0)[1]
        if status != 0:
            raise RuntimeError(f"The trainer ended with status {os.waitstatus_to_exitcode(status)}: "
                               f"{(folder / 'logs/worker.log').read_text(encoding='utf-8')}")
        self.prepared = folder / "models"

    def first_step_environment(self, folder):
        return {"LD_PRELOAD": str(self.first_step), "BENCH_STAMP": str(folder / "stamp")}

    def recovery(self):
        """Seconds from the SIGKILL of a trainer that is training to its successor's first step: noticing, putting the snapshot
        on disk, choosing, launching, loading."""
        with self.folder() as folder:
            shutil.copytree(self.prepared, folder / "models", ignore=shutil.ignore_patterns(".*"))
            config = self.configure(folder, 1000000, {"worker": {"environment": self.first_step_environment(folder)}})
            pid, _ = self.spawn(folder, "trainer-supervisor", "--config", config)
            with self.running(pid, signal.SIGTERM):
                until("supervised episodes", lambda: self.status(config).get("episode", 0) >= EPISODES_BEFORE + EPISODES_AFTER)
                worker = self.status(config)["worker"]["pid"]
                time.sleep(0.2)  # whoever was asked is done with answering
                killed = time.monotonic_ns()
                os.kill(worker, signal.SIGKILL)
                until("a first step after the kill", lambda: len(read_stamps(folder / "stamp")) > 1)
                return (read_stamps(folder / "stamp")[1][1] - killed) / 1e9

    def bare_start(self):
        """The same without a supervisor: from the launch of `trainer --resume latest` to its first step. It has somebody to
        tell of its steps."""
        with self.folder() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            shutil.copytree(self.prepared, folder / "models", ignore=shutil.ignore_patterns(".*"))
            config = self.configure(folder, 1000000)
            listener.bind(str(folder / "notify.sock"))
            pid, begun = self.spawn(folder, "trainer", "--config", config, "--resume", "latest",
                                    NOTIFY_SOCKET=str(folder / "notify.sock"), **self.first_step_environment(folder))
            with self.running(pid, signal.SIGKILL):
                until("a first step", lambda: read_stamps(folder / "stamp"))
                return (read_stamps(folder / "stamp")[0][1] - begun) / 1e9

    # ---- overhead

    def timed(self, folder, pid):
        """(episodes/s between the worker's first line and its last, processor seconds of all)."""
        log = folder / "logs/worker.log"
        begun = finished = None
        end = time.monotonic() + LONGEST_RUN_S
        while finished is None:
            text = log.read_text(encoding="utf-8") if log.exists() else ""
            if begun is None and "Starting training: " in text:
                begun = time.monotonic()
            if "Finished: " in text:
                finished = time.monotonic()
            if time.monotonic() > end or os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) and "Finished: " not in text:
                os.kill(pid, signal.SIGKILL)
                raise RuntimeError(f"a run of {self.episodes} episodes did not finish: {text[-500:]}")
            time.sleep(LOOK_S)
        _, status, usage = os.wait4(pid, 0)
        if status != 0:
            raise RuntimeError(f"a run ended with status {os.waitstatus_to_exitcode(status)}: {text[-500:]}")
        return self.episodes / (finished - begun), usage.ru_utime + usage.ru_stime

    def supervised_run(self):
        with self.folder() as folder:
            config = self.configure(folder, self.episodes)
            return self.timed(folder, self.spawn(folder, "trainer-supervisor", "--config", config, "--exit-when-done")[0])

    def bare_run(self):
        with self.folder() as folder:
            config = self.configure(folder, self.episodes, bare_configuration(folder))
            return self.timed(folder, self.spawn(folder, "trainer", "--config", config)[0])
