#!/usr/bin/python3
"""What the supervisor does about each way in which a worker ends or hangs. The worker is the toy: the real session
around a training that takes no time and misbehaves when told to."""

import os
import pathlib
import signal
import sys
import threading
import time

sys.dont_write_bytecode = True
from harness import POLL_S, ProgramTest, main  # noqa: E402


class RelaunchTest(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def setUp(self):
        super().setUp()
        self.most_workers = 0
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over,), daemon=True)
        watcher.start()
        self.addCleanup(watcher.join)
        self.addCleanup(over.set)

    def _watch(self, over):
        """Promise P4, looked at all the time: at most one worker."""
        while not over.wait(5 * POLL_S):
            names = []
            for pid in self.ours():
                try:
                    names.append(pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip())
                except OSError:
                    pass
            self.most_workers = max(self.most_workers, names.count("toy_trainer"))

    def use_directory(self, name):
        self.configure(checkpoints={"directory": name})
        self.models = self.folder / name

    def with_toy(self, *options, **sections):
        self.configure(worker={"command": self.toy("--step-ms", 1, *options)}, **sections)
        return self.supervise("--exit-when-done")

    def assert_finishes(self, supervisor, **restarts):
        output = supervisor.ends(0)
        self.assertEqual(self.episodes()[-1], 300)
        self.assertEqual(self.remembered()["restarts"], restarts)
        self.assertEqual(self.most_workers, 1)
        self.assert_nothing_left()
        return output

    def remembered(self):
        return self.read_json(self.models / ".supervisor/state.json")


class Ends(RelaunchTest):
    def test_a_worker_that_saved_and_asks_to_be_relaunched(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number.name):
                self.use_directory(f"models_{number.name}")
                supervisor = self.with_toy()
                worker = self.running_worker(beyond=25)
                os.kill(worker, number)
                output = self.assert_finishes(supervisor, interrupted=1)
                self.assertIn(f"worker {worker} exited with status 75", output)
                # Nothing is lost: it goes on from the very episode that was completed, which is no multiple of 10 as a rule.
                resumed = [line for line in output.splitlines() if line.startswith("Auto-resuming from episode ")]
                self.assertEqual(len(resumed), 1)
                self.assertGreater(int(resumed[0].split()[3].rstrip(":")), 25)

    def test_a_crash(self):
        for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGKILL):
            with self.subTest(signal=number.name):
                self.use_directory(f"models_{number.name}")
                supervisor = self.with_toy()
                worker = self.running_worker(beyond=25)
                os.kill(worker, number)
                output = self.assert_finishes(supervisor, crash=1)
                self.assertIn(f"worker {worker} was killed by signal {number.value} ({number.name})", output)
                self.assertIn("Auto-resuming from episode ", output)

    def test_an_abort(self):
        supervisor = self.with_toy("--crash-at-episode", 25, "--only-attempt", 1)
        output = self.assert_finishes(supervisor, crash=1)
        self.assertIn("(SIGABRT)", output)
        # From its memory (P5): the last completed episode, or the one before while that was still being announced.
        self.assertRegex(output, r"Auto-resuming from episode 2[34]: models/model_ep2[34]\.pt")

    def test_an_unknown_exit_status(self):
        supervisor = self.with_toy("--exit-code-at-episode", 25, 3, "--only-attempt", 1)
        self.assertIn("exited with status 3", self.assert_finishes(supervisor, error_exit=1))

    def test_the_restarts_are_counted_by_cause_over_the_supervisors_life(self):
        supervisor = self.with_toy()
        worker = self.running_worker(beyond=5)
        os.kill(worker, signal.SIGKILL)
        worker = self.running_worker(beyond=15, other_than=worker)
        self.kill_everything()
        supervisor = self.supervise("--exit-when-done")
        os.kill(self.running_worker(beyond=25), signal.SIGTERM)
        self.assert_finishes(supervisor, crash=1, interrupted=1)


class Hangs(RelaunchTest):
    # A save asks for two minutes of patience, so none is under way when the worker is made to hang.
    SHORT = {"supervisor": {"heartbeat_interval": "200ms", "heartbeat_timeout": "1s"},
             "checkpoints": {"save_frequency": 20, "save_best": False}}

    def test_a_stopped_worker_is_missed_and_replaced(self):
        supervisor = self.with_toy(**self.SHORT)
        self.saved(20)
        worker = self.running_worker(beyond=22)
        os.kill(worker, signal.SIGSTOP)
        output = self.assert_finishes(supervisor, heartbeat_lost=1)
        self.assertIn(f"worker {worker} sent no heartbeat for 1", output)

    def test_a_hanging_worker_that_ignores_sigterm_is_replaced(self):
        supervisor = self.with_toy("--hang-at-episode", 25, "--ignore-sigterm", "--only-attempt", 1, **self.SHORT)
        output = self.assert_finishes(supervisor, heartbeat_lost=1)
        self.assertIn("did not end after SIGTERM; sending SIGABRT", output)
        self.assertIn("Auto-resuming from episode 24: models/model_ep24.pt", output)  # from its memory (P5)

    def test_a_worker_that_never_gets_ready_is_replaced(self):
        supervisor = self.with_toy("--slow-start-ms", 3_600_000, "--only-attempt", 1,
                                   supervisor={"startup_timeout": "1s"})
        self.assertIn("was not ready within 1s", self.assert_finishes(supervisor, start_timeout=1))

    def test_a_slow_worker_that_beats_is_left_alone(self):
        # An episode takes twice the heartbeat timeout; the beats come from its steps.
        self.configure(worker={"command": self.toy("--step-ms", 40, "--steps", 50)}, training={"episodes": 3}, **self.SHORT)
        self.supervise("--exit-when-done").ends(0)
        self.assertEqual(self.remembered()["restarts"], {})


class GivesUp(RelaunchTest):
    def test_bad_configuration_and_bad_data_are_not_retried(self):
        for status, cause in ((78, "bad_configuration"), (65, "bad_data")):
            with self.subTest(status=status):
                self.use_directory(f"models_{status}")
                supervisor = self.with_toy("--exit-code-at-episode", 25, status)
                output = supervisor.ends(status)
                self.assertIn(f"({cause})", output)
                self.assertIn("not retried", output)
                remembered = self.remembered()
                self.assertEqual((remembered["phase"], remembered["attempt"]), ("fatal", 1))
                self.assertEqual(self.episodes()[:2], [10, 20])
                self.assertGreater(self.episodes()[-1], 20, "what was in its memory is kept")
                self.assert_nothing_left()

    def test_without_exit_when_done_it_stays_to_be_asked(self):
        self.configure(worker={"command": self.toy("--exit-code-at-episode", 1, 78, "--only-attempt", 1)})
        supervisor = self.supervise()
        status = self.in_state("fatal")
        self.assertIsNone(status["worker"])
        self.assertIn("exited with status 78", status["reason"])
        self.assertEqual(self.ctl("status").returncode, 3)
        self.assertEqual(self.ctl("start").returncode, 0)  # a person has mended it, and says so
        self.in_state("finished")
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)

    def test_a_crash_loop_backs_off_gives_up_and_tries_again_after_the_cooldown(self):
        supervisor = self.with_toy("--crash-at-episode", 1, restart={"max_attempts_without_progress": 3, "cooldown": "2s"})
        reason = self.in_state("backoff")["reason"]
        self.assertRegex(reason, r"\d in a row without progress, relaunching in \d+ms")
        status = self.in_state("fatal")
        self.assertEqual(status["attempt"], 3)
        self.assertEqual(status["restarts"], {"crash": 3})
        self.assertRegex(status["reason"], r"3 attempts in a row .*trying again in 2s")
        self.until(lambda: self.status()["attempt"] > 3, "a new attempt after the cooldown")
        self.assertLessEqual(self.most_workers, 1)  # each lives for a moment only, and may have been missed
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()

    def test_a_crash_at_the_same_episode_again_and_again_is_a_crash_loop_too(self):
        """Going through the same episodes once more is no progress."""
        supervisor = self.with_toy("--crash-at-episode", 5, checkpoints={"save_best": False},
                                   restart={"max_attempts_without_progress": 3, "cooldown": "10m"})
        self.until(lambda: self.status().get("state") == "fatal" or self.status().get("attempt", 0) > 20, "giving up")
        self.assertEqual(self.status()["state"], "fatal", "it was relaunched more than 20 times")
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)

    def test_a_program_that_is_not_there(self):
        self.configure(worker={"command": [str(self.folder / "no such program")]},
                       restart={"max_attempts_without_progress": 2, "cooldown": "10m"})
        supervisor = self.supervise("--exit-when-done")
        status = self.in_state("fatal")
        self.assertIn("no such program: No such file or directory", status["reason"])
        self.assertEqual(set(status["restarts"]), {"exec_failed"})
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)

    def test_stop_during_the_wait_stops(self):
        supervisor = self.with_toy("--crash-at-episode", 1, restart={"backoff_initial": "1h", "backoff_max": "1h"})
        self.in_state("backoff")
        self.assertEqual(self.ctl("stop").returncode, 0)
        self.assertEqual(self.in_state("stopped")["desired"], "down")
        time.sleep(0.3)
        self.assertEqual(self.status()["state"], "stopped")
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)


if __name__ == "__main__":
    main()
