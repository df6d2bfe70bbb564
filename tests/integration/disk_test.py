#!/usr/bin/python3
"""Directories that cannot be written to and disks that are full, for real: small file systems of our own, in a mount
namespace of our own, which ends with this process. Needs root."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
from harness import ProgramTest, main  # noqa: E402

CLONE_NEWNS = 0x00020000
MIB = 1 << 20


class DiskTest(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "trainer")
    in_namespace = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if DiskTest.in_namespace:
            return
        if os.geteuid() != 0:
            raise unittest.SkipTest("mounting small file systems needs root")
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
            raise unittest.SkipTest(f"a mount namespace of our own is not allowed: {os.strerror(ctypes.get_errno())}")
        DiskTest.in_namespace = True
        made = subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise unittest.SkipTest(f"mounts cannot be made private: {made.stderr.strip()}")

    def mount(self, *arguments):
        subprocess.run(["mount", *map(str, arguments)], check=True)

    def small_disk(self, size):
        """models/ on a file system of this size."""
        self.models.mkdir()
        self.mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.models)
        self.addCleanup(self._unmount)

    def _unmount(self):
        self.kill_everything()
        subprocess.run(["umount", "--lazy", self.models], check=True)

    def fill(self):
        """Leaves not one free block."""
        with open(self.models / "ballast", "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"\0" * 65536)
            except OSError:
                pass

    def make_room(self):
        (self.models / "ballast").unlink()


class ReadOnly(DiskTest):
    def test_both_programs_say_so_and_exit_with_74(self):
        self.configure(training={"episodes": 20})
        self.train().ends(0)
        before = self.contents()
        self.mount("--bind", self.models, self.models)
        self.mount("-o", "remount,bind,ro", self.models)
        self.addCleanup(self._unmount)
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
        self.mount("--bind", self.models, self.models)
        self.mount("-o", "remount,bind,ro", self.models)
        self.addCleanup(self._unmount)
        self.configure(training={"episodes": 40})
        supervisor = self.supervise("--exit-when-done")
        supervisor.says(re.compile(r"models.*Read-only file system.*relaunching in"))
        self.assertEqual(self.contents(), before)
        self.mount("-o", "remount,bind,rw", self.models)
        output = supervisor.ends(0)
        self.assertIn("Auto-resuming from episode 20: models/model_ep20.pt", output)
        self.assertEqual(self.episodes(), [10, 20, 30, 40])


class Full(DiskTest):
    def test_training_goes_on_nothing_is_lost_and_saving_resumes_by_itself(self):
        self.small_disk(8 * MIB)
        self.configure(training={"episodes": 2000}, trading={"episode_length": 60})
        supervisor = self.supervise("--exit-when-done")
        self.saved(30)
        self.fill()
        supervisor.says("was not saved: ")
        worker = self.worker()
        there = self.digests()
        episode = self.status()["episode"]
        self.until(lambda: self.status()["episode"] > episode + 60, "training to go on")
        for n, digest in there.items():
            self.assertEqual(self.sidecar(f"model_ep{n}")["digest"], digest)
            self.assertEqual(self.ctl("checkpoints", "verify", f"ep{n}").returncode, 0)
        self.assertGreater(self.status()["at_risk"]["disk"], 50)
        self.assertRegex(supervisor.output(), r"not saved: .*(enough space|No space left)")
        self.make_room()
        self.saved(max(there) + 1)
        self.assertEqual(self.worker(), worker, "the full disk cost the worker its life")
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()

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
        self.assertIn(self.status()["state"], ("backoff", "fatal"), "relaunched at once again and again")
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
        for n in before:
            self.assertEqual(self.ctl("checkpoints", "verify", f"ep{n}").returncode, 0)
        self.assertLessEqual(before.items(), self.digests().items())

    def test_a_file_size_limit_is_a_refused_save_and_no_death(self):
        self.configure(training={"episodes": 200})
        trainer = self.start("/bin/sh", "-c", 'ulimit -f 8; exec "$@"', "sh", self.program("trainer"), "--config",
                             self.config_file)
        output = trainer.ends(74)
        self.assertRegex(output, "not saved: .*File too large")
        self.assertEqual(self.episodes(), [])
        self.assert_nothing_left()


if __name__ == "__main__":
    main()
