#!/usr/bin/python3
"""The supervisor's own death does not stop the training (P6), and nobody ever gets a second one on the same directory
(P4)."""

import json
import os
import re
import shutil
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


class Unrecorded(AdoptionTest):
    """P4, P6: the supervisor was killed after it had started a worker and before it had written that down."""

    def state_file(self):
        return self.models / ".supervisor/state.json"

    def forget(self, directory=None, **changes):
        """The state file as it is before the launch: it names no worker."""
        for file in (directory or self.state_file().parent).glob("state.json*"):
            state = self.read_json(file)
            state.pop("worker", None)
            file.write_text(json.dumps({**state, **changes}), encoding="utf-8")

    def assert_adopted_to_the_end(self, worker, supervisor, attempt=1):
        status = self.in_state("running")
        self.assertEqual(status["worker"]["pid"], worker)
        self.assertEqual(status["worker"]["attempt"], attempt or 3)  # of the launch that was not needed
        self.assertIn(f"adopted worker {worker}", status["reason"])
        output = supervisor.ends(0)
        self.assertIn(f"Worker {worker} was started by an earlier supervisor", output)
        self.assertEqual((self.episodes()[-1], self.sidecar("model_ep600")["attempt"]), (600, attempt or 1))
        self.assertEqual(self.sidecar("model_ep600")["run_id"], self.read_json(self.state_file())["run_id"])
        self.assert_nothing_left()

    def test_a_worker_whose_launch_was_all_that_was_written_down_is_adopted(self):
        worker = self.orphan()
        self.forget()
        self.assert_adopted_to_the_end(worker, self.supervise("--exit-when-done"))

    def test_a_worker_of_a_later_attempt_than_was_written_down_is_adopted(self):
        supervisor = self.supervise()
        self.running_worker(beyond=25)
        os.kill(self.worker(), signal.SIGKILL)
        worker = self.running_worker(beyond=25, other_than=self.worker())
        supervisor.signal(signal.SIGKILL)
        supervisor.ends(-signal.SIGKILL)
        attempt = self.read_json(self.state_file())["attempt"]
        self.forget(attempt=attempt - 1)
        self.assert_adopted_to_the_end(worker, self.supervise("--exit-when-done"), attempt)

    def test_a_worker_of_a_supervisor_that_could_not_write_at_all_is_adopted(self):
        obstacle = self.models / ".supervisor/state.json.tmp/obstacle"
        obstacle.mkdir(parents=True)
        supervisor = self.supervise()
        supervisor.says("The supervisor's own state was not saved")
        worker = self.running_worker(beyond=25)
        supervisor.signal(signal.SIGKILL)
        supervisor.ends(-signal.SIGKILL)
        self.assertFalse(self.state_file().exists())
        obstacle.rmdir()
        obstacle.parent.rmdir()
        self.assert_adopted_to_the_end(worker, self.supervise("--exit-when-done"))

    def killed_after_launch(self, which):
        """A supervisor that is killed in the very moment when its worker of this launch runs. Returns what it was traced by."""
        if not shutil.which("strace"):
            self.skipTest("needs strace")
        # Its disk thread opens two pidfds for each launch (Boost.Process and we), none of them before the worker has begun.
        inject = ("--follow-forks", "--detach-on=execve", "--trace=pidfd_open",
                  f"--inject=pidfd_open:signal=SIGKILL:when={2 * which - 1}")
        return self.start(shutil.which("strace"), "-o", "/dev/null", *inject, BIN / "trainer-supervisor", "--config",
                          self.config_file)

    def only_worker(self, traced):
        workers = [pid for pid in self.ours() if pid != traced.pid]
        self.assertEqual(len(workers), 1)
        return workers[0]

    def test_a_supervisor_killed_before_it_writes_the_launch_down(self):
        traced = self.killed_after_launch(1)
        traced.ends(-signal.SIGKILL)
        self.assertNotIn("worker", self.read_json(self.state_file()))
        self.saved(10)  # it trains all the same
        self.assert_adopted_to_the_end(self.only_worker(traced), self.supervise("--exit-when-done"))

    def test_a_supervisor_killed_before_it_writes_a_relaunch_down(self):
        for heartbeat in ({}, {"heartbeat_timeout": "0s"}):
            with self.subTest(heartbeat=heartbeat):
                shutil.rmtree(self.models, ignore_errors=True)
                self.configure(supervisor=heartbeat)
                traced = self.killed_after_launch(2)
                first = self.until(self.worker, "the first launch")
                self.saved(20)
                os.kill(first, signal.SIGKILL)
                traced.ends(-signal.SIGKILL)
                remembered = self.read_json(self.state_file())
                self.assertNotIn("worker", remembered)
                self.assertEqual((remembered["attempt"], remembered["restarts"]), (2, {"crash": 1}))
                worker = self.only_worker(traced)
                self.assert_adopted_to_the_end(worker, self.supervise("--exit-when-done"), attempt=2)

    def test_one_that_dies_as_it_is_adopted_is_replaced_and_nobody_leaves(self):
        if not shutil.which("strace"):
            self.skipTest("needs strace")
        worker = self.slow_orphan(6000)
        # The disk thread tries the lock when the worker has it, and is held up once more when it has found out whose it is.
        trace = self.folder / "strace.txt"
        traced = self.start(shutil.which("strace"), "-o", trace, "--follow-forks", "--detach-on=execve", "-P", "models/.lock",
                   "-P", "models/.supervisor/lock", "-P", "logs/worker.log", "--trace=flock,stat,newfstatat",
                   "--inject=flock:delay_enter=4000000:when=1", "--inject=stat,newfstatat:delay_enter=5000000:when=2",
                   BIN / "trainer-supervisor", "--config", self.config_file, "--exit-when-done")
        self.until(lambda: re.search(r"EAGAIN.*\n.*models/\.lock", trace.exists() and trace.read_text() or ""), "the look")
        time.sleep(1)  # of the five seconds: the lock's record is looked at, and whose it is
        os.kill(worker, signal.SIGKILL)
        output = traced.ends(0)
        self.assertNotIn("adopted worker", output)  # it was not there any more
        self.assertEqual((self.episodes()[-1], self.sidecar("model_ep600")["attempt"]), (600, 2))
        self.assertEqual(self.read_json(self.state_file())["restarts"], {})
        self.assert_nothing_left()

    def slow_orphan(self, milliseconds):
        """A worker that takes its lock only after a while, and that no state file names."""
        self.configure(worker={"command": self.toy("--step-ms", 1, "--slow-start-ms", milliseconds)})
        supervisor = self.supervise()
        worker = self.until(self.worker, "the launch")
        supervisor.signal(signal.SIGKILL)
        supervisor.ends(-signal.SIGKILL)
        self.forget()
        return worker

    def test_one_that_takes_the_lock_later_than_its_successor_is_launched(self):
        worker = self.slow_orphan(3000)
        supervisor = self.supervise("--exit-when-done")
        self.until(lambda: self.worker() not in (0, worker), "the successor")  # the lock is free for now
        self.until(lambda: self.worker() == worker, "the end of the successor, and the adoption")
        self.assertEqual(self.status()["restarts"], {"cannot_save": 1})
        self.assert_adopted_to_the_end(worker, supervisor, attempt=None)

    def test_an_unrecorded_worker_makes_way_for_a_fresh_start(self):
        worker = self.orphan()
        self.forget()
        self.configure(training={"episodes": 50})
        self.supervise("--exit-when-done", "--fresh").ends(0)
        self.assertFalse(alive(worker))
        self.assertEqual(self.episodes()[-1], 50)
        self.assertTrue(self.set_aside("superseded"))
        self.assert_nothing_left()

    def test_the_worker_of_another_supervisor_is_left_to_it(self):
        self.configure(training={"episodes": 100_000})
        first = self.supervise()
        worker = self.running_worker(beyond=25)
        for name, knows_the_run in (("one", True), ("two", False)):
            other = self.folder / name
            other.mkdir()
            self.configure(supervisor={"state_directory": str(other)})
            if knows_the_run:
                shutil.copy(self.state_file(), other)
                self.forget(other)
            output = self.supervise("--exit-when-done").ends(74)
            self.assertIn(f"is in use by toy_trainer with process id {worker}", output)
            self.assertIn("it answers to the supervisor at", output)
        self.assertTrue(first.running() and alive(worker))
        self.config["supervisor"].pop("state_directory")  # the first one answers where it always did
        self.assertEqual(self.worker(), worker)


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
