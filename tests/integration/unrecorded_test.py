#!/usr/bin/python3
"""A worker that no state file names is found by the marks of its launch, and no second one is put beside it (P4, P6)."""

import json
import os
import re
import shutil
import signal
import sys

sys.dont_write_bytecode = True
from adoption_test import AdoptionTest  # noqa: E402
from harness import BIN, alive, main  # noqa: E402


class Unrecorded(AdoptionTest):
    """P4, P6: the supervisor was killed after it had started a worker and before it had written that down."""

    def state_file(self):
        return self.models / ".supervisor/state.json"

    def script(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def forget(self, directory=None, **changes):
        """The state file as it is before the launch: it names no worker."""
        for file in (directory or self.state_file().parent).glob("state.json*"):
            state = self.read_json(file)
            state.pop("worker", None)
            file.write_text(json.dumps({**state, **changes}), encoding="utf-8")

    def assert_adopted_to_the_end(self, worker, supervisor, attempt=1):
        status = self.in_state("running")
        self.assertEqual(status["worker"]["pid"], worker)
        self.assertEqual(status["worker"]["attempt"], attempt)
        self.assertIn(f"adopted worker {worker}", status["reason"])
        output = supervisor.ends(0)
        self.assertIn(f"Worker {worker} was started by an earlier supervisor", output)
        self.assertEqual((self.episodes()[-1], self.sidecar("model_ep600")["attempt"]), (600, attempt))
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
        self.assertFalse(self.state_file().exists())
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
                self.assertEqual((remembered["attempt"], remembered["worker"]["pid"]), (1, first))
                worker = self.only_worker(traced)
                self.assert_adopted_to_the_end(worker, self.supervise("--exit-when-done"), attempt=2)

    def test_one_that_dies_as_it_is_adopted_is_replaced_and_nobody_leaves(self):
        if not shutil.which("strace"):
            self.skipTest("needs strace")
        worker = self.slow_orphan(6000)
        # The disk thread is held up when it has read as what this process was launched.
        trace = self.folder / "strace.txt"
        seen = f"/proc/{worker}/environ"
        traced = self.start(shutil.which("strace"), "-y", "-o", trace, "--follow-forks", "--detach-on=execve", "-P", seen,
                            "--trace=read", "--inject=read:delay_exit=3000000:when=1",
                            BIN / "trainer-supervisor", "--config", self.config_file, "--exit-when-done")
        self.until(lambda: seen in (trace.exists() and trace.read_text() or ""), "the look")
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

    def test_P4_one_that_has_not_yet_taken_the_lock_is_adopted(self):
        worker = self.slow_orphan(3000)
        supervisor = self.supervise("--exit-when-done")
        self.in_state("running")  # the lock is free for now, and no second one is started
        self.assertEqual(self.worker(), worker)
        self.assertEqual(self.status()["restarts"], {})
        self.assert_adopted_to_the_end(worker, supervisor)

    def test_P4_one_that_never_takes_a_lock_is_adopted(self):
        for heartbeat in ("30s", "0s"):
            with self.subTest(heartbeat=heartbeat):
                shutil.rmtree(self.models, ignore_errors=True)
                started = self.folder / "started"
                started.unlink(missing_ok=True)
                script = self.script("lockless.sh", f"echo $$ >> {started}\nexec sleep 600\n")
                self.configure(worker={"command": ["/bin/sh", str(script)]}, supervisor={"heartbeat_timeout": heartbeat})
                supervisor = self.supervise()
                worker = self.until(self.worker, "the launch")
                supervisor.signal(signal.SIGKILL)
                supervisor.ends(-signal.SIGKILL)
                self.forget()
                supervisor = self.supervise()
                self.until(lambda: self.worker() == worker, "the adoption")
                supervisor.signal(signal.SIGTERM)
                supervisor.ends(0)
                self.assertEqual(started.read_text().split(), [str(worker)])
                self.assert_nothing_left()

    def test_P4_what_a_worker_left_behind_is_ended_when_both_were_killed(self):
        left = self.folder / "left"
        script = self.script("parent.sh", f"setsid sh -c 'echo $$ > {left}; exec sleep 600' &\nexec sleep 600\n")
        self.configure(worker={"command": ["/bin/sh", str(script)]}, supervisor={"heartbeat_timeout": "0s"})
        supervisor = self.supervise()
        worker = self.until(self.worker, "the launch")
        self.until(lambda: left.exists() and left.read_text().endswith("\n"), "its daemon")
        daemon = int(left.read_text())
        supervisor.signal(signal.SIGKILL)
        supervisor.ends(-signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
        self.until(lambda: not alive(worker), "its end")
        self.assertTrue(alive(daemon))
        supervisor = self.supervise()
        supervisor.says(f"left behind: process {daemon} (sleep)")
        self.assertFalse(alive(daemon))
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()

    def last_launch(self):
        journal = (self.models / ".supervisor/events.jsonl").read_text(encoding="utf-8")
        return re.findall(r"runs as process \d+, (from [^\"]+)\"", journal)[-1]

    def test_a_wish_that_was_answered_outlives_a_kill(self):
        self.configure(training={"episodes": 100_000}, checkpoints={"max_keep": 10_000})
        for wish in (("restart", "--from", "ep10"), ("fresh",)):
            for _ in range(5):
                with self.subTest(wish=wish):
                    supervisor = self.supervise()
                    self.running_worker(beyond=25)
                    self.ctl(*wish)
                    supervisor.signal(signal.SIGKILL)
                    supervisor.ends(-signal.SIGKILL)
                    supervisor = self.supervise()
                    resumed = "from models/model_ep10.pt" if wish[0] == "restart" else "from the beginning"
                    self.in_state("running")
                    self.until(lambda: self.last_launch() == resumed, f"a launch {resumed}")
                    supervisor.signal(signal.SIGTERM)
                    supervisor.ends(0)

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
            self.assertIn(f"It belongs to the supervisor whose state is in {os.path.realpath(self.models)}/.supervisor", output)
        self.assertTrue(first.running() and alive(worker))
        self.config["supervisor"].pop("state_directory")  # the first one answers where it always did
        self.assertEqual(self.worker(), worker)

    def test_P4_the_worker_of_a_supervisor_whose_directory_was_moved_is_left_to_it(self):
        for adopted in (False, True):
            with self.subTest(adopted=adopted):
                self.configure(training={"episodes": 100_000})
                first = self.supervise()
                worker = self.running_worker(beyond=25)
                if adopted:  # then its parent is no supervisor
                    first.signal(signal.SIGKILL)
                    first.ends(-signal.SIGKILL)
                    first = self.supervise()
                    self.until(lambda: self.worker() == worker, "the adoption")
                moved = self.folder / f"moved-{adopted}"
                os.rename(self.models, moved)
                self.configure(training={"episodes": 50})
                self.supervise("--exit-when-done").ends(0)  # a run of its own in a new directory of that name
                self.assertEqual(self.sidecar("model_ep50")["attempt"], 1)
                self.assertTrue(first.running() and alive(worker))
                first.signal(signal.SIGTERM)
                first.ends(0)
                self.assertFalse(alive(worker))
                shutil.rmtree(self.models)

    def test_P6_a_worker_whose_directory_was_moved_before_it_was_written_down_is_adopted(self):
        worker = self.orphan()
        self.forget()
        os.rename(self.models, self.folder / "moved")
        self.configure(checkpoints={"directory": str(self.folder / "moved")})
        self.models = self.folder / "moved"
        self.assert_adopted_to_the_end(worker, self.supervise("--exit-when-done"))


if __name__ == "__main__":
    main()
