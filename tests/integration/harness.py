"""What the integration tests share: a folder with a configuration, the real programs in it, and patience.

Every test gets a folder of its own below the system's temporary directory. Whatever is started there carries that
folder in its environment (TS_TEST_FOLDER) and so do its children, so all of it, and nothing else, is found and ended by
process id when the test is over. Waiting is polling with a generous deadline; nothing here asserts how fast a thing is.

Environment: TS_BIN (where the programs are), TS_PATIENCE (multiplies every deadline; sanitizers are slow).
"""

import ctypes
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("TS_BIN", ROOT / "build/release/bin"))
PATIENCE = float(os.environ.get("TS_PATIENCE", "1"))
DEADLINE_S = 60
POLL_S = 0.01
MARK = "TS_TEST_FOLDER"
DATA = ROOT / "data/sp500-daily.csv"

# A training of a few seconds for 300 episodes, each longer than a save usually takes, and limits that no healthy worker comes near.
TINY = {
    "training": {"episodes": 300, "seed": 7},
    "data": {"path": str(DATA)},
    "trading": {"episode_length": 80, "window": 5},
    "dqn": {"hidden": [8], "batch_size": 8, "learning_rate": 0.0005, "learn_start": 50, "replay_capacity": 500,
            "learn_every": 4, "target_update": 100, "epsilon_decay_steps": 2000},
    "restart": {"backoff_initial": "50ms", "backoff_max": "400ms"},
}

# What no user may ever see: a crash's last words, a sanitizer's, an exception's.
NEVER_SAID = re.compile(r"terminate called|what\(\): |Sanitizer|runtime error: |Assertion .* failed|core dumped"
                        r"|Traceback \(most recent|c10::Error|\nframe #|stack trace|internal error", re.IGNORECASE)
TEMPORARY = re.compile(r"\.tmp($|-)")
PR_SET_CHILD_SUBREAPER = 36


def merged(base, more):
    out = dict(base)
    for key, value in more.items():
        out[key] = merged(out.get(key, {}), value) if isinstance(value, dict) else value
    return out


def alive(pid):
    """Whether a process is there. A zombie is not, unless other threads of it have yet to end: they hold its locks."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    state = text.rpartition(")")[2].split()[0]
    try:
        return state not in "ZX" or len(os.listdir(f"/proc/{pid}/task")) > 1
    except OSError:
        return False


def free_port():
    """A TCP port on loopback that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self._path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self._path)


class Process:
    """A program in a session of its own, its output in a file."""

    def __init__(self, test, arguments, environment, name):
        self.test = test
        self.file = test.folder / f"{name}.out"
        with open(self.file, "ab") as out:
            self.popen = subprocess.Popen([str(a) for a in arguments], cwd=test.folder, env=environment, stdout=out,
                                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
        self.pid = self.popen.pid

    def output(self):
        return self.file.read_text(encoding="utf-8", errors="replace")

    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        self.popen.send_signal(number)

    def says(self, text, seconds=DEADLINE_S):
        """Waits for the text (or pattern) in the output."""
        found = text.search if isinstance(text, re.Pattern) else lambda said: text in said
        self.test.until(lambda: found(self.output()) or not self.running(), f"{text!r}", seconds)
        self.test.assertTrue(found(self.output()), f"it ended without saying {text!r}")

    def ends(self, *statuses, seconds=DEADLINE_S):
        """Waits for the end, with one of these exit statuses (-N: by signal N). Returns the output."""
        self.test.until(lambda: not self.running(), f"the end of process {self.pid}", seconds)
        self.test.assertIn(self.popen.returncode, statuses, "unexpected exit status")
        return self.output()


class ProgramTest(unittest.TestCase):
    needs = ("trainer-supervisor", "supervisorctl")
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        for program in cls.needs:
            if not (BIN / program).exists():
                raise unittest.SkipTest(f"{program} is not built")
        # Orphans become ours instead of init's, so that none stays a zombie where init does not reap.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def setUp(self):
        self.popens = []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ts-test-")).resolve()
        self.models = self.folder / "models"
        self.config_file = self.folder / "config.yaml"
        self.environment = {**os.environ, MARK: str(self.folder), "LC_ALL": "C.UTF-8"}
        for name in ("NOTIFY_SOCKET", "TRAINER_RUN_ID", "TRAINER_ATTEMPT", "TRAINER_STATE_DIRECTORY", "TRAINER_SUPERVISOR_SOCKET"):
            self.environment.pop(name, None)
        self.config = TINY
        self._started = 0
        self.addCleanup(self._clean_up)
        self.configure()

    def _clean_up(self):
        try:
            self.kill_everything()
            for popen in self.popens:
                popen.wait(10)
            if not self._test_has_failed():
                self._check_what_was_said()
            else:
                self._show()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _test_has_failed(self):
        result = self._outcome.result  # private to unittest, and the only way there is
        return any(test is self for test, _ in result.failures + result.errors)

    def logs(self):
        return [path for path in sorted(self.folder.rglob("*")) if re.search(r"\.(out|log)(\.\d+)?$", path.name)]

    def _check_what_was_said(self):
        for path in self.logs():
            text = path.read_text(encoding="utf-8", errors="replace")
            found = NEVER_SAID.search(text)
            self.assertIsNone(found, f"{path.name}: {text[max(0, found.start() - 500):][:2000] if found else ''}")

    def _show(self):
        for path in self.logs():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            print(f"--- {path.relative_to(self.folder)}, the end of {len(lines)} lines", *lines[-40:], sep="\n    ",
                  file=sys.stderr)

    # ---- processes

    def ours(self):
        """Process ids of everything that runs and was started by this test, directly or not."""
        mark = f"{MARK}={self.folder}".encode() + b"\0"
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            try:
                environment = pathlib.Path(f"/proc/{entry}/environ").read_bytes()
            except OSError:
                continue
            if mark in environment + b"\0" and alive(int(entry)):
                found.append(int(entry))
        return found

    def kill_everything(self):
        """As a power cut would: nobody gets to react to anybody's death."""
        until = time.monotonic() + 20 * PATIENCE
        pids = self.ours()
        while pids and time.monotonic() < until:
            stopped = set()  # before any is killed, whatever they started meanwhile is stopped too
            while new := set(pids) - stopped:
                self._signal(new, signal.SIGSTOP)
                stopped |= new
                pids = self.ours()
            self._signal(stopped, signal.SIGKILL)
            self.reap()
            time.sleep(POLL_S)
            pids = self.ours()
        self.assertEqual(pids, [], "these processes cannot be ended")

    @staticmethod
    def _signal(pids, number):
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def reap(self):
        """Takes the orphans that have ended; the processes started here are left to their Popen."""
        for path in pathlib.Path(f"/proc/{os.getpid()}/task/{os.getpid()}").glob("children"):
            for word in path.read_text(encoding="ascii").split():
                if all(int(word) != popen.pid for popen in self.popens):
                    try:
                        os.waitpid(int(word), os.WNOHANG)
                    except ChildProcessError:
                        pass

    @staticmethod
    def held(pid):
        """What a process holds: descriptors by what they are, threads, children."""
        proc = pathlib.Path(f"/proc/{pid}")
        kinds = []
        for entry in os.listdir(proc / "fd"):
            try:
                kinds.append(os.readlink(proc / "fd" / entry).split("[")[0])
            except OSError:
                pass
        children = (proc / f"task/{pid}/children").read_text(encoding="ascii").split()
        return sorted(kinds), len(os.listdir(proc / "task")), len(children)

    @staticmethod
    def program(name):
        return BIN / name

    def start(self, program, *arguments, **environment):
        self._started += 1
        path = program if "/" in str(program) else BIN / program
        name = f"{self._started}-{pathlib.Path(program).name}"
        process = Process(self, [path, *arguments], {**self.environment, **environment}, name)
        self.popens.append(process.popen)
        return process

    def run_program(self, program, *arguments, **environment):
        """Runs a short-lived program to its end."""
        return subprocess.run([str(BIN / program), *map(str, arguments)], cwd=self.folder, text=True, timeout=120 * PATIENCE,
                              env={**self.environment, **environment}, stdin=subprocess.DEVNULL, capture_output=True,
                              check=False)

    def supervise(self, *arguments, **environment):
        return self.start("trainer-supervisor", "--config", self.config_file, *arguments, **environment)

    def train(self, *arguments, **environment):
        return self.start("trainer", "--config", self.config_file, *arguments, **environment)

    def ctl(self, *arguments):
        return self.run_program("supervisorctl", "--config", self.config_file, *arguments)

    def until(self, holds, what, seconds=DEADLINE_S):
        """Waits until the condition holds and returns what it returned."""
        end = time.monotonic() + seconds * PATIENCE
        while True:
            value = holds()
            if value:
                return value
            if time.monotonic() > end:
                self.fail(f"waited {seconds * PATIENCE:.0f} s in vain for {what}; status: {self.status()}")
            time.sleep(POLL_S)

    # ---- the supervisor's state

    def configure(self, **sections):
        """Writes the configuration: TINY, what was configured before, and these. JSON is YAML too."""
        self.config = merged(self.config, sections)
        self.config_file.write_text(json.dumps(self.config), encoding="utf-8")

    def toy(self, *options):
        """A worker.command for the configuration: the toy instead of the trainer."""
        return [str(BIN / "toy_trainer"), "--config", "{config}", *map(str, options)]

    def state_folder(self):
        configured = self.config.get("supervisor", {}).get("state_directory")
        return self.folder / configured if configured else self.models / ".supervisor"

    def request(self, method, target, body=None):
        connection = Connection(self.state_folder() / "control.sock")
        try:
            connection.request(method, target, body)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def status(self):
        """The status document, {} while nobody answers."""
        try:
            return self.request("GET", "/v1/status")[1]
        except (OSError, http.client.HTTPException):
            return {}

    def in_state(self, *states, seconds=DEADLINE_S, **more):
        """Waits for one of the states, and for the members of the status that are given."""
        def there():
            status = self.status()
            return status if status.get("state") in states and more.items() <= status.items() else None
        return self.until(there, f"state {' or '.join(states)} {more or ''}", seconds)

    def worker(self):
        return (self.status().get("worker") or {}).get("pid", 0)

    def running_worker(self, beyond=0, other_than=0):
        """Waits for a worker that trains and has completed an episode beyond this one. Returns its process id."""
        def there():
            status = self.status()
            pid = (status.get("worker") or {}).get("pid", 0)
            good = status.get("state") == "running" and status["episode"] > beyond and pid != other_than
            return pid if good else None
        return self.until(there, f"a worker beyond episode {beyond}")

    def incident(self, attempt):
        """Waits for the report on the end of this attempt, complete with what its successor resumed from."""
        def there():
            for path in self.state_folder().glob(f"incidents/*-attempt{attempt}-*/report.json"):
                report = self.read_json(path)
                if report["resumed_from"] is not None:
                    return {**report, "folder": path.parent}
            return None
        return self.until(there, f"the report on the end of attempt {attempt}")

    # ---- the models directory

    def names(self, folder=None):
        """What `ls` shows there, folders left out."""
        return sorted(p.name for p in (folder or self.models).glob("*") if p.is_file() and not p.name.startswith("."))

    def episodes(self, folder=None):
        """Episodes whose pair is committed, ascending."""
        folder = folder or self.models
        found = [int(m[1]) for p in folder.glob("model_ep*.json") if (m := re.fullmatch(r"model_ep(\d+)\.json", p.name))]
        return sorted(n for n in found if (folder / f"model_ep{n}.pt").exists())

    def pair(self, episode):
        return self.models / f"model_ep{episode}.pt", self.models / f"model_ep{episode}.json"

    @staticmethod
    def read_json(path):
        return json.loads(path.read_text(encoding="utf-8"))

    def sidecar(self, name):
        return self.read_json(self.models / f"{name}.json")

    def digests(self):
        return {n: self.sidecar(f"model_ep{n}")["digest"] for n in self.episodes()}

    def saved(self, episode, seconds=DEADLINE_S):
        """Waits until the checkpoint of this episode, or a later one, is committed. Returns the newest."""
        return self.until(lambda: max((n for n in self.episodes() if n >= episode), default=0),
                          f"a checkpoint of episode {episode}", seconds)

    def contents(self, folder=None):
        """Every file with its bytes, to compare before and after; the programs' own and half-written ones left out."""
        folder = folder or self.models
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*"))
                if p.is_file() and ".supervisor" not in p.parts and not p.name.startswith(".")}

    def set_aside(self, kind):
        """Names of the files under models/superseded or models/quarantine."""
        return sorted(p.name for p in (self.models / kind).rglob("*") if p.is_file())

    def assert_nothing_left(self, killed=False):
        """After an orderly end: no process, no socket, no temporary file. One that was killed may have been saving: what
        it leaves half-written is swept at the next start."""
        self.until(lambda: not self.ours(), "the end of every process", 20)
        left = [str(p.relative_to(self.folder)) for p in self.folder.rglob("*")
                if p.is_socket() or (TEMPORARY.search(p.name) and not killed)]
        self.assertEqual(left, [])


def main():
    """unittest.main() with ctest's way of saying that something was skipped: status 77 and a line for each reason."""
    result = unittest.main(module="__main__", exit=False, verbosity=2).result
    for reason in sorted({reason for _, reason in result.skipped}):
        print(f"SKIPPED: {reason}")
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.skipped else 0)
