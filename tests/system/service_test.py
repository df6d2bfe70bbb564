#!/usr/bin/python3
"""The service under a real systemd: what the unit's settings are for, tried (P4, P6, P8, P10)."""

import ctypes
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from harness import BIN, ROOT, main  # noqa: E402
from machine import PATIENCE, Machine  # noqa: E402

BUILD = pathlib.Path(os.environ.get("TS_BUILD", ROOT / "build/release"))
UNIT = "trainer-supervisor"
USER = "trainer-supervisor"
TOY = ("/usr/bin/toy_trainer", "--config", "{config}")
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000  # __WALL of waitpid(2): also for whom we only trace


class Service(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for program in ("trainer-supervisor", "supervisorctl", "toy_trainer"):
            if not (BIN / program).exists():
                raise unittest.SkipTest(f"{program} is not built")
        cls.machine = Machine()
        cls.addClassCleanup(cls.machine.close)
        subprocess.run(["cmake", "--install", str(BUILD), "--prefix", "/usr"], check=True, capture_output=True,
                       env={**os.environ, "DESTDIR": str(cls.machine.root)})
        shutil.copy(BIN / "toy_trainer", cls.machine.root / "usr/bin/toy_trainer")
        cls.machine.run("systemd-sysusers")
        cls.machine.run("systemctl", "daemon-reload")
        cls.config_file = cls.machine.root / "etc/trainer-supervisor/config.yaml"
        cls.as_installed = cls.config_file.read_text(encoding="utf-8")

    def setUp(self):
        self.run_inside = self.machine.run
        self.models = self.machine.root / "var/lib/trainer-supervisor/models"
        self.configure()
        self.addCleanup(self._reset)

    def _reset(self):
        if any(test is self for test, _ in self._outcome.result.failures + self._outcome.result.errors):
            print(self.journal(), file=sys.stderr)
        self.run_inside("systemctl", "stop", UNIT, check=False)
        self.run_inside("systemctl", "kill", "-s", "KILL", "--kill-whom=all", UNIT, check=False)
        self.until(lambda: not self.processes(), "the end of every process")
        self.run_inside("systemctl", "reset-failed", UNIT, check=False)
        for folder in (self.models, self.machine.root / "var/log/trainer-supervisor"):
            shutil.rmtree(folder, ignore_errors=True)

    # ---- helpers

    def configure(self, command=TOY, checkpoints="save_frequency: 10", episodes=1000000, restart="{}"):
        """The configuration as it is installed, with another worker."""
        text = self.as_installed.replace("\nsupervisor:\n", "\nsupervisor:\n  heartbeat_interval: 200ms\n  stop_timeout: 3s\n")
        text = text.replace("\ncheckpoints:\n", f"\ncheckpoints:\n  {checkpoints}\n")
        text += f"training: {{episodes: {episodes}}}\nworker: {{command: {json.dumps(list(command))}}}\nrestart: {restart}\n"
        self.config_file.write_text(text, encoding="utf-8")

    def with_settings(self, *lines):
        """A drop-in for the unit. Written from inside: /run there is its own."""
        folder = f"/run/systemd/system/{UNIT}.service.d"
        self.run_inside("mkdir", "-p", folder)
        self.run_inside("sh", "-c", f"printf '%s\\n' '[Service]' \"$@\" >{folder}/test.conf", "sh", *lines)
        self.run_inside("systemctl", "daemon-reload")
        self.addCleanup(lambda: (self.run_inside("rm", "-rf", folder), self.run_inside("systemctl", "daemon-reload")))

    def journal(self):
        return self.run_inside("journalctl", "-u", UNIT, "--no-pager", "-n", "60", check=False).stdout

    def show(self, name):
        return self.run_inside("systemctl", "show", "-P", name, UNIT).stdout.strip()

    def processes(self):
        """Names of everything that runs as the service's user, by process id inside."""
        shown = self.run_inside("ps", "-u", USER, "-o", "pid=,stat=,comm=", check=False).stdout
        rows = [line.split(None, 2) for line in shown.splitlines()]
        return {int(pid): name for pid, state, name in rows if not state.startswith("Z")}

    def status(self):
        shown = self.run_inside("supervisorctl", "status", "--json", check=False).stdout
        return json.loads(shown) if shown.startswith("{") else {}

    def until(self, holds, what, seconds=60):
        end = time.monotonic() + seconds * PATIENCE
        while True:
            value = holds()
            if value:
                return value
            if time.monotonic() > end:
                self.fail(f"waited in vain for {what}; status: {self.status()}")
            time.sleep(0.05)

    def start(self):
        self.run_inside("systemctl", "start", UNIT)
        return self.training()

    def training(self, beyond=3):
        """Waits for a worker that trains. Returns its process id."""
        def there():
            status = self.status()
            return status["worker"]["pid"] if status.get("state") == "running" and status["episode"] > beyond else 0
        return self.until(there, "a worker that trains")

    def kill_daemon(self, number="KILL"):
        self.run_inside("systemctl", "kill", "-s", number, "--kill-whom=main", UNIT)

    def stop(self):
        self.run_inside("systemctl", "stop", UNIT)

    def newest(self):
        files = sorted(self.models.glob("model_ep*.json"), key=lambda p: int(p.stem.removeprefix("model_ep")))
        return json.loads(files[-1].read_text(encoding="utf-8"))

    def freeze_daemon(self):
        """Stops it so that no signal but SIGKILL moves it, as one that hangs in the kernel. Returns its process id out
        here."""
        inside = self.show("MainPID")
        namespace = os.stat(f"/proc/{self.machine.init}/ns/pid").st_ino
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                numbers = re.search(r"^NSpid:(.*)$", (folder / "status").read_text(encoding="utf-8"), re.MULTILINE)[1].split()
                if numbers[-1] == inside and os.stat(folder / "ns/pid").st_ino == namespace:
                    found.append(int(folder.name))
            except OSError:  # it has just ended
                pass
        self.assertEqual(len(found), 1)
        libc = ctypes.CDLL(None, use_errno=True)
        for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
            self.assertEqual(libc.ptrace(request, found[0], None, None), 0, os.strerror(ctypes.get_errno()))
        return found[0]

    # ---- promises

    def test_it_is_up_when_systemctl_says_so_and_the_unit_is_in_order(self):
        self.run_inside("systemctl", "start", UNIT)
        self.assertEqual((self.show("ActiveState"), self.show("SubState")), ("active", "running"))
        self.assertTrue(self.status(), "started, and the control socket does not answer")
        self.training()
        self.until(lambda: self.show("StatusText") == "running: attempt 1 is training", "the status")
        verified = self.run_inside("systemd-analyze", "verify", f"{UNIT}.service", f"{UNIT}-leftovers@{UNIT}.service")
        self.assertEqual(verified.stdout + verified.stderr, "")
        for folder in ("var/lib", "var/log"):
            self.assertEqual((self.machine.root / folder / UNIT).stat().st_mode & 0o7777, 0o750)

    def entries(self, *matches):
        """What the journal has of the daemon's events, oldest first."""
        shown = self.run_inside("journalctl", "-u", UNIT, "-o", "json", "--no-pager", *matches).stdout
        return [json.loads(line) for line in shown.splitlines()]

    def test_P11_the_journal_has_priorities_and_fields(self):
        worker = self.start()
        run = self.status()["run_id"]
        self.run_inside("kill", "-KILL", str(worker))
        self.until(lambda: self.status().get("attempt") == 2, "the next attempt")
        of_run = f"TRAINER_RUN_ID={run}"
        (incident,) = self.until(lambda: self.entries("TRAINER_EVENT=incident", of_run), "the incident in the journal")
        self.assertEqual([incident[name] for name in ("PRIORITY", "TRAINER_CAUSE", "SYSLOG_IDENTIFIER")],
                         ["4", "crash", "trainer-supervisor"])
        self.assertIn("SIGKILL", incident["MESSAGE"])
        self.run_inside("systemctl", "stop", UNIT)
        # The very last words too, though whoever said them is gone.
        last = self.entries("TRAINER_EVENT=supervisor", of_run)[-1]
        self.assertEqual((last["MESSAGE"][:14], last["PRIORITY"]), ("Stopped after ", "6"))
        said = [entry["MESSAGE"] for entry in self.entries()]
        self.assertEqual(said.count(incident["MESSAGE"]), 1, "said on the output as well")
        self.config_file.write_text("nonsense: 1\n", encoding="utf-8")
        self.run_inside("systemctl", "start", UNIT, check=False)
        self.assertTrue(any("nonsense" in entry["MESSAGE"] for entry in self.entries("-p", "err")), "a refusal is no error")

    def test_P6_a_killed_daemon_is_replaced_and_the_worker_is_adopted(self):
        worker = self.start()
        daemon = self.show("MainPID")
        self.kill_daemon()
        self.until(lambda: self.show("NRestarts") == "1" and self.show("SubState") == "running", "the next daemon")
        self.assertNotEqual(self.show("MainPID"), daemon)
        self.assertEqual(self.training(), worker)
        self.assertIn(f"adopted worker {worker}", self.status()["reason"])
        self.assertEqual(self.status()["attempt"], 1)

    def test_P6_the_kill_mode_that_systemd_recommends_would_end_the_training(self):
        self.with_settings("KillMode=control-group")
        worker = self.start()
        self.kill_daemon()
        self.until(lambda: self.show("NRestarts") == "1" and self.show("SubState") == "running", "the next daemon")
        self.assertNotEqual(self.training(), worker, "if this one lives too, the test above tests nothing")

    def test_P6_a_daemon_that_hangs_is_replaced_and_the_worker_is_adopted(self):
        self.with_settings("WatchdogSec=2")
        worker = self.start()
        time.sleep(3)
        self.assertEqual(self.show("NRestarts"), "0", "one that is well is left alone")
        self.kill_daemon("STOP")
        self.until(lambda: self.show("NRestarts") == "1" and self.show("SubState") == "running", "the next daemon")
        self.assertEqual(self.training(), worker)

    def test_a_stop_saves_and_leaves_no_process(self):
        self.start()
        self.stop()
        self.assertEqual((self.processes(), self.show("Result")), ({}, "success"))
        self.assertIn(self.newest()["reason"], ("signal", "schedule", "best"))

    def test_a_stop_after_an_adoption_leaves_no_process(self):
        worker = self.start()
        self.kill_daemon()
        self.until(lambda: "adopted" in self.status().get("reason", ""), "the adoption")
        self.assertIn(worker, self.processes())
        self.stop()
        self.assertEqual(self.processes(), {})

    def test_a_stop_ends_a_worker_that_ignores_sigterm_and_systemd_waits_for_it(self):
        self.with_settings("TimeoutStopSec=2")  # less than the daemon needs: it has to ask for more
        self.configure((*TOY, "--ignore-sigterm"))
        self.start()
        self.stop()
        self.assertEqual((self.processes(), self.show("Result")), ({}, "success"))
        self.assertIn("did not end after SIGTERM", self.journal())

    def test_a_stop_ends_what_the_worker_left_elsewhere(self):
        self.configure(("/bin/sh", "-c", 'setsid sleep 7777 & exec toy_trainer --config /etc/trainer-supervisor/config.yaml "$@"',
                        "sh"))
        self.start()
        self.assertIn("sleep", self.processes().values())
        self.stop()
        self.assertEqual((self.processes(), self.show("Result")), ({}, "success"))

    def test_a_stop_leaves_no_process_though_the_daemon_hangs(self):
        self.with_settings("TimeoutStopSec=5")
        self.configure(checkpoints="save_frequency: 100000")
        self.start()
        hung = self.freeze_daemon()
        self.run_inside("systemctl", "stop", "--no-block", UNIT)
        while os.WIFSTOPPED(os.waitpid(hung, WALL)[1]):
            pass  # not killed yet
        self.until(lambda: self.show("ActiveState") == "failed", "the end of the stop")
        self.assertEqual((self.processes(), self.show("Result")), ({}, "timeout"))
        self.assertEqual(self.newest()["reason"], "signal", "the worker was not given the time to save")

    def test_a_stop_between_two_daemons_lets_the_worker_save_and_leaves_no_process(self):
        self.with_settings("RestartSec=1h")
        self.configure(checkpoints="save_frequency: 100000")
        worker = self.start()
        self.kill_daemon()
        self.until(lambda: self.show("SubState") == "auto-restart", "the wait for the next daemon")
        self.assertEqual(list(self.processes()), [worker], "if it were dead already, this would test nothing")
        self.stop()
        self.assertEqual((self.processes(), self.show("ActiveState")), ({}, "inactive"))
        self.assertEqual(self.newest()["reason"], "signal", "the worker was not given the time to save")

    def test_a_stop_leaves_no_process_though_the_next_daemon_was_refused(self):
        worker = self.start()
        self.configure(checkpoints="nonsense: 1")
        self.kill_daemon()
        self.until(lambda: self.show("ActiveState") == "failed", "the refusal of the configuration")
        self.assertEqual(list(self.processes()), [worker], "if it were dead already, this would test nothing")
        self.stop()
        self.assertEqual(self.processes(), {})

    def test_P6_a_restart_between_two_daemons_starts_the_next_one_which_adopts_the_worker(self):
        self.with_settings("RestartSec=1h")
        worker = self.start()
        self.kill_daemon()
        self.until(lambda: self.show("SubState") == "auto-restart", "the wait for the next daemon")
        self.run_inside("systemctl", "restart", UNIT)
        self.assertEqual(self.training(), worker)

    def test_a_stop_lets_a_worker_save_that_somebody_has_stopped(self):
        self.configure(checkpoints="save_frequency: 100000")
        worker = self.start()
        self.run_inside("kill", "-STOP", worker)
        self.stop()
        self.assertEqual((self.processes(), self.show("Result")), ({}, "success"))
        self.assertEqual(self.newest()["reason"], "signal")

    def test_a_stop_leaves_no_process_in_any_other_state(self):
        never_again = "{backoff_initial: 1h, backoff_max: 1h}"
        states = {
            "starting": {"command": ("/bin/sleep", "7777")},
            "stopping": {"command": (*TOY, "--ignore-sigterm")},
            "stopped": {},
            "backoff": {"command": ("/bin/false",), "restart": never_again},
            "finished": {"episodes": 3},
            "fatal": {"command": ("/bin/sh", "-c", "exit 78")},
        }
        for state, settings in states.items():
            with self.subTest(state):
                self.configure(**settings)
                self.run_inside("systemctl", "start", UNIT)
                if state in ("stopping", "stopped"):
                    self.training()
                    self.run_inside("supervisorctl", "stop", "--no-wait")
                self.until(lambda s=state: self.status().get("state") == s, f"the state {state}")
                self.stop()
                self.assertEqual((self.processes(), self.show("Result"), self.show("ActiveState")), ({}, "success", "inactive"))
                shutil.rmtree(self.models, ignore_errors=True)

    def test_a_restart_goes_on_from_where_it_was(self):
        worker = self.start()
        self.run_inside("systemctl", "restart", UNIT)
        self.assertNotEqual(self.training(), worker)
        self.assertIsNotNone(self.status()["worker"]["resumed_from"])

    def test_a_reload_applies_the_configuration_or_fails_and_changes_nothing(self):
        worker = self.start()
        daemon = self.show("MainPID")
        self.configure(restart="{backoff_initial: 7s}")
        self.run_inside("systemctl", "reload", UNIT)
        self.assertRegex(self.journal(), r"restart\.backoff_initial.*7s")
        self.configure(checkpoints="nonsense: 1")
        self.assertNotEqual(self.run_inside("systemctl", "reload", UNIT, check=False).returncode, 0)
        self.assertIn("nonsense", self.journal())
        self.assertEqual((self.show("ActiveState"), self.show("MainPID"), self.training()), ("active", daemon, worker))

    def test_P10_a_crash_loop_is_given_up_loudly_and_training_goes_on_when_it_is_mended(self):
        self.configure(("/bin/false",), restart="{backoff_initial: 10ms, backoff_max: 50ms, max_attempts_without_progress: 4}")
        self.run_inside("systemctl", "start", UNIT)
        self.until(lambda: self.status().get("state") == "fatal", "the end of the tries")
        self.assertIn(self.status()["attempt"], (4, 5))
        self.assertEqual((self.show("ActiveState"), self.show("NRestarts")), ("active", "0"))
        self.until(lambda: self.show("StatusText").startswith("fatal: "), "the status")
        self.configure()
        self.run_inside("systemctl", "reload", UNIT)
        self.run_inside("supervisorctl", "start")
        self.training()

    def test_P5_P6_P8_a_full_disk_costs_no_worker_no_checkpoint_and_no_episode(self):
        state = "/var/lib/trainer-supervisor"
        self.run_inside("mkdir", "-p", state)
        self.run_inside("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", state)
        self.addCleanup(self.run_inside, "umount", state)
        self.addCleanup(self.stop)
        saved = lambda: set(self.run_inside("sh", "-c", f"ls {state}/models | grep '^model_ep.*json$'", check=False).stdout.split())
        worker = self.start()
        self.until(saved, "a checkpoint")
        self.run_inside("sh", "-c", f"cat /dev/zero >{state}/filler", check=False)
        self.until(lambda: "No space left" in self.journal(), "a word about the full disk")
        kept = saved()
        self.assertTrue(kept)
        self.kill_daemon()
        self.until(lambda: "adopted" in self.status().get("reason", ""), "the next daemon")
        self.assertEqual(self.training(), worker)
        self.run_inside("kill", "-KILL", worker)
        self.until(lambda: "not rescued" in self.status().get("reason", ""), "a word about what the worker left in memory")
        reached = self.status()["episode"]
        self.assertEqual(saved(), kept)
        self.run_inside("rm", f"{state}/filler")
        self.assertNotEqual(self.training(), worker)
        self.assertEqual(self.status()["worker"]["resumed_from"]["episode"], reached)
        self.run_inside("supervisorctl", "--config", "/etc/trainer-supervisor/config.yaml", "checkpoints", "verify")

    def test_a_wrong_configuration_is_not_tried_again(self):
        self.configure(checkpoints="nonsense: 1")
        self.assertNotEqual(self.run_inside("systemctl", "start", UNIT, check=False).returncode, 0)
        time.sleep(2.5)  # two tries later
        self.assertEqual((self.show("ActiveState"), self.show("NRestarts"), self.show("ExecMainStatus")), ("failed", "0", "78"))
        self.assertIn("nonsense", self.journal())

    def test_a_daemon_that_cannot_start_is_tried_for_as_long_as_it_takes(self):
        self.with_settings("RestartSec=50ms")
        self.run_inside("sh", "-c", "mkdir -p /var/log/trainer-supervisor/supervisor.log")  # in the way of the log
        self.run_inside("systemctl", "start", UNIT, check=False)
        self.until(lambda: int(self.show("NRestarts")) > 12, "more tries than systemd's usual limit")
        self.run_inside("rmdir", "/var/log/trainer-supervisor/supervisor.log")
        self.training()


if __name__ == "__main__":
    main()
