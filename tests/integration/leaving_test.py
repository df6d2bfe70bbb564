#!/usr/bin/python3
"""Promises P5 and P8: what a dead worker left in memory, and could not be saved because somebody else was at work in
the models directory, is tried again when the supervisor leaves: nobody could do it later."""

import fcntl
import os
import re
import signal
import sys

sys.dont_write_bytecode = True
from harness import ProgramTest, main  # noqa: E402

LEFT = re.compile(r"; saving episode (\d+), which it left in memory")


class Leaving(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def setUp(self):
        super().setUp()
        self.configure(worker={"command": self.toy("--step-ms", 5)}, training={"episodes": 100000},
                       checkpoints={"save_frequency": 100000, "save_best": False},
                       restart={"backoff_initial": "10m", "backoff_max": "10m"})

    def waiting_with_unsaved_work(self):
        """A supervisor in backoff, the episode that it holds in memory, and the lock that keeps it from saving that."""
        supervisor = self.supervise()
        worker = self.running_worker(beyond=5)
        # Another file under the lock's name: the worker's own lock goes with it, and somebody may be quicker than we.
        lock = open(self.folder / "lock", "wb")
        self.addCleanup(lock.close)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.replace(lock.name, self.models / ".lock")
        os.kill(worker, signal.SIGKILL)
        self.in_state("backoff")
        episode = int(LEFT.search(supervisor.output())[1])
        self.assertEqual(self.episodes(), [])
        return supervisor, episode, lock

    def test_p5_p8_what_is_only_in_memory_is_saved_when_the_supervisor_leaves(self):
        supervisor, episode, lock = self.waiting_with_unsaved_work()
        fcntl.flock(lock, fcntl.LOCK_UN)
        supervisor.signal(signal.SIGTERM)
        output = supervisor.ends(0)
        self.assertEqual(self.episodes(), [episode])
        self.assertIn(f"rescued episode {episode} from the dead worker's memory", output)
        self.assert_nothing_left()

    def test_p11_work_that_cannot_be_saved_even_then_is_said_and_told_by_the_exit_status(self):
        supervisor, episode, _ = self.waiting_with_unsaved_work()
        supervisor.signal(signal.SIGTERM)
        output = supervisor.ends(74)
        self.assertEqual(self.episodes(), [])
        self.assertIn(f"trying once more to save episode {episode}", output)
        self.assertIn("stopped: the supervisor is leaving; ", output)


if __name__ == "__main__":
    main()
