#!/usr/bin/python3
"""Promise P9: a worker that makes no progress is found, named and replaced, and one that is merely slow, starved, saving
or waiting for a disk is not; and P11: what it was doing is on record.

Most workers here are clocks_worker.py, which meets one kind of trouble in its first attempt. This machine may be busy
or its disk slow while the tests run; a worker that hangs may then be given its one extension first, and is found after
that. So nothing is said here about how soon, except that it is never too soon.
"""

import os
import pathlib
import re
import signal
import shutil
import sys
import time

sys.dont_write_bytecode = True
from harness import ProgramTest, alive, main  # noqa: E402
from small_disks import MIB, DiskTest  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
HOGS = 20


class ClocksTest(ProgramTest):
    def with_trouble(self, *trouble, **supervisor):
        """Limits of two seconds, unless others are given."""
        limits = {"heartbeat_interval": "200ms", "heartbeat_timeout": "2s", "progress_timeout": "0s"}
        self.configure(worker={"command": [sys.executable, str(HERE / "clocks_worker.py"), *map(str, trouble)]},
                       supervisor={**limits, **supervisor})
        return self.supervise("--exit-when-done")

    def assert_replaced(self, supervisor, cause, detected_by):
        """It was found, ended and replaced, once, and its folder tells of it. Returns the report and what was said."""
        output = supervisor.ends(0)
        self.assertEqual(self.restarts(), {cause: 1})
        report = self.incident(1)
        self.assertEqual((report["cause"], report["detected_by"], report["attempt"]), (cause, detected_by, 1))
        self.assertEqual((report["episode"], report["resumed_from"], report["lost_episodes"]), (2, 0, 2))
        self.assertIn(report["what"], output)
        self.assertIn("relaunching at once", report["decision"])
        self.assert_nothing_left()
        return report, output

    def assert_left_alone(self, supervisor):
        output = supervisor.ends(0)
        self.assertEqual(self.restarts(), {})
        self.assertEqual(list(self.state_folder().glob("incidents/*")), [])
        self.assert_nothing_left()
        return output

    def restarts(self):
        return self.read_json(self.state_folder() / "state.json")["restarts"]


class Found(ClocksTest):
    def test_p9_p11_a_worker_that_is_stopped_and_what_it_was_doing(self):
        supervisor = self.with_trouble("beat_only")
        worker = self.running_worker(beyond=1)
        os.kill(worker, signal.SIGSTOP)
        report, output = self.assert_replaced(supervisor, "heartbeat_lost", "heartbeat")
        self.assertIn(f"worker {worker} sent no heartbeat for 2", report["what"])
        self.assertEqual(report["silence"]["verdict"], "hung")  # however busy the machine is
        self.assertIn("stopped by a signal (SIGSTOP", report["silence"]["why"])
        self.assertIn("sending SIGTERM", output)
        self.assertEqual((report["pid"], report["exit"]), (worker, {"signal": signal.SIGTERM.value}))
        self.check_folder(report)

    def check_folder(self, report):
        folder = report["folder"]
        evidence = {part["name"]: part for part in report["evidence"]}
        for name in ("beats.txt", "threads.txt", "process.txt", "host.txt"):
            self.assertEqual((folder / name).stat().st_size, evidence[name]["bytes"])
        self.assertIn("X_TRAINER_EPISODE=2", (folder / "beats.txt").read_text(encoding="utf-8"))
        self.assertRegex((folder / "threads.txt").read_text(encoding="utf-8"), rf"(?m)^{report['pid']}\tT\t.*\tpython3")
        if shutil.which("gdb") or shutil.which("eu-stack"):
            # The interpreter's own function, by name, and the one in the kernel's library that it waits in.
            self.assertRegex((folder / "stacks.txt").read_text(encoding="utf-8"), r"nanosleep|Py\w+|sendto|select")
        else:
            self.assertIn("is installed", evidence["stacks.txt"]["why_not"])

    def test_p9_a_worker_that_sleeps(self):
        report, _ = self.assert_replaced(self.with_trouble("sleep"), "heartbeat_lost", "heartbeat")
        self.assertIn("sent no heartbeat for", report["what"])

    def test_p9_a_worker_that_computes_for_ever_and_never_beats(self):
        report, _ = self.assert_replaced(self.with_trouble("spin"), "heartbeat_lost", "heartbeat")
        self.assertRegex(report["silence"]["why"], r"\d+ % of (a CPU|one)|short of memory|disk")

    def test_p9_a_worker_that_beats_and_gets_nowhere(self):
        report, _ = self.assert_replaced(self.with_trouble("beat_only", progress_timeout="2s"), "no_progress", "progress")
        self.assertIn("beats, but its training has not moved for", report["what"])

    def test_p9_a_worker_that_changes_its_phase_for_ever_and_gets_nowhere(self):
        report, _ = self.assert_replaced(self.with_trouble("flutter", progress_timeout="1s"), "no_progress", "progress")
        self.assertIn(report["phase"], ("evaluate", "train"))

    def test_p9_a_worker_that_asks_for_it(self):
        supervisor = self.with_trouble("trigger", heartbeat_timeout="600s")
        report, _ = self.assert_replaced(supervisor, "heartbeat_lost", "heartbeat")
        self.assertIn("asked to be treated as hung", report["what"])

    def test_p9_a_worker_that_needs_more_time_than_it_asked_for_and_not_sooner(self):
        begun = time.monotonic()
        supervisor = self.with_trouble("extend_and_sleep", "--seconds", 6)
        supervisor.says("sent no heartbeat for")
        self.assertGreater(time.monotonic() - begun, 6)
        self.assert_replaced(supervisor, "heartbeat_lost", "heartbeat")

    def test_p9_a_worker_that_ignores_being_asked_to_end(self):
        supervisor = self.with_trouble("sleep", "--ignore-sigterm")
        report, output = self.assert_replaced(supervisor, "heartbeat_lost", "heartbeat")
        self.assertIn("did not end after SIGTERM; sending SIGABRT", output)
        self.assertEqual(report["exit"], {"signal": signal.SIGABRT.value})


class LeftAlone(ClocksTest):
    """Each of these is silent, or gets nowhere, for longer than the limit."""

    def test_p9_a_worker_that_asked_for_time(self):
        self.assert_left_alone(self.with_trouble("extend", "--seconds", 5, progress_timeout="2s"))

    def test_p9_a_long_save(self):
        self.assert_left_alone(self.with_trouble("save", "--seconds", 5, progress_timeout="2s"))

    def test_p9_an_evaluation_and_a_save_after_a_long_episode(self):
        """A fixed limit is for the time without progress in all phases together."""
        supervisor = self.with_trouble("phases", "--seconds", 1, progress_timeout="8s")
        self.assert_left_alone(supervisor)

    def test_p9_a_worker_of_which_nobody_knows_how_long_its_episodes_are(self):
        self.assert_left_alone(self.with_trouble("beat_only", "--seconds", 5, progress_timeout="auto"))


class Adopted(ClocksTest):
    """The supervisor is killed, and the next one finds a worker in trouble: with limits of two seconds, which the one
    before did not have."""

    def adopted(self, *trouble):
        supervisor = self.with_trouble(*trouble, progress_timeout="600s")
        worker = self.running_worker(beyond=1)
        supervisor.signal(signal.SIGKILL)
        supervisor.ends(-signal.SIGKILL)
        supervisor = self.with_trouble(*trouble, startup_timeout="2s", progress_timeout="2s")
        supervisor.says(f"adopted worker {worker}")
        return worker, supervisor

    def test_p9_one_that_beats_and_gets_nowhere_is_found(self):
        worker, supervisor = self.adopted("beat_only")
        output = supervisor.ends(0)
        self.assertIn(f"worker {worker} beats, but its training has not moved for", output)
        self.assertEqual(self.restarts(), {"no_progress": 1})
        report = self.incident(1)
        self.assertEqual((report["cause"], report["detected_by"], report["pid"]), ("no_progress", "progress", worker))
        self.assert_nothing_left()

    def test_p9_what_was_learned_of_it_outlives_its_supervisor(self):
        """There is no transition for as long as it trains."""
        def gaps():
            return self.read_json(self.state_folder() / "state.json")["progress_gaps"].get("train", {"seen": 0})
        trouble = ("steps",)
        supervisor = self.with_trouble(*trouble, progress_timeout="auto")
        worker = self.running_worker(beyond=1)
        self.until(lambda: gaps()["seen"] >= 20, "the limits that were learned")
        supervisor.signal(signal.SIGKILL)
        supervisor.ends(-signal.SIGKILL)
        learned = gaps()
        os.kill(worker, signal.SIGSTOP)  # the next one has no time to learn
        supervisor = self.with_trouble(*trouble, progress_timeout="auto")
        supervisor.says(f"adopted worker {worker}")
        self.until(lambda: "adopted" in self.read_json(self.state_folder() / "state.json")["reason"], "its first save")
        self.assertEqual(gaps(), learned)
        os.kill(worker, signal.SIGCONT)
        self.until(lambda: self.status()["worker"]["progress_limit_s"] == 60, "the limit of what was learned")
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()

    def test_p9_one_that_gets_on_is_left_alone(self):
        worker, supervisor = self.adopted("steps", "--seconds", 6)
        output = supervisor.ends(0)
        self.assertNotIn("has not moved", output)
        self.assertNotIn("no_progress", self.restarts())
        self.assertNotIn(f"sending SIGTERM to worker {worker}", output)
        self.assert_nothing_left()


class Starved(ClocksTest):
    """The worker shares one CPU with twenty others that never rest, each in a session of its own, so that it gets a
    twenty-first part whether the kernel shares by process or by session. It then needs a while of CPU to its next beat:
    far more than its limit. When it has been given its extension the others are ended, and it comes through. (Nobody can
    say how long a worker is starved by a fixed load on a machine with other work.)"""

    def setUp(self):
        super().setUp()
        try:
            pathlib.Path("/proc/pressure/cpu").read_text(encoding="ascii")
        except OSError as error:
            self.skipTest(f"the kernel does not measure the pressure on its CPUs: {error}")
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("with one CPU the supervisor would be starved too")
        self.hogs = []

    def pressure(self):
        return float(re.search(r"some avg10=([\d.]+)", pathlib.Path("/proc/pressure/cpu").read_text(encoding="ascii"))[1])

    def crowd(self):
        """Until the kernel's ten-second average shows it."""
        cpu = min(os.sched_getaffinity(0))
        script = f"import os\nos.sched_setaffinity(0, {{{cpu}}})\nwhile True: pass\n"
        self.hogs = [self.start(sys.executable, "-c", script) for _ in range(HOGS)]
        self.until(lambda: self.pressure() > 70, "the CPU to be crowded")

    def disperse(self):
        for hog in self.hogs:
            hog.signal(signal.SIGKILL)
            hog.ends(-signal.SIGKILL)

    def test_p9_a_starved_worker_gets_its_extension_and_is_not_killed(self):
        supervisor = self.with_trouble("work", "--seconds", 1, "--file", "go", heartbeat_timeout="4s")
        worker = self.running_worker(beyond=1)
        self.crowd()
        (self.folder / "go").touch()
        supervisor.says(re.compile(r"sent no heartbeat for .*: giving it 4s more, once"))
        self.disperse()
        output = self.assert_left_alone(supervisor)
        self.assertRegex(output, rf"worker {worker} sent no heartbeat for .*, but the machine is short of ")

    def test_p9_a_worker_that_sleeps_in_the_same_crowd_is_found(self):
        supervisor = self.with_trouble("sleep", heartbeat_timeout="4s")
        worker = self.running_worker(beyond=1)
        self.crowd()
        supervisor.says(f"sending SIGTERM to worker {worker}")
        self.disperse()
        self.assert_replaced(supervisor, "heartbeat_lost", "heartbeat")


class FrozenDisk(ClocksTest, DiskTest):
    """A disk that does not answer for a while: an ext4 of our own, frozen. What writes to it waits in the kernel."""
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")
    frozen_s = 8

    def test_p8_p9_training_goes_on_while_a_save_waits_for_the_disk(self):
        self.image_disk("ext4", 32 * MIB)
        self.configure(training={"episodes": 100_000}, worker={"command": self.toy("--step-ms", 2)},
                       supervisor={"heartbeat_interval": "200ms", "heartbeat_timeout": "2s", "progress_timeout": "3s"})
        supervisor = self.supervise("--exit-when-done")
        self.saved(20)
        worker = self.worker()
        self.freeze(self.models)
        there = self.episodes()[-1]
        until = time.monotonic() + self.frozen_s
        begun = seen = self.status()["episode"]
        while time.monotonic() < until:
            status = self.status()  # it answers, too
            self.assertEqual((status["state"], status["worker"]["pid"]), ("running", worker))
            seen = status["episode"]
            time.sleep(0.1)
        self.assertGreater(seen, begun + 20, "training waited for the disk")
        self.assertEqual(self.episodes()[-1], there, "that was no frozen disk")
        self.thaw(self.models)
        self.saved(seen)
        self.assertTrue(alive(worker))
        self.assertEqual(self.status()["restarts"], {})
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()

    def test_p9_a_worker_that_waits_for_the_disk_is_seen_to_and_not_killed(self):
        disk = self.folder / "disk"
        self.image_disk("ext4", 16 * MIB, disk)
        (disk / "file").touch()
        self.freeze(disk)
        supervisor = self.with_trouble("write", "--file", disk / "file")
        supervisor.says(re.compile(r"sent no heartbeat for .*: giving it 2s more, once"))
        self.thaw(disk)
        output = self.assert_left_alone(supervisor)
        self.assertIn("it waits inside the kernel for a disk or another device (state D)", output)


if __name__ == "__main__":
    main()
