#!/usr/bin/python3
"""What a service manager sees of the daemon (sd_notify), and what the worker does not see of the service manager; what
`cmake --install` leaves, and what systemd says of the unit."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.dont_write_bytecode = True
from harness import PATIENCE, ROOT, ProgramTest, main  # noqa: E402

BUILD = pathlib.Path(os.environ.get("TS_BUILD", ROOT / "build/release"))
EXPOSURE_MAX = 1.5  # of 10, as `systemd-analyze security` counts
HERE = pathlib.Path(__file__).resolve().parent


class Manager:
    """The service manager's end: keeps every message, with the time it came."""

    def __init__(self, address):
        self.address = str(address)
        self.messages = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            try:
                text = self._socket.recv(65536).decode()
            except OSError:
                return
            self.messages.append((time.monotonic(), text.splitlines()))

    def lines(self):
        return [line for _, lines in self.messages for line in lines]

    def values(self, key):
        return [line.partition("=")[2] for line in self.lines() if line.startswith(key + "=")]

    def count(self, line):
        return self.lines().count(line)


class Notify(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def setUp(self):
        super().setUp()
        self.manager = Manager(self.folder / "manager.sock")
        self.environment["NOTIFY_SOCKET"] = self.manager.address
        self.configure(training={"episodes": 100000}, worker={"command": self.toy()})

    def told(self, line):
        self.until(lambda: line in self.manager.lines(), f"the message {line!r}, not among {self.manager.lines()[-20:]}")

    def test_ready_is_said_when_the_control_socket_serves(self):
        reached = []

        def watch():  # asks once, at the very moment
            while "READY=1" not in self.manager.lines():
                time.sleep(0.0005)
            reached.append(self.status())

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        self.supervise()
        watcher.join(60 * PATIENCE)
        self.assertTrue(reached and reached[0].get("state"), f"not served at READY=1: {reached}")
        self.in_state("running")
        self.assertEqual(self.manager.count("READY=1"), 1)

    def test_a_configuration_that_is_wrong_is_never_ready_and_ends_with_the_status_that_is_not_retried(self):
        self.configure(restart={"jitter": 7})
        self.supervise().ends(78)
        self.assertEqual(self.manager.messages, [])

    def test_the_status_is_the_line_that_supervisorctl_begins_with_and_follows_every_change(self):
        self.supervise()
        self.told("STATUS=running: attempt 1 is training")
        self.assertRegex(self.ctl("status").stdout, r"^running for \S+( \S+)?: attempt 1 is training\n")
        self.ctl("stop")
        self.until(lambda: self.manager.values("STATUS")[-1].startswith("stopped: worker "), "the status of the stop")
        self.assertEqual((self.manager.count("STOPPING=1"), self.manager.values("EXTEND_TIMEOUT_USEC")), (0, []),
                         "a stop of the worker is none of the daemon")
        self.ctl("start")
        self.told("STATUS=running: attempt 2 is training")

    def test_many_changes_are_few_messages_and_the_last_one_always_comes(self):
        self.configure(worker={"command": self.toy("--exit-code-at-episode", 1, 1)},
                       restart={"backoff_initial": "5ms", "backoff_max": "5ms", "max_attempts_without_progress": 30})
        began = time.monotonic()
        self.supervise()
        self.in_state("fatal")
        self.until(lambda: self.manager.values("STATUS")[-1].startswith("fatal: "), "the last status")
        self.assertGreater((self.folder / "logs/supervisor.log").read_text().count(" starting: "), 30)
        self.assertLessEqual(len(self.manager.values("STATUS")), 3 + (time.monotonic() - began))

    def test_nothing_of_a_worker_can_be_a_line_of_its_own(self):
        self.configure(worker={"command": ["/bin/sh", "-c", r"printf 'x\nMAINPID=1\n\377\033[2J%01500d' 7; exit 65"]},
                       supervisor={"heartbeat_timeout": "0s"})
        self.supervise()
        self.until(lambda: any(s.startswith("fatal: ") for s in self.manager.values("STATUS")), "the end of the worker")
        self.assertEqual({line.partition("=")[0] for line in self.manager.lines()}, {"READY", "STATUS"})
        self.assertLess(max(map(len, self.manager.lines())), 1100)

    def test_the_event_loop_feeds_the_watchdog_and_a_stopped_daemon_does_not(self):
        supervisor = self.supervise(WATCHDOG_USEC="200000")
        self.until(lambda: self.manager.count("WATCHDOG=1") > 10, "the watchdog to be fed")
        lines = self.manager.lines()
        self.assertLess(lines.index("READY=1"), lines.index("WATCHDOG=1"))
        supervisor.signal(signal.SIGSTOP)
        time.sleep(0.5)  # what was under way
        before = self.manager.count("WATCHDOG=1")
        time.sleep(2)
        self.assertEqual(self.manager.count("WATCHDOG=1"), before)
        supervisor.signal(signal.SIGCONT)
        self.until(lambda: self.manager.count("WATCHDOG=1") > before, "the watchdog to be fed again")

    def test_a_watchdog_of_another_process_is_not_fed(self):
        self.supervise(WATCHDOG_USEC="20000", WATCHDOG_PID="1")
        self.told("STATUS=running: attempt 1 is training")
        time.sleep(0.5)
        self.assertEqual(self.manager.count("WATCHDOG=1"), 0)

    def test_a_stop_is_announced_with_the_time_that_the_workers_save_may_take(self):
        self.configure(worker={"command": self.toy("--ignore-sigterm")}, supervisor={"stop_timeout": "2s"})
        supervisor = self.supervise()
        self.running_worker()
        self.assertEqual(self.manager.values("EXTEND_TIMEOUT_USEC"), [])
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assertEqual(self.manager.count("STOPPING=1"), 1)
        extensions = [(at, int(value)) for at, lines in self.manager.messages for line in lines
                      for key, _, value in [line.partition("=")] if key == "EXTEND_TIMEOUT_USEC"]
        self.assertGreaterEqual(len(extensions), 2, "once for SIGTERM's wait, once for SIGABRT's")
        # At no time would the manager have lost its patience before the worker's own limit.
        until = [at + value / 1e6 for at, value in extensions]
        self.assertEqual(until, sorted(until))
        self.assertGreater(until[0], extensions[0][0] + 2)
        self.assertGreater(until[0], extensions[1][0])
        self.assertTrue(self.manager.values("STATUS")[-1].startswith("stopped: "), self.manager.values("STATUS"))
        os.unlink(self.manager.address)
        self.assert_nothing_left(killed=True)

    def test_the_worker_sees_our_socket_and_nothing_of_the_service_manager(self):
        self.configure(worker={"command": [sys.executable, str(HERE / "foreign_worker.py")]})
        leaked = {"WATCHDOG_PID": "1", "LISTEN_PID": "1", "LISTEN_PIDFDID": "5", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b",
                  "FDSTORE": "7"}
        output = self.supervise("--exit-when-done", WATCHDOG_USEC="1000000", **leaked).ends(0)
        self.assertIn("Finished: 20/20 episodes", output)
        seen = self.read_json(self.folder / "seen.json")["environment"]
        self.assertEqual(seen["NOTIFY_SOCKET"], str(self.models / ".supervisor/notify.sock"))
        self.assertEqual(seen["WATCHDOG_USEC"], "30000000")
        self.assertEqual([name for name in leaked if name in seen], [])
        self.assertNotIn("X_TRAINER_EPISODE=5", self.manager.lines())

    def test_a_worker_that_does_not_beat_has_no_socket_at_all(self):
        self.configure(worker={"command": ["/bin/sh", "-c", "echo ${NOTIFY_SOCKET:-none} ${WATCHDOG_USEC:-none}"]},
                       supervisor={"heartbeat_timeout": "0s"})
        self.supervise("--exit-when-done", WATCHDOG_USEC="1000000").ends(0)
        self.assertEqual((self.folder / "logs/worker.log").read_text(encoding="utf-8"), "none none\n")

    def test_P9_a_manager_that_does_not_read_holds_nothing_up(self):
        address = self.folder / "deaf.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            deaf.bind(str(address))
            deaf.setblocking(False)
            supervisor = self.supervise(NOTIFY_SOCKET=str(address), WATCHDOG_USEC="4000")
            self.running_worker(beyond=300)
            self.assertEqual(self.ctl("stop").returncode, 0)
            # When it reads again it learns what is.
            said = []

            def hears():
                try:
                    while True:
                        said.append(deaf.recv(65536).decode())
                except BlockingIOError:
                    return any("STATUS=stopped: " in message for message in said)
            self.until(hears, "the newest status")
            self.assertIn("READY=1", said[0].splitlines() + said[1].splitlines() + said[2].splitlines())
            supervisor.signal(signal.SIGTERM)
            supervisor.ends(0)
        os.unlink(address)

    def test_a_manager_that_has_gone_is_no_reason_to_stop(self):
        supervisor = self.supervise(NOTIFY_SOCKET=str(self.folder / "nobody.sock"), WATCHDOG_USEC="20000")
        self.running_worker(beyond=50)
        supervisor.signal(signal.SIGINT)
        self.assertIn("To go on, start the service again.", supervisor.ends(0))


class Unit(unittest.TestCase):
    """The installed unit, as far as it can be judged without a running systemd (tests/system has one)."""

    def setUp(self):
        if not (BUILD / "cmake_install.cmake").exists():
            raise unittest.SkipTest(f"{BUILD} is no build directory")
        for program in ("trainer-supervisor", "supervisorctl"):
            if not (BUILD / "bin" / program).exists():
                raise unittest.SkipTest(f"{program} is not built")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ts-test-")).resolve()
        self.addCleanup(shutil.rmtree, self.folder)

    def install(self, prefix, destdir=None):
        environment = {name: value for name, value in os.environ.items() if name != "DESTDIR"}
        if destdir:
            environment["DESTDIR"] = str(destdir)
        subprocess.run(["cmake", "--install", str(BUILD), "--prefix", str(prefix)], env=environment, check=True,
                       capture_output=True)
        root = pathlib.Path(f"{destdir or ''}{prefix}")
        return root, root / "lib/systemd/system/trainer-supervisor.service"

    def analyze(self, *arguments):
        if not shutil.which("systemd-analyze"):
            raise unittest.SkipTest("systemd-analyze is not installed")
        return subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, check=False,
                              env={**os.environ, "LC_ALL": "C.UTF-8"})

    def exposure(self, unit):
        shown = self.analyze("security", "--offline=true", "--no-pager", unit)
        for line in shown.stdout.splitlines():
            if "Overall exposure level" in line:
                return float(line.partition(": ")[2].split()[0])
        return self.fail(shown.stdout + shown.stderr)

    def test_everything_is_installed_and_the_paths_in_it_are_right(self):
        root, unit = self.install("/usr", self.folder)
        text = unit.read_text(encoding="utf-8")
        self.assertIn("\nExecStart=/usr/bin/trainer-supervisor --config /etc/trainer-supervisor/config.yaml\n", text)
        self.assertIn("\nExecStopPost=/usr/libexec/trainer-supervisor/end-leftovers ", text)
        self.assertNotIn("@TS_", text)
        for manager in ("system", "user"):
            leftovers = (root / f"lib/systemd/{manager}/trainer-supervisor-leftovers@.service").read_text(encoding="utf-8")
            self.assertIn(f"/end-leftovers %i.service --without-daemon --{manager}\n", leftovers)
            self.assertNotIn("@TS_", leftovers)
        for name in ("bin/trainer-supervisor", "bin/supervisorctl", "libexec/trainer-supervisor/end-leftovers"):
            self.assertTrue(os.access(root / name, os.X_OK), name)
        documents = ("OPERATING.md", "README.md", "LICENSE", "config.yaml")
        for name in ("share/trainer-supervisor/sp500-daily.csv", "lib/sysusers.d/trainer-supervisor.conf",
                     *(f"share/doc/trainer-supervisor/{name}" for name in documents)):
            self.assertTrue((root / name).is_file(), name)
        config = self.folder / "etc/trainer-supervisor/config.yaml"
        checked = subprocess.run([str(root / "bin/supervisorctl"), "--config", str(config), "config", "check"],
                                 capture_output=True, text=True, check=False)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))
        self.assertIn("path: /usr/share/trainer-supervisor/sp500-daily.csv", config.read_text(encoding="utf-8"))

    def test_a_configuration_that_is_there_already_is_left_alone(self):
        config = self.folder / "etc/trainer-supervisor/config.yaml"
        config.parent.mkdir(parents=True)
        config.write_text("training: {episodes: 7}\n", encoding="utf-8")
        self.install("/usr", self.folder)
        self.assertEqual(config.read_text(encoding="utf-8"), "training: {episodes: 7}\n")

    def test_the_unit_exposes_little(self):
        _, unit = self.install("/usr", self.folder)
        self.assertLessEqual(self.exposure(unit), EXPOSURE_MAX)
        # Negative control: without one of its walls it would not pass.
        text = unit.read_text(encoding="utf-8").replace("CapabilityBoundingSet=\n", "").replace("PrivateDevices=yes\n", "")
        unit.write_text(text, encoding="utf-8")
        self.assertGreater(self.exposure(unit), EXPOSURE_MAX)

    def test_systemd_finds_nothing_wrong_with_the_unit(self):
        _, unit = self.install(self.folder / "opt")
        verified = self.analyze("verify", unit)
        self.assertEqual((verified.returncode, verified.stdout, verified.stderr), (0, "", ""))
        unit.write_text(unit.read_text(encoding="utf-8").replace("/bin/trainer-supervisor", "/bin/nobody"), encoding="utf-8")
        self.assertNotEqual(self.analyze("verify", unit).returncode, 0, "a program that is not there")

    def test_what_adoption_needs_is_not_taken_away(self):
        _, unit = self.install("/usr", self.folder)
        lines = unit.read_text(encoding="utf-8").splitlines()
        settings = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        self.assertEqual([settings[key] for key in ("KillMode", "Restart", "Type", "OOMPolicy", "StartLimitIntervalSec",
                                                    "RestartPreventExitStatus")],
                         ["process", "always", "notify", "continue", "0", "78"])
        for key in ("MemoryDenyWriteExecute", "ProcSubset", "PrivateUsers", "PrivateTmp", "RemoveIPC", "DynamicUser"):
            self.assertNotIn(key, settings)


if __name__ == "__main__":
    main()
