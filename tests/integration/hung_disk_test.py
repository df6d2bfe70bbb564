#!/usr/bin/python3
"""Promises P8 and P9: a disk that does not answer never makes the supervisor deaf. The disk is an ext4 of our own, frozen: what
writes to it waits in the kernel (state D) until it is thawed, and cannot be ended before.

The worker trains on another disk. What lies on the frozen one is the supervisor's state, or its logs, or the checkpoints.
"""

import os
import pathlib
import re
import signal
import sys
import time

sys.dont_write_bytecode = True
from harness import alive, main  # noqa: E402
from small_disks import MIB, DiskTest  # noqa: E402

ANSWERS_WITHIN_S = 5  # a status, on a machine that may be busy; the disk answers not at all
WAITS = "Before leaving, waiting for "


def leader_ended(pid):
    """Whether the process has ended but for threads that the kernel still keeps for the disk."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return text.rpartition(")")[2].split()[0] in "ZX"


class HungDiskTest(DiskTest):
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def setUp(self):
        super().setUp()
        self.disk = self.folder / "disk"
        self.image_disk("ext4", 32 * MIB, self.disk)
        self.configure(training={"episodes": 100_000}, worker={"command": self.toy("--step-ms", 5)},
                       supervisor={"heartbeat_interval": "200ms", "heartbeat_timeout": "5s", "stop_timeout": "10s"})

    def trains(self, *options):
        supervisor = self.supervise(*options)
        self.saved(20)
        return supervisor, self.worker()

    def answers_for(self, seconds, worker=None):
        """The status comes at once, all the while. With a worker: it is the same one, and trains on."""
        begun = seen = self.asked()["episode"]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            status = self.asked()
            if worker:
                self.assertEqual((status["state"], status["worker"]["pid"]), ("running", worker))
                seen = status["episode"]
            time.sleep(0.05)
        if worker:
            self.assertGreater(seen, begun, "its beats are not heard")

    def asked(self):
        begun = time.monotonic()
        status = self.status()
        self.assertTrue(status, "it does not answer")
        self.assertLess(time.monotonic() - begun, ANSWERS_WITHIN_S)
        return status

    def wish(self, what):
        """Answered at once; supervisorctl would wait until it is carried out."""
        self.assertEqual(self.request("POST", f"/v1/{what}")[0], 202)

    def some_thread_waits(self, supervisor):
        """For the disk, in the kernel: else it is no test of a frozen disk."""
        def waits():
            for stat in pathlib.Path(f"/proc/{supervisor.pid}/task").glob("*/stat"):
                try:
                    text = stat.read_text(encoding="utf-8")
                except OSError:
                    continue
                if text.rpartition(")")[2].split()[0] == "D":
                    return True
            return False
        self.until(waits, "a thread of the supervisor to wait for the disk")

    def assert_waits_and_leaves_at_once(self, supervisor, named):
        """Somebody asked it to leave: it says that it waits for this. Asked again, it waits for nothing."""
        supervisor.says(re.compile(re.escape(WAITS) + ".*" + re.escape(str(named))))
        self.answers_for(1)
        supervisor.signal(signal.SIGTERM)
        supervisor.says("Leaving at once, as asked again, without waiting for ")
        self.until(lambda: leader_ended(supervisor.pid), "its end, but for what the kernel keeps", 20)
        self.thaw(self.disk)
        supervisor.ends(74)

    def assert_leaves_when_thawed(self, supervisor):
        supervisor.says(WAITS)
        self.thaw(self.disk)
        supervisor.ends(0)
        self.assert_nothing_left()


class State(HungDiskTest):
    def setUp(self):
        super().setUp()
        self.state = self.disk / "state"
        self.configure(supervisor={"state_directory": str(self.state)})

    def test_p8_p9_one_crash_meanwhile_waits_for_nothing_and_the_next_until_the_disk_is_back(self):
        supervisor, first = self.trains()
        self.freeze(self.disk)
        self.answers_for(2, first)  # nothing is to be written yet
        os.kill(first, signal.SIGKILL)
        second = self.running_worker(beyond=20, other_than=first)
        self.some_thread_waits(supervisor)  # to write down what has happened
        os.kill(second, signal.SIGKILL)
        self.until(lambda: self.worker() != second, "its end to be noticed")
        self.answers_for(3)
        self.assertEqual(self.worker(), 0)
        self.thaw(self.disk)
        self.running_worker(beyond=20, other_than=second)
        self.assertEqual(self.status()["restarts"], {"crash": 2})
        self.until(lambda: self.read_json(self.state / "state.json").get("worker"), "the new worker to be written down")
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()

    def test_p8_wishes_meanwhile_are_heard_and_only_the_last_one_counts(self):
        supervisor, worker = self.trains()
        self.freeze(self.disk)
        self.wish("stop")
        self.in_state("stopped")
        self.some_thread_waits(supervisor)
        for wish in ("start", "restart", "stop", "start", "stop"):
            self.wish(wish)
            self.asked()
        self.assertFalse(alive(worker))
        self.thaw(self.disk)
        self.until(lambda: self.read_json(self.state / "state.json")["phase"] == "stopped", "the state to be saved")
        self.in_state("stopped", worker=None)
        self.assertEqual([pid for pid in self.ours() if pid != supervisor.pid], [])
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()

    def test_p8_p11_leaving_waits_says_for_what_and_leaves_at_once_when_asked_again(self):
        supervisor, worker = self.trains()
        self.freeze(self.disk)
        supervisor.signal(signal.SIGTERM)
        self.assert_waits_and_leaves_at_once(supervisor, self.state)
        self.assertFalse(alive(worker))
        # Nothing of the training was lost with it.
        last = self.episodes()[-1]
        after = self.supervise()
        self.saved(last + 1)
        self.assertIn(f"Auto-resuming from episode {last}", after.output())

    def test_p8_leaving_goes_on_by_itself_when_the_disk_is_back(self):
        supervisor, _ = self.trains()
        self.freeze(self.disk)
        supervisor.signal(signal.SIGTERM)
        self.assert_leaves_when_thawed(supervisor)
        self.assertEqual(self.read_json(self.state / "state.json")["phase"], "stopped")

    def test_p6_that_the_training_is_finished_is_written_before_it_leaves(self):
        self.configure(training={"episodes": 200})
        supervisor, _ = self.trains("--exit-when-done")
        self.freeze(self.disk)
        supervisor.says(re.compile("finished: all 200 episodes are done"))
        supervisor.says(re.compile(re.escape(WAITS) + ".*state.json"))
        self.answers_for(1)
        self.assertEqual(self.request("POST", "/v1/restart")[0], 409)  # it is leaving
        self.thaw(self.disk)
        supervisor.ends(0)
        self.assertEqual(self.read_json(self.state / "state.json")["finished_total"], 200)
        self.assert_nothing_left()


class Logs(HungDiskTest):
    def setUp(self):
        super().setUp()
        self.logs_folder = self.disk / "logs"
        # What the worker prints would hang with the disk, and the worker with it: that is not for the supervisor to mend.
        silent = ["/bin/sh", "-c", 'exec "$@" > /dev/null 2>&1', "sh", *self.config["worker"]["command"]]
        self.configure(logging={"directory": str(self.logs_folder)}, worker={"command": silent})

    def test_p8_p9_p11_what_is_said_meanwhile_is_on_the_console_at_once_and_in_the_log_when_the_disk_is_back(self):
        supervisor, worker = self.trains()
        self.freeze(self.disk)
        for _ in range(3):
            self.wish("start")
        self.answers_for(2, worker)
        os.kill(worker, signal.SIGKILL)  # its successor is relaunched now or later, as the disk lets its log be opened
        supervisor.says(f"worker {worker} was killed by ")
        self.some_thread_waits(supervisor)
        self.answers_for(2)
        self.thaw(self.disk)
        self.running_worker(beyond=20, other_than=worker)
        log = self.logs_folder / "supervisor.log"
        self.until(lambda: f"worker {worker} was killed by " in log.read_text(encoding="utf-8"), "the log")
        self.assertNotIn("are missing here", log.read_text(encoding="utf-8"))
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assertIn("Stopped after episode", log.read_text(encoding="utf-8"))
        self.assert_nothing_left()

    def test_p8_p11_leaving_waits_says_for_what_and_leaves_at_once_when_asked_again(self):
        supervisor, worker = self.trains()
        self.freeze(self.disk)
        supervisor.signal(signal.SIGTERM)
        self.assert_waits_and_leaves_at_once(supervisor, self.logs_folder)
        self.assertFalse(alive(worker))


class Checkpoints(HungDiskTest):
    def setUp(self):
        super().setUp()
        self.configure(checkpoints={"directory": str(self.disk / "models")},
                       supervisor={"state_directory": str(self.folder / "state")})
        self.models = self.disk / "models"

    def test_p8_p11_leaving_waits_says_for_what_and_leaves_at_once_when_asked_again(self):
        supervisor, worker = self.trains()
        self.wish("stop")
        self.in_state("stopped")
        self.freeze(self.disk)
        self.wish("start")
        self.some_thread_waits(supervisor)
        self.answers_for(1)
        supervisor.signal(signal.SIGTERM)
        self.assert_waits_and_leaves_at_once(supervisor, self.models)
        self.assertFalse(alive(worker))


if __name__ == "__main__":
    main()
