"""Ours and the supervisors one would otherwise use, each with its fastest sensible settings around the same worker.

Each is started in a folder of its own, as a process of this harness or (systemd) in a container, and stopped the way its
manual says; nothing is installed, and nothing is ended that was not started here. One that is not there says so by raising
NotHere.
"""

import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import unittest

PATIENCE_S = 60


class NotHere(Exception):
    """Why there is no line for this one."""


def boot():
    """The tests' own systemd in a container. By its path: there is a machine.py beside this one too."""
    path = pathlib.Path(__file__).resolve().parents[1] / "tests/system/machine.py"
    spec = importlib.util.spec_from_file_location("systemd_machine", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        return module.Machine()
    except unittest.SkipTest as reason:
        raise NotHere(str(reason)) from reason


def require(program):
    found = shutil.which(program)
    if not found:
        raise NotHere(f"{program} is not installed")
    return found


def until(what, condition):
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {PATIENCE_S} s")
        time.sleep(0.01)
    return found


def read_stamps(file):
    """(pid, nanoseconds) of each start so far."""
    try:
        return [tuple(map(int, line.split())) for line in file.read_text(encoding="ascii").splitlines()]
    except FileNotFoundError:
        return []


class Supervisor:
    """Started when made. `pid` is the daemon's."""

    name = ""
    pace = ""  # how fast it restarts at most: the kills are spaced so that it does not show

    def __init__(self, folder, worker):
        folder.mkdir()
        self.folder = folder
        self.worker = worker
        self.stamp = folder / "stamp"
        self.process = None
        self.pid = 0
        try:
            self.start()
            self.pid = self.pid or self.process.pid
            self.await_worker()
        except BaseException:
            self.stop()
            raise

    def start(self):
        raise NotImplementedError

    def spawn(self, *command, **environment):
        with open(self.folder / "said.log", "ab") as log:
            self.process = subprocess.Popen([str(word) for word in command], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env={**os.environ, "BENCH_STAMP": str(self.stamp), **environment})

    def file(self, name, text, mode=0o644):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    def link_run(self):
        """The service folder's `run` is the worker itself: no shell on the way."""
        (self.folder / "run").symlink_to(self.worker)

    def await_worker(self):
        def there():
            if self.process and self.process.poll():
                said = (self.folder / "said.log").read_text(encoding="utf-8", errors="replace").strip()
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {said}")
            return read_stamps(self.stamp)

        until(f"{self.name}: a first worker", there)

    def worker_pid(self):
        return read_stamps(self.stamp)[-1][0]

    def kill_worker(self):
        """Seconds from SIGKILL to the successor's main(); the harness only looks now and then, the stamps are exact."""
        before = len(read_stamps(self.stamp))
        pid = self.worker_pid()
        killed = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        until(f"{self.name}: a successor", lambda: len(read_stamps(self.stamp)) > before)
        return (read_stamps(self.stamp)[before][1] - killed) / 1e9

    def end(self):
        """Asks the daemon to stop the worker and to leave."""
        self.process.terminate()

    def stop(self):
        if not self.process:
            return
        if self.process.poll() is None:
            self.end()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.end_worker()

    def end_worker(self):
        """Whoever left its worker behind (monit does, by design; a daemon that had to be killed may)."""
        for pid, _ in read_stamps(self.stamp)[-1:]:
            try:
                if os.path.samefile(f"/proc/{pid}/exe", self.worker):
                    os.kill(pid, signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError):
                pass


class Ours(Supervisor):
    name = "ours"
    pace = "none with backoff_initial 0s"
    programs = None  # set by the harness
    beat_ms = 0

    def start(self):
        # A worker that never speaks: silence is no reason, and neither is standing still. It never makes progress either, so
        # the waits between launches and their number are lifted.
        timeout = "30s" if self.beat_ms else "0s"
        config = {
            "worker": {"command": [str(self.worker)]},
            "checkpoints": {"directory": str(self.folder / "models")},
            "supervisor": {"startup_timeout": "24h", "heartbeat_timeout": timeout, "progress_timeout": "0s"},
            "restart": {"backoff_initial": "0s", "backoff_max": "0s", "jitter": 0, "max_attempts_without_progress": 1000000},
            "logging": {"directory": str(self.folder / "logs")},
        }
        # JSON is YAML.
        self.config = self.file("config.yaml", json.dumps(config, indent=1))
        beats = {"BENCH_BEAT_MS": str(self.beat_ms)} if self.beat_ms else {}
        self.spawn(self.programs / "trainer-supervisor", "--config", self.config, **beats)

    def control(self, *words):
        return subprocess.run([self.programs / "supervisorctl", "--config", self.config, *words], capture_output=True, text=True,
                              check=True, timeout=PATIENCE_S).stdout


class OursBeating(Ours):
    beat_ms = 1000


class OursStopped(Ours):
    def start(self):
        super().start()
        self.await_worker()
        self.control("stop")


class Runsv(Supervisor):
    name = "runsv"
    pace = "1 s after a worker that lived less than 1 s"

    def start(self):
        self.link_run()
        self.spawn(require("runsv"), self.folder)


class S6(Supervisor):
    name = "s6-supervise"
    pace = "1 s between starts, unless the worker says that it is ready (it does)"

    def start(self):
        self.link_run()
        self.file("notification-fd", "3\n")
        self.spawn(require("s6-supervise"), self.folder, BENCH_READY_FD="3")


class Daemontools(Supervisor):
    name = "daemontools supervise"
    pace = "1 s between starts"

    def start(self):
        self.link_run()
        self.spawn(require("supervise"), self.folder)

    def end(self):
        subprocess.run([require("svc"), "-dx", str(self.folder)], check=True)


class Supervisord(Supervisor):
    name = "supervisord"
    pace = "looks once a second; startsecs=0"

    def start(self):
        program = require("supervisord")
        config = self.file("supervisord.conf", f"""[supervisord]
nodaemon=true
pidfile={self.folder}/supervisord.pid
logfile={self.folder}/supervisord.log
childlogdir={self.folder}
[program:worker]
command={self.worker}
autorestart=true
startsecs=0
""")
        self.spawn(program, "--configuration", config)


class Monit(Supervisor):
    name = "monit"
    pace = "looks once a second at most (set daemon 1)"

    def start(self):
        program = require("monit")
        pidfile = self.folder / "worker.pid"
        # monit gives no environment, and waits for what it started to detach.
        launch = f"/bin/sh -c 'BENCH_STAMP={self.stamp} BENCH_PIDFILE={pidfile} {self.worker} &'"
        config = self.file("monitrc", f"""set daemon 1
set idfile {self.folder}/id
set statefile {self.folder}/state
set pidfile {self.folder}/monit.pid
check process worker with pidfile {pidfile}
  start program = "{launch}"
""", 0o600)
        self.spawn(program, "-I", "-c", config)


class Pm2(Supervisor):
    name = "pm2"
    pace = "gives up after 16 workers that lived less than 1 s each"

    def start(self):
        self.pm2 = require("pm2")
        self.command("start", self.worker, "--name", "worker", "--interpreter", "none", "--restart-delay", "0")
        self.pid = int((self.folder / "pm2.pid").read_text(encoding="ascii"))

    def command(self, *words):
        self.spawn(self.pm2, *words, PM2_HOME=str(self.folder))
        if self.process.wait(PATIENCE_S) != 0:
            raise NotHere(f"pm2 {words[0]} ended with {self.process.returncode}")

    def stop(self):
        if self.process and (self.folder / "pm2.pid").exists():
            self.command("kill")


class Systemd(Supervisor):
    name = "systemd"
    pace = "none with RestartSec=0, StartLimitIntervalSec=0"

    def start(self):
        self.machine = boot()
        self.stamp = self.machine.root / "var/lib/bench-stamp"
        shutil.copy(self.worker, self.machine.root / "usr/bin/bench-worker")
        (self.machine.root / "etc/systemd/system/bench.service").write_text("""[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/usr/bin/bench-worker
Environment=BENCH_STAMP=/var/lib/bench-stamp
Restart=always
RestartSec=0
""", encoding="utf-8")
        self.machine.run("systemctl", "daemon-reload")
        self.machine.run("systemctl", "start", "bench")
        self.pid = self.machine.init

    def worker_pid(self):
        """The stamp has the number in the container: the one out here is a child of its init with that as its last."""
        inside = str(super().worker_pid())
        for child in pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii").split():
            status = pathlib.Path(f"/proc/{child}/status").read_text(encoding="utf-8")
            if any(line.split()[0] == "NSpid:" and line.split()[-1] == inside for line in status.splitlines()):
                return int(child)
        raise RuntimeError(f"the container has no process {inside}")

    def stop(self):
        if hasattr(self, "machine"):
            self.machine.close()


PEERS = [Runsv, S6, Daemontools, Systemd, Supervisord, Pm2, Monit]
