#!/usr/bin/python3
"""Directories that cannot be written to and disks that are full, for real (P8): small file systems of our own."""

import re
import signal
import sys

sys.dont_write_bytecode = True
from harness import main  # noqa: E402
from small_disks import MIB, DiskTest, run  # noqa: E402


class ReadOnly(DiskTest):
    needs = ("trainer-supervisor", "supervisorctl", "trainer")

    def read_only(self):
        self.mount("--bind", self.models, self.models)
        self.assertEqual(run("mount", "-o", "remount,bind,ro", self.models), "")

    def test_both_programs_say_so_and_exit_with_74(self):
        self.configure(training={"episodes": 20})
        self.train().ends(0)
        before = self.contents()
        self.read_only()
        self.configure(training={"episodes": 40})
        for process in (self.train("--auto-resume"), self.supervise("--exit-when-done")):
            output = process.ends(74)
            self.assertRegex(output, r"models.*Read-only file system")
        self.assertEqual(self.contents(), before)

    def test_only_the_checkpoints_cannot_be_written(self):
        """The supervisor's own files are elsewhere, so it starts, learns it at the launch, and waits until it has passed."""
        self.configure(training={"episodes": 20}, supervisor={"state_directory": "state"},
                       restart={"max_attempts_without_progress": 1000})
        self.train().ends(0)
        before = self.contents()
        self.read_only()
        self.configure(training={"episodes": 40})
        supervisor = self.supervise("--exit-when-done")
        supervisor.says(re.compile(r"models.*Read-only file system.*relaunching in"))
        self.assertEqual(self.contents(), before)
        self.assertEqual(run("mount", "-o", "remount,bind,rw", self.models), "")
        output = supervisor.ends(0)
        self.assertIn("Auto-resuming from episode 20: models/model_ep20.pt", output)
        self.assertEqual(self.episodes(), [10, 20, 30, 40])


class ReadOnlyForAWhile(DiskTest):
    def test_training_goes_on_while_the_disk_is_read_only_and_saving_resumes_by_itself(self):
        """A mount with a file open for writing cannot be made read-only: the lock lies on another one, and the
        supervisor's files elsewhere."""
        self.models.mkdir()
        self.mount("--bind", self.models, self.models)
        (self.models / ".lock").touch()
        (self.folder / "lock").touch()
        self.mount("--bind", self.folder / "lock", self.models / ".lock")
        self.configure(supervisor={"state_directory": "state"})
        # Not a new best model in every episode: one that is cut off in the middle leaves a file for the next start.
        self.toy_that_improves(64, 100_000, best_metric="profit", best_mode="max")
        supervisor = self.supervise("--exit-when-done")
        self.saved(30)
        worker = self.worker()
        self.until(lambda: not run("mount", "-o", "remount,bind,ro", self.models), "a moment between two saves")
        supervisor.says(re.compile(r"not saved: .*Read-only file system; .*remount"))
        there = self.digests()
        self.assert_untouched(there)
        self.train_on()
        self.assertEqual(self.digests(), there)
        self.assertEqual(run("mount", "-o", "remount,bind,rw", self.models), "")
        self.saved(max(there) + 1)
        self.assertEqual(self.worker(), worker)
        self.assert_stopped_cleanly(supervisor)


class Full(DiskTest):
    needs = ("trainer-supervisor", "supervisorctl", "trainer")

    def troubles(self):
        """Events about trouble that the worker told of."""
        events = self.request("GET", "/v1/events?limit=1000")[1]["events"]
        return [event for event in events if event["type"] == "trouble" and event["message"].startswith("worker: ")]

    def test_training_goes_on_nothing_is_lost_and_saving_resumes_by_itself(self):
        """And the status says why nothing is saved, for as long as that is so."""
        self.small_disk(8 * MIB)
        self.configure(training={"episodes": 2000}, trading={"episode_length": 60})
        supervisor = self.supervise("--exit-when-done")
        self.saved(30)
        self.fill()
        supervisor.says("was not saved: ")
        worker = self.worker()
        there = self.digests()
        self.train_on()
        self.assert_untouched(there)
        self.assertGreater(self.status()["at_risk"]["disk"], 50)
        self.assertRegex(supervisor.output(), r"not saved: .*(enough space|No space left)")
        self.assertRegex(self.status()["worker"]["says"], r"not saved: .*(enough space|No space left)")
        self.assertRegex(self.ctl("status").stdout, r"it says +.*not saved: ")
        # Loud, for whoever follows the events or has a hook; and once, however many saves are refused.
        (begun,) = self.troubles()
        self.assertEqual(begun["level"], "warn")
        self.assertRegex(begun["message"], r"not saved: .*(enough space|No space left)")
        self.make_room()
        self.saved(max(there) + 1)
        self.until(lambda: self.status()["worker"]["says"] is None, "the trouble to be over")
        self.assertEqual([event["message"] for event in self.troubles()[1:]], ["worker: the trouble is over"])
        self.assertEqual(self.worker(), worker, "the full disk cost the worker its life")
        self.assert_stopped_cleanly(supervisor)

    def test_still_full_at_the_end_is_74_with_a_sentence(self):
        self.small_disk(8 * MIB)
        trainer = self.train()
        self.saved(30)
        self.fill()
        output = trainer.ends(74)
        there = self.episodes()
        self.assertIn("episode 300 could not be saved before the end: ", output)
        self.assertIn(f"The newest checkpoint is of episode {there[-1]}.", output)
        self.assertEqual(self.ctl("checkpoints", "verify").returncode, 0)
        self.make_room()
        self.train("--auto-resume").ends(0)
        self.assertEqual(self.episodes()[-1], 300)

    def test_the_supervisor_does_not_burn_the_machine_on_a_disk_that_stays_full(self):
        self.small_disk(8 * MIB)
        self.configure(training={"episodes": 60}, restart={"max_attempts_without_progress": 3, "cooldown": "10m"})
        supervisor = self.supervise("--exit-when-done")
        self.saved(20)
        self.fill()
        self.until(lambda: self.status().get("restarts", {}).get("cannot_save", 0) >= 3 or
                   self.status().get("state") in ("backoff", "fatal"), "incidents")
        self.in_state("backoff", "fatal")  # and not relaunched at once again and again
        self.make_room()
        if self.status()["state"] == "fatal":
            self.assertEqual(self.ctl("start").returncode, 0)
        supervisor.ends(0)
        self.assertEqual(self.episodes()[-1], 60)

    def test_a_supervisor_that_starts_on_a_full_disk_survives(self):
        self.small_disk(8 * MIB)
        self.configure(training={"episodes": 2000}, trading={"episode_length": 60})
        self.supervise("--exit-when-done")
        self.saved(30)
        self.kill_everything()
        before = self.digests()
        self.fill()
        supervisor = self.supervise("--exit-when-done")
        self.until(lambda: not supervisor.running() or self.status().get("state") == "running", "a decision")
        if not supervisor.running():
            supervisor.ends(74)
        self.assert_untouched(before)
        self.assertLessEqual(before.items(), self.digests().items())

    def test_no_inode_left_is_a_full_disk_too(self):
        self.small_disk(32 * MIB, nr_inodes=40)
        self.toy_that_improves(64, 100_000)
        supervisor = self.supervise("--exit-when-done")
        self.saved(30)
        (self.models / "litter").mkdir()
        try:
            for n in range(40):
                (self.models / "litter" / str(n)).touch()
        except OSError:
            pass
        supervisor.says(re.compile("was not saved: .*No space left on device"))
        there = self.digests()
        self.train_on()
        self.assert_untouched(there)
        for path in (self.models / "litter").iterdir():
            path.unlink()
        self.saved(max(there) + 1)
        self.assert_stopped_cleanly(supervisor)


class ReallyFull:
    """What a full disk does, on a real file system in an image: the classes below do it each on its own kind."""
    kind = ""
    size = 0

    def test_p8_nothing_is_touched_training_goes_on_and_saving_resumes_by_itself(self):
        self.image_disk(self.kind, self.size)
        self.toy_that_improves(64, 100_000)
        before = self.supervise("--exit-when-done")
        self.saved(20)
        before.signal(signal.SIGTERM)
        before.ends(0)
        supervisor = self.supervise("--fresh", "--exit-when-done")
        self.saved(30)
        worker = self.worker()
        self.fill()
        supervisor.says(re.compile(
            r"episode \d+ was not saved: .*(not enough space|No space left).*free some space"
            r".* models/superseded holds [\d.]+ [KM]iB of checkpoints that were set aside: remove"))
        there, aside = self.digests(), self.set_aside("superseded")
        self.train_on()
        self.assert_untouched(there)
        self.assertEqual(self.set_aside("superseded"), aside)
        self.assertGreater(self.status()["at_risk"]["disk"], 30)
        self.make_room()
        self.saved(max(there) + 1)
        self.assertEqual(self.worker(), worker, "the full disk cost the worker its life")
        self.assert_stopped_cleanly(supervisor)

    def test_p8_almost_full_is_refused_before_anything_is_written(self):
        self.image_disk(self.kind, self.size)
        self.toy_that_improves(64, 100_000)
        supervisor = self.supervise("--fresh", "--exit-when-done")
        self.saved(30)
        (self.models / "superseded").mkdir()
        (self.models / "superseded" / "left.pt").write_bytes(b"\1" * 5000)
        self.fill(leave=MIB * 3 // 4)  # room for several, yet less than the margin
        supervisor.says(re.compile(r"not enough space in models: .*models/superseded holds 4\.9 KiB"))
        there = self.digests()
        self.assertGreater(self.free(), MIB // 4)
        self.make_room()
        self.saved(max(there) + 1)
        self.assert_stopped_cleanly(supervisor)

    def test_p8_what_a_full_disk_left_behind_is_resumed_from(self):
        """Killed in the midst of it, and started again while it lasts."""
        self.image_disk(self.kind, self.size)
        self.toy_that_improves(64, 100_000)
        self.supervise("--exit-when-done")
        self.saved(30)
        self.fill()
        self.until(lambda: "was not saved" in self.newest_output(), "the trouble")
        self.kill_everything()
        there = self.digests()
        supervisor = self.supervise("--exit-when-done")
        self.until(lambda: not supervisor.running() or self.status().get("state") == "running", "a decision")
        if not supervisor.running():
            supervisor.ends(74)
        self.assert_untouched(there)
        self.kill_everything()
        self.make_room()
        supervisor = self.supervise("--exit-when-done")
        supervisor.says(f"Auto-resuming from episode {max(there)}: ")
        self.saved(max(there) + 1)
        self.assert_stopped_cleanly(supervisor)

    def newest_output(self):
        return max(self.folder.glob("*.out"), key=lambda path: int(path.name.split("-")[0])).read_text(errors="replace")


class FullExt4(ReallyFull, DiskTest):
    kind, size = "ext4", 8 * MIB


class FullXfs(ReallyFull, DiskTest):
    kind, size = "xfs", 300 * MIB  # mkfs.xfs takes no less


if __name__ == "__main__":
    main()
