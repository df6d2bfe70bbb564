#!/usr/bin/python3
"""Promises P1, P3 and P5 on a whole machine: a virtual one, with the package installed, under systemd, whose emulator is
killed at random moments of a training and booted again. After each cut the newest checkpoint that the machine had told us
of is there and valid, the run goes on by itself, from there or from a later one, and ends in the same weights.

What a cut takes is the guest's own memory, the page cache included, which guest.py keeps from being written back by
itself. What the guest's disk has been given is kept, since the kernel below lives on; a disk with a volatile cache of its
own, from which a cut takes any part of what was not flushed, is what powercut_test.py and supervised_test.py are about.

Needs root, qemu-system-x86_64, and a mirror of Debian to fetch a kernel from, once. TS_MACHINE_CUTS=N cuts N times (2);
TS_POWERCUT_SEED=N draws the same moments, as far as two boots are alike.
"""

import json
import os
import random
import re
import shutil
import signal
import sys
import time

sys.dont_write_bytecode = True
import guest  # noqa: E402
from harness import main  # noqa: E402
from small_disks import DiskTest, run  # noqa: E402

CUTS = int(os.environ.get("TS_MACHINE_CUTS") or 2)
SEED = int(os.environ.get("TS_POWERCUT_SEED") or random.SystemRandom().randrange(1 << 32))
SAVE_FREQUENCY = 2
STEPS, STEP_MS = 5, 20  # so that an episode takes no less than a tenth of a second
SEED_OF_TRAINING, HIDDEN = 7, [1024]
MOST_SAVES = 5          # until a cut
LONGEST_LIFE_S = 12     # of those that are cut at any moment
# Enough for none to come to its end before its cut, however fast the machine.
EPISODES = 30 + sum(10 * LONGEST_LIFE_S if number % 3 == 2 else 30 for number in range(CUTS))
PATIENCE_S = 180        # for a boot, and whatever else a slow machine has to do
SAVED = re.compile(r"^episode (\d+)/\d+ saved \(", re.MULTILINE)
BEGUN = re.compile(r"^(?:Starting training: |Resuming training from episode (\d+)/)", re.MULTILINE)
FINISHED = re.compile(r"^Finished: episode ", re.MULTILINE)


class VirtualMachine(DiskTest):
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def setUp(self):
        guest.require()
        super().setUp()
        self.kernel = guest.fetched("linux-image-cloud-amd64")
        busybox = guest.fetched("busybox-static") / "bin/busybox"
        self.disks = self.folder / "disks"
        self.disks.mkdir()
        self.mount("-t", "tmpfs", "-o", "size=2g", "tmpfs", self.disks)
        self.initrd, self.disk = self.disks / "initrd", self.disks / "disk.img"
        guest.write_initrd(self.initrd, self.kernel, busybox)
        self.goal, self.boots, self.acknowledged, self.emulator = 0, 0, 0, None
        self.rng = random.Random(SEED)

    def make_machine(self, episodes, preload=None):
        self.goal = episodes
        layers, merged, tree = (self.disks / name for name in ("layers", "merged", "tree"))
        for folder in (layers / "upper", layers / "work", merged, tree):
            folder.mkdir(parents=True)
        package = guest.build_package(self.disks / "package")
        self.mount("-t", "overlay", "-o", f"lowerdir=/,upperdir={layers}/upper,workdir={layers}/work", "overlay", merged)
        guest.install(merged, package, lambda text: self.with_the_toy(text, episodes), preload)
        guest.copy_selected(merged, tree)
        guest.write_disk(self.disk, tree)
        shutil.rmtree(tree)

    @staticmethod
    def with_the_toy(text, episodes):
        text = text.replace("\ncheckpoints:\n", f"\ncheckpoints:\n  save_frequency: {SAVE_FREQUENCY}\n")
        toy = ["/usr/local/bin/toy_trainer", "--config", "{config}", "--steps", str(STEPS), "--step-ms", str(STEP_MS)]
        return (f"{text}training: {{episodes: {episodes}, seed: {SEED_OF_TRAINING}}}\ndqn: {{hidden: {HIDDEN}}}\n"
                f"worker: {{command: {json.dumps(toy)}}}\n")

    def undisturbed(self):
        """The archive of the last episode of a run that nothing disturbs, here."""
        self.configure(training={"episodes": self.goal, "seed": SEED_OF_TRAINING}, dqn={"hidden": HIDDEN},
                       checkpoints={"directory": "undisturbed"})
        self.start("toy_trainer", "--config", self.config_file, "--steps", STEPS, "--step-ms", 0).ends(0)
        return (self.folder / f"undisturbed/model_ep{self.goal}.pt").read_bytes()

    # ---- its lives

    def boot(self):
        self.boots += 1
        self.told = self.folder / f"told-{self.boots}.log"
        self.told.touch()
        self.emulator = self.start(*guest.emulator(self.kernel, self.initrd, self.disk,
                                                   self.folder / f"console-{self.boots}.log", self.told))

    def said(self):
        """What the worker has said in this boot."""
        return self.told.read_text(encoding="utf-8", errors="replace")

    def hears(self, holds, what):
        def there():
            self.assertTrue(self.emulator.running(), "the machine went down by itself")
            return holds()
        return self.until(there, what, PATIENCE_S)

    def saved(self):
        """The newest episode acknowledged in this boot."""
        return max((int(one[1]) for one in SAVED.finditer(self.said())), default=0)

    def resumes(self):
        """Waits for the training, which is to go on from no earlier than what was acknowledged."""
        begun = self.hears(lambda: BEGUN.search(self.said()), "the training after a boot")
        resumed = int(begun[1]) - 1 if begun[1] else 0
        self.assertGreaterEqual(resumed, self.acknowledged, "resumed from an earlier one than was acknowledged")

    def cut(self):
        self.emulator.signal(signal.SIGKILL)
        self.emulator.ends(-signal.SIGKILL)
        self.acknowledged = max(self.acknowledged, self.saved())

    def hears_of_saves(self, count):
        """Waits for so many that have not been heard of before."""
        before = max(self.acknowledged, self.saved())
        new = lambda: {one[1] for one in SAVED.finditer(self.said()) if int(one[1]) > before}
        self.hears(lambda: len(new()) >= count, f"{count} more checkpoints")

    # ---- its disk

    def look(self):
        """What is wrong with the disk as the cut has left it, and the archive of the last episode, if it is there. On a copy:
        the next boot is to recover the file system by itself."""
        image, world = self.disks / "copy.img", self.disks / "world"
        shutil.copyfile(self.disk, image)
        world.mkdir(exist_ok=True)
        self.assertEqual(run("mount", "-t", "ext4", "-o", "loop", image, world), "", "the file system does not recover")
        try:
            self.models = world / "var/lib/trainer-supervisor/models"
            last, _ = self.pair(self.goal)
            return self.complaint(), last.read_bytes() if last.exists() else b""
        finally:
            self.until(lambda: not run("umount", world), "the copy to be unmounted", 20)

    def complaint(self):
        if not self.acknowledged:
            return ""
        if not all(file.exists() for file in self.pair(self.acknowledged)):
            return f"the acknowledged checkpoint of episode {self.acknowledged} is lost"
        self.configure(checkpoints={"directory": str(self.models)})
        verified = self.ctl("checkpoints", "verify", f"ep{self.acknowledged}")
        return "" if verified.returncode == 0 else f"an acknowledged checkpoint is not valid: {verified.stdout}"

    def cut_at_random(self, number):
        """Mostly soon after a checkpoint was acknowledged, when the most is owed; every third time at any moment from the
        start of the boot, in which nothing new may have been acknowledged."""
        if number % 3 == 2:
            time.sleep(self.rng.uniform(0, LONGEST_LIFE_S))
        else:
            self.resumes()
            self.hears_of_saves(self.rng.randint(1, MOST_SAVES))
            time.sleep(self.rng.choice((0, self.rng.uniform(0, 0.5))))
        self.assertNotRegex(self.said(), FINISHED, "the training was over before the cut")
        self.cut()


class PowerCuts(VirtualMachine):
    def test_p1_p3_p5_after_each_cut_the_machine_goes_on_from_what_was_acknowledged_to_the_same_end(self):
        print(f"{CUTS} cuts, seed {SEED}")
        self.make_machine(EPISODES)
        for number in range(CUTS):
            self.boot()
            self.cut_at_random(number)
            complaint, _ = self.look()
            self.assertEqual(complaint, "", f"after cut {number + 1}")
        self.boot()
        self.resumes()
        self.hears(lambda: FINISHED.search(self.said()), "the end of the training")
        self.cut()
        self.assertEqual(self.acknowledged, EPISODES)
        complaint, last = self.look()
        self.assertEqual(complaint, "", "after the end")
        self.assertEqual(last == self.undisturbed(), True, "it ended in other weights than a run that nothing disturbed")

    def test_control_without_fsync_what_was_acknowledged_is_lost(self):
        self.make_machine(EPISODES, preload=guest.no_fsync())
        self.boot()
        self.resumes()
        self.hears_of_saves(MOST_SAVES)
        self.cut()
        complaint, _ = self.look()
        self.assertRegex(complaint, "the acknowledged checkpoint of episode [0-9]+ is lost",
                         "the rig does not notice that nothing is synced")


if __name__ == "__main__":
    main()
