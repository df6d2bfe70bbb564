#!/usr/bin/python3
"""The supervisor's own death does not stop the training (P6), and nobody ever gets a second one on the same directory
(P4)."""

import json
import os
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from harness import BIN, ProgramTest, alive, main  # noqa: E402


class AdoptionTest(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def setUp(self):
        super().setUp()
        self.configure(training={"episodes": 600}, worker={"command": self.toy("--step-ms", 1)})

    def orphan(self, beyond=25):
        """A worker whose supervisor was killed. Returns its process id."""
        supervisor = self.supervise("--exit-when-done")
        worker = self.running_worker(beyond=beyond)
        supervisor.signal(signal.SIGKILL)
        supervisor.ends(-signal.SIGKILL)
        return worker


class Adoption(AdoptionTest):
    def test_the_worker_lives_on_and_is_adopted_and_its_end_is_handled(self):
        worker = self.orphan()
        orphaned = time.monotonic()
        before = self.episodes()[-1]
        self.saved(before + 20)  # it trains with nobody watching
        self.assertTrue(alive(worker))
        asked = time.monotonic()
        supervisor = self.supervise("--exit-when-done")
        status = self.in_state("running")
        self.assertEqual((status["worker"]["pid"], status["desired"]), (worker, "up"))
        self.assertIn(f"adopted worker {worker}", status["reason"])
        self.assertGreater(status["worker"]["uptime_s"], asked - orphaned, "its own age, not that of the adoption")
        heard = self.until(lambda: self.status()["episode"], "its heartbeats")
        self.until(lambda: self.status()["episode"] > heard, "its progress")
        supervisor.ends(0)
        self.assertEqual(self.episodes()[-1], 600)
        self.assert_nothing_left()

    def test_P4_P6_a_copy_of_the_directory_does_not_take_the_worker_away(self):
        self.configure(training={"episodes": 100_000})
        self.supervise()
        worker = self.running_worker(beyond=25)
        # What is pruned meanwhile is missing in the copy, and cp says so.
        subprocess.run(["cp", "-a", self.models, self.folder / "copy"], check=False, stderr=subprocess.DEVNULL)
        self.configure(checkpoints={"directory": "copy"})
        other = self.supervise()
        other.says(f"The worker {worker} that this directory remembers reports to ")
        other.says("attempt 2 is training")
        other.signal(signal.SIGTERM)
        other.ends(0)
        status = self.status()  # of the first
        self.assertEqual((status["state"], status["worker"]["pid"], status["restarts"]), ("running", worker, {}))

    def test_p6_a_directory_that_was_moved_is_the_workers_still(self):
        worker = self.orphan()
        self.models.rename(self.folder / "moved")
        self.configure(checkpoints={"directory": "moved"})
        self.supervise().says(f"adopted worker {worker}")

    def test_P11_status_and_log_say_what_the_worker_has_outlived(self):
        worker = self.orphan()
        crashed = self.supervise("--exit-when-done")
        said = self.in_state("running")["reason"]
        self.assertEqual(said, f"adopted worker {worker}, which trained on when the supervisor before this one was killed or crashed")
        crashed.signal(signal.SIGKILL)
        crashed.ends(-signal.SIGKILL)
        state = self.models / ".supervisor/state.json"
        memory = self.read_json(state)
        version = memory["supervisor"]
        self.assertIn(version, self.run_program("trainer-supervisor", "--version").stdout)
        state.write_text(json.dumps({**memory, "supervisor": "0.0.7\n"}), encoding="utf-8")
        upgraded = self.supervise("--exit-when-done")
        upgraded.says(f"running: adopted worker {worker}, which trained on when version 0.0.7\\x0a of the supervisor was "
                      f"replaced by {version}")
        self.assertEqual(self.status()["worker"]["pid"], worker)

    def test_an_adopted_worker_that_dies_is_replaced(self):
        worker = self.orphan()
        supervisor = self.supervise("--exit-when-done")
        self.in_state("running")
        os.kill(worker, signal.SIGKILL)
        self.running_worker(other_than=worker)
        output = supervisor.ends(0)
        self.assertIn("Auto-resuming from episode ", output)
        self.assertEqual(self.episodes()[-1], 600)
        self.assert_nothing_left()

    def test_an_adopted_worker_is_stopped_gracefully(self):
        worker = self.orphan()
        supervisor = self.supervise()
        self.in_state("running")
        supervisor.signal(signal.SIGINT)
        output = supervisor.ends(0)
        self.assertFalse(alive(worker))
        self.assertIn(f"the newest checkpoint is models/model_ep{self.episodes()[-1]}.pt", output)
        self.assertEqual(self.sidecar(f"model_ep{self.episodes()[-1]}")["reason"] in ("signal", "schedule"), True)
        self.assert_nothing_left()

    def test_an_adopted_worker_that_hangs_is_replaced(self):
        self.configure(supervisor={"heartbeat_interval": "200ms", "heartbeat_timeout": "1s", "startup_timeout": "2s"},
                       checkpoints={"save_frequency": 1000, "save_best": False})  # a save asks for more patience
        worker = self.orphan()
        os.kill(worker, signal.SIGSTOP)
        self.supervise("--exit-when-done")
        self.running_worker(other_than=worker)
        self.assertFalse(alive(worker))

    def test_a_goal_that_was_raised_while_nobody_watched_is_reached(self):
        self.configure(training={"episodes": 300})
        worker = self.orphan()
        self.configure(training={"episodes": 400})
        supervisor = self.supervise("--exit-when-done")
        self.assertIn("the rest to 400 follows when it is done", self.in_state("running")["reason"])
        output = supervisor.ends(0)
        self.assertIn(f"worker {worker} ended, nobody can tell how", output)
        self.assertIn("had completed the 300 episodes that it was launched for", output)
        self.assertIn("Finished: 400/400 episodes", output)
        self.assertEqual(self.episodes()[-1], 400)
        self.assertEqual(self.read_json(self.models / ".supervisor/state.json")["restarts"], {})

    def test_a_worker_that_finished_while_nobody_watched(self):
        self.configure(training={"episodes": 100})
        worker = self.orphan()
        self.until(lambda: not alive(worker), "the end of the worker")
        self.assertEqual(self.episodes()[-1], 100)
        before = self.contents()
        output = self.supervise("--exit-when-done").ends(0)
        self.assertIn("Finished: 100/100 episodes", output)
        self.assertEqual(self.contents(), before)

    def test_a_worker_that_died_while_nobody_watched(self):
        worker = self.orphan()
        os.kill(worker, signal.SIGKILL)
        self.until(lambda: not alive(worker), "the end of the worker")
        output = self.supervise("--exit-when-done").ends(0)
        self.assertIn(f"worker {worker} was running", output)
        self.assertIn("Auto-resuming from episode ", output)

    def test_supervisors_killed_in_turn_keep_one_worker(self):
        worker = self.orphan()
        for _ in range(5):
            supervisor = self.supervise("--exit-when-done")
            self.until(lambda: self.worker() == worker, "the adoption")
            supervisor.signal(signal.SIGKILL)
            supervisor.ends(-signal.SIGKILL)
        self.supervise("--exit-when-done").ends(0)
        self.assertEqual(self.sidecar("model_ep600")["attempt"], 1)

    def test_a_foreign_process_with_the_remembered_number_is_not_adopted(self):
        worker = self.orphan()
        self.kill_everything()
        sleeper = self.start("/bin/sleep", "600")
        state = self.models / ".supervisor/state.json"
        text = state.read_text(encoding="utf-8")
        self.assertIn(f'"pid": {worker}', text)
        state.write_text(text.replace(f'"pid": {worker}', f'"pid": {sleeper.pid}'), encoding="utf-8")
        self.supervise("--exit-when-done").ends(0)
        self.assertTrue(sleeper.running(), "somebody else's process was ended")


class OnlyOne(AdoptionTest):
    def test_a_second_supervisor_is_refused_with_the_first_ones_pid(self):
        first = self.supervise()
        worker = self.running_worker(beyond=10)
        for options in ((), ("--fresh",), ("--exit-when-done",)):
            output = self.supervise(*options).ends(74)
            self.assertIn(f"is in use by trainer-supervisor with process id {first.pid}", output)
        self.assertEqual(self.worker(), worker)
        first.signal(signal.SIGTERM)
        first.ends(0)
        self.assert_nothing_left()

    def test_a_second_worker_by_hand_is_refused_with_the_first_ones_pid(self):
        first = self.supervise()
        worker = self.running_worker(beyond=25)
        for options in (("--auto-resume",), ("--fresh",), ("--resume", "ep10"), ()):
            second = self.start("toy_trainer", "--config", self.config_file, *options)
            self.assertIn(f"is in use by toy_trainer with process id {worker}", second.ends(74))
        first.signal(signal.SIGTERM)
        first.ends(0)
        self.assertFalse((self.models / "superseded").exists())

    def test_a_supervisor_beside_a_worker_started_by_hand_waits_or_refuses_and_says_who(self):
        by_hand = self.start(*map(str, [BIN / "toy_trainer", "--config", self.config_file, "--step-ms", "1"]))
        self.saved(10)
        supervisor = self.supervise("--exit-when-done")
        supervisor.says(f"is in use by toy_trainer with process id {by_hand.pid}")
        time.sleep(0.3)
        self.assertTrue(by_hand.running())
        self.assertEqual([pid for pid in self.ours() if pid not in (by_hand.pid, supervisor.pid)], [])


class TwoTrainers(ProgramTest):
    needs = ("trainer",)

    def test_a_second_trainer_is_refused_with_the_first_ones_pid(self):
        self.configure(training={"episodes": 100_000})
        first = self.train()
        self.saved(10)
        for options in (("--auto-resume",), ("--fresh",)):
            self.assertIn(f"is in use by trainer with process id {first.pid}", self.train(*options).ends(74))
        self.assertTrue(first.running())
        first.signal(signal.SIGTERM)
        first.ends(75)
        self.assertFalse((self.models / "superseded").exists())


if __name__ == "__main__":
    main()
