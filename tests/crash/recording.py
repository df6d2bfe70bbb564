"""Runs the toy trainer under strace through a whole life: a first run, deaths in the middle of saves, a resume, a step
back, a fresh start. The result is one list of operations."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import unittest
from typing import NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from harness import ProgramTest  # noqa: E402
from operations import Operation, operations_of  # noqa: E402
from strace_log import OPTIONS, parse  # noqa: E402

MAX_KEEP = 3


class Run(NamedTuple):
    label: str
    arguments: tuple
    episodes: int
    run_id: str = "run-1"
    seed: int = 1
    killed_in: str = ""    # the n-th call of a kind, as strace is told
    back_to: int = None    # this run steps back: its target, -1 for a fresh start


# Another number of steps or another seed, so that no two histories have equal contents.
LIFE = (
    Run("first run", (), 10),
    Run("killed before the best archive has its name", ("--auto-resume",), 40, killed_in="renameat:signal=KILL:when=2"),
    Run("killed before the best sidecar has its name", ("--auto-resume",), 40, killed_in="renameat:signal=KILL:when=3"),
    Run("killed before a sidecar has its name", ("--auto-resume",), 40, killed_in="renameat2:signal=KILL:when=2"),
    Run("resumed", ("--auto-resume",), 18),
    Run("back to episode 14", ("--resume", "ep14", "--steps", "6"), 20, back_to=14),
    Run("back to episode 16", ("--resume", "ep16", "--steps", "7"), 20, back_to=16),
    Run("fresh start", ("--fresh",), 8, run_id="run-2", seed=2, back_to=-1),
)

FOREIGN = {"models/notes.txt": b"mine", "models/model_ep7.pt.bak": b"mine too", "models/model_ep007.pt": b"no number",
           "models/best_model.pt.old": b"an old one"}


def require_strace():
    strace = shutil.which("strace")
    if not strace:
        raise unittest.SkipTest("strace is not installed")
    tried = subprocess.run([strace, "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        raise unittest.SkipTest(f"strace may not trace here: {tried.stderr.strip()[-200:]}")
    return strace


class RecordingTest(ProgramTest):
    needs = ("toy_trainer", "recover_states")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.strace = require_strace()

    def setUp(self):
        super().setUp()
        self.world = self.folder / "world"
        self.world.mkdir()
        self.models = self.world / "models"
        self.notify = self.listen()

    def listen(self):
        """The socket for what the trainer says. Somebody has to read it: a full one makes the trainer drop messages."""
        path = self.folder / "notify.sock"
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.bind(str(path))
        receiver.settimeout(0.2)
        ended = threading.Event()

        def drain():
            while not ended.is_set():
                try:
                    receiver.recv(1 << 16)
                except TimeoutError:
                    pass

        thread = threading.Thread(target=drain)
        thread.start()
        self.addCleanup(receiver.close)
        self.addCleanup(thread.join)
        self.addCleanup(ended.set)
        return path

    def snapshot(self):
        """The real folder, as Disk.live_tree has it."""
        return {str(path.relative_to(self.world)): path.read_bytes() if path.is_file() else None
                for path in self.world.rglob("*") if path.name != ".lock"}

    def trace(self, run):
        """One run of the trainer; the operations it performed."""
        self.configure(training={"episodes": run.episodes, "seed": run.seed},
                       checkpoints={"directory": str(self.models), "save_frequency": 2, "max_keep": MAX_KEEP,
                                    "save_interval": "0s"})
        log = self.folder / "strace.txt"
        killing = ("-e", "inject=" + run.killed_in) if run.killed_in else ()
        traced = self.start(self.strace, *OPTIONS, *killing, "-o", log,
                            # Episodes longer than a traced save: every one that is due is made.
                            self.program("toy_trainer"), "--config", self.config_file, "--step-ms", "10", *run.arguments,
                            NOTIFY_SOCKET=str(self.notify), TRAINER_RUN_ID=run.run_id,
                            # The leak checker is a debugger itself, and there can be only one.
                            ASAN_OPTIONS="detect_leaks=0")
        traced.ends(-signal.SIGKILL if run.killed_in else 0)
        return operations_of(parse(log.read_text(encoding="ascii")), self.world)

    def record(self):
        """All of LIFE. Calls of later runs are later: their numbers go on."""
        life, shift = [], 1
        for number, run in enumerate(LIFE):
            life.append(Operation("run", run=run, begun=shift, ended=shift))
            performed = self.trace(run)
            life += [step._replace(begun=step.begun + shift, ended=step.ended + shift,
                                   handle=step.handle + number * 1_000_000) for step in performed]
            shift = max(step.ended for step in life) + 1
            life.append(Operation("check", run=self.snapshot(), begun=shift, ended=shift))
            if number == 0:
                for name, content in FOREIGN.items():
                    (self.world / name).write_bytes(content)
                    life.append(Operation("plant", name, data=content, begun=shift, ended=shift))
        return life
