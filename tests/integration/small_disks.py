"""Small file systems for tests, in a mount namespace of this process alone, which ends with it. Needs root.

A disk in an image lies on a loop device that the kernel takes back with the last mount of it, so that none is left
behind however a test ends.
"""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
from harness import PATIENCE, ProgramTest  # noqa: E402

CLONE_NEWNS = 0x00020000
MIB = 1 << 20
BALLAST = "ballast"


def run(*command):
    """Runs a system program; returns what it complained about, nothing when it did not."""
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    return "" if result.returncode == 0 else (result.stderr.strip() or f"{command[0]}: status {result.returncode}")


class SavingTest(ProgramTest):
    """Trainings whose saves meet trouble: the toy for a worker, since what saves is the session."""
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def toy_that_improves(self, archive_kib, episodes, **checkpoints):
        """The toy for a worker, with a checkpoint of about this size and a new best model in every episode."""
        self.configure(training={"episodes": episodes}, dqn={"hidden": [archive_kib * 32]},
                       worker={"command": self.toy("--step-ms", 2)},
                       checkpoints={"best_metric": "epsilon", "best_mode": "min", **checkpoints})

    def assert_untouched(self, before):
        """Every checkpoint of `before` (digests) is there and is whole."""
        for n, digest in before.items():
            self.assertEqual(self.sidecar(f"model_ep{n}")["digest"], digest)
            verified = self.ctl("checkpoints", "verify", f"ep{n}")
            self.assertEqual(verified.returncode, 0, verified.stdout)

    def train_on(self, episodes=60):
        """Waits until so many more episodes have been completed."""
        episode = self.status()["episode"]
        self.until(lambda: self.status().get("episode", 0) > episode + episodes, "training to go on")

    def assert_stopped_cleanly(self, supervisor):
        """Ends it; then all is saved, the best model too, and nothing half-written is left."""
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()
        self.assertEqual(self.half_written(), [])
        verified = self.ctl("checkpoints", "verify")
        self.assertEqual(verified.returncode, 0, verified.stdout)
        newest = self.sidecar(f"model_ep{self.episodes()[-1]}")
        best = self.sidecar("best_model")
        metric = self.config["checkpoints"]["best_metric"] if "checkpoints" in self.config else "profit"
        self.assertEqual((best["episode"], best["metrics"][metric]), (newest["best"]["episode"], newest["best"]["value"]))

    def half_written(self):
        """What only an unfinished step leaves, and archives that were never committed."""
        ours = {".lock", ".supervisor"}
        found = [path.name for path in self.models.glob(".*") if path.name not in ours]
        return sorted(found + [f"model_ep{n}.pt" for n in self.archives() if not self.pair(n)[1].exists()])

    def archives(self):
        return sorted(int(path.stem[len("model_ep"):]) for path in self.models.glob("model_ep*.pt"))

    def survives(self, trouble, sentence):
        """Training goes on in spite of the trouble, and saving resumes when it is over. `trouble`, given the worker's
        process id, begins it, and ends it when it is resumed."""
        self.toy_that_improves(64, 100_000)
        supervisor = self.supervise("--exit-when-done")
        self.saved(30)
        worker = self.worker()
        with contextlib.contextmanager(trouble)(worker):
            supervisor.says(re.compile(f"was not saved: .*{sentence}"))
            there = self.digests()
            self.train_on()
            self.assert_untouched(there)
        self.saved(max(there) + 1)
        self.assertEqual(self.worker(), worker, "the trouble cost the worker its life")
        self.assertEqual(self.status()["restarts"], {})
        self.assert_stopped_cleanly(supervisor)


class DiskTest(SavingTest):
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
        complaint = run("mount", "--make-rprivate", "/")
        if complaint:
            raise unittest.SkipTest(f"mounts cannot be made private: {complaint}")

    # ---- mounts

    def mount(self, *arguments):
        complaint = run("mount", *arguments)
        self.assertEqual(complaint, "", f"mount {arguments}")
        self.addCleanup(self._unmount, arguments[-1])

    def _unmount(self, where):
        self.kill_everything()
        self.until(lambda: not run("umount", where), f"{where} to be unmounted", 20)

    def small_disk(self, size, **options):
        """models/ on a tmpfs of this size."""
        self.models.mkdir()
        more = [f"{key}={value}" for key, value in options.items()]
        self.mount("-t", "tmpfs", "-o", ",".join([f"size={size}", *more]), "tmpfs", self.models)

    def image_disk(self, kind, size, where=None):
        """models/, or another new folder, on a real file system of this size, in an image on a loop device."""
        where = where or self.models
        if not shutil.which(f"mkfs.{kind}"):
            self.skipTest(f"mkfs.{kind} is not installed")
        image = self.folder / f"{kind}.img"
        with open(image, "wb") as file:
            file.truncate(size)
        self.assertEqual(run(f"mkfs.{kind}", "-q", image), "")
        where.mkdir()
        complaint = run("mount", "-t", kind, "-o", "loop", image, where)
        if complaint:
            self.skipTest(f"no {kind} can be mounted from an image here: {complaint}")
        self.addCleanup(self._unmount_image, image, where)

    def _unmount_image(self, image, where):
        self._unmount(where)
        self.until(lambda: not subprocess.run(["losetup", "-j", str(image)], capture_output=True, check=True).stdout,
                   f"the loop device of {image} to be gone", 20)

    # ---- a disk that does not answer

    def freeze(self, where):
        """What writes to this file system waits in the kernel, until it is thawed."""
        # Should this process be killed, nobody is left waiting for ever.
        thaw_at_last = subprocess.Popen(["/bin/sh", "-c", f"sleep {200 * PATIENCE}; exec fsfreeze -u '{where}'"],
                                        start_new_session=True)
        self.addCleanup(thaw_at_last.wait)
        self.addCleanup(lambda: os.killpg(thaw_at_last.pid, signal.SIGKILL))
        self.addCleanup(run, "fsfreeze", "-u", where)
        complaint = run("fsfreeze", "-f", where)
        if complaint:
            self.skipTest(f"the file system cannot be frozen here: {complaint}")

    def thaw(self, where):
        self.assertEqual(run("fsfreeze", "-u", where), "")

    # ---- space

    def free(self):
        there = os.statvfs(self.models)
        return there.f_bavail * there.f_frsize

    def fill(self, leave=0):
        """Leaves no more than so many bytes; none at all unless told otherwise."""
        descriptor = os.open(self.models / BALLAST, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            size, step = os.fstat(descriptor).st_size, 64 * MIB
            while step >= 4096:
                try:
                    if leave and self.free() < step + leave:
                        raise OSError
                    os.posix_fallocate(descriptor, size, step)
                    size += step
                except OSError:
                    os.ftruncate(descriptor, size)  # a reservation that fails may keep what it got
                    step //= 2
        finally:
            os.close(descriptor)

    def make_room(self):
        (self.models / BALLAST).unlink()
