#!/usr/bin/python3
"""Promises P1, P2 and P3 on real file systems: the power goes at any moment, the file system recovers by its own journal
from what the disk has kept, and the next start finds what was acknowledged, whole, and trains on to the same end.

    recorder.py    a disk that remembers          life.py           what was promised when
    block_log.py   what a cut may leave of it     disk_recording.py  the trainer on that disk
    powercut_test.py   this: cuts, mounts, starts the next trainer, judges with tests/crash/promises.py

A disk with a volatile cache: the writes before the last flush are there, of the others anything, in sectors. Not
covered: disks that lie about a flush (the negative control shows what that comes to), sectors that rot, a second cut in
the middle of a recovery, file systems whose settings are not the defaults.

Needs root, /dev/fuse, loop devices. TS_POWERCUT=N cuts N times on each file system, TS_POWERCUT=all after every entry of
the log in every way; TS_POWERCUT_SEED=N draws the same cuts, of another recording.
"""

import collections
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import block_log  # noqa: E402
import life  # noqa: E402
from disk_recording import BTRFS, EXT4, XFS, RecordingTest, tree_of  # noqa: E402
from explorer import Recoverer, hashed  # noqa: E402
from recording import require_strace  # noqa: E402
from promises import Look, hash_of, hashes_of, history_of  # noqa: E402
from small_disks import run  # noqa: E402
from harness import main  # noqa: E402

CUTS = os.environ.get("TS_POWERCUT", "120")
SEED = int(os.environ.get("TS_POWERCUT_SEED") or random.SystemRandom().randrange(1 << 32))
CONTROL_CUTS = 20
TO_THE_END_EVERY = 3  # cuts
# fsync says yes and does nothing.
VOID = ("-f", "-qq", "-o", os.devnull, "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-e",
        "inject=fsync,fdatasync:retval=0")


def is_acknowledgement(moment):
    return "X_TRAINER_CHECKPOINT=" in moment.said


def choose(recorded, count):
    """Half of them directly after an acknowledgement, where the most is owed; in order."""
    rng = random.Random(SEED)
    positions = recorded.positions(lambda _: True)
    acknowledged = recorded.positions(is_acknowledgement)
    cuts = []
    for number in range(count):
        position = rng.choice(acknowledged) if number % 2 else rng.randint(positions[0], positions[-1])
        survival = "none" if number % 4 == 1 else rng.choice(list(block_log.SURVIVALS))
        cuts.append(block_log.Cut(position, survival, rng.randrange(1 << 32)))
    return sorted(cuts)


def every(recorded):
    positions = recorded.positions(lambda _: True)
    return [block_log.Cut(position, survival, SEED + position)
            for position in range(positions[0], positions[-1] + 1) for survival in block_log.SURVIVALS]


class PowerCutTest(RecordingTest):
    kind = None

    def explore(self, recorded, cuts):
        """The violations: the cut and a sentence."""
        violations, trained, began = [], 0, time.monotonic()
        disks = block_log.Disks(recorded.base, recorded.entries, self.kind.sector, self.disks)
        with Recoverer(self.program("recover_states")) as recoverer:
            for number, cut in enumerate(cuts):
                mark = block_log.mark_before(recorded.entries, cut.position)
                moment = recorded.moments[mark]
                to_the_end = number % TO_THE_END_EVERY == 0 and moment.promises.back_to is None
                found = self.judge(disks.after(cut), recorded, mark, recoverer, to_the_end)
                trained += to_the_end
                if found:
                    violations.append((cut, f"{cut}, after {moment.said!r}: {found[0]}"))
        print(f"{self.kind.name}: {len(cuts)} cuts, {trained} trained to the end, {len(violations)} violations, "
              f"{time.monotonic() - began:.0f} s")
        return violations

    def judge(self, image, recorded, mark, recoverer, to_the_end):
        """What is wrong with this disk, cut between this mark and the next."""
        moment, where = recorded.moments[mark], self.disks / "after"
        complaint = self.mount_image(self.kind, image, where)
        if complaint:
            return ["the file system does not recover: " + complaint]
        try:
            tree = tree_of(where)
            first = recoverer.start(where, moment.promises.run_id)
            after = hashed(where)
            second = recoverer.start(where, moment.promises.run_id)
            look = Look(hashes_of(tree), first, after, second, hashed(where), history_of(tree))
            return life.verdict(recorded.moments, mark, look) or (
                self.train_to_the_end(where / "models", moment.story, recorded.contents) if to_the_end else [])
        finally:
            self.unmount(where)

    def train_to_the_end(self, models, story, contents):
        trainer = self.start_trainer(models, story, story.episodes, "--auto-resume", "--step-ms", 0)
        while trainer.running():
            self.heard(0.01)
        trainer.ends(0)
        last = models / f"model_ep{story.episodes}.pt"
        if not last.exists() or hash_of(last.read_bytes()) != contents[story][story.episodes]:
            return ["training goes on and ends in other weights than those of a run that was never interrupted"]
        return []

    def flushes(self, recorded):
        """For each acknowledgement, flushes of the disk."""
        positions = recorded.positions(lambda _: True)
        kinds = collections.Counter(entry.kind for entry in recorded.entries[positions[0]:positions[-1]])
        acknowledged = len(recorded.positions(is_acknowledgement))
        print(f"{self.kind.name}: recorded {kinds[block_log.WRITE]} writes, {kinds[block_log.FLUSH]} flushes, "
              f"{acknowledged} acknowledgements; seed {SEED}")
        return kinds[block_log.FLUSH] / acknowledged

    def keep(self, recorded, cut):
        """The disk that breaks a promise, for whoever has to find out why."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"ts-powercut-{self.kind.name}-"))
        disks = block_log.Disks(recorded.base, recorded.entries, self.kind.sector, folder)
        disks.after(cut)
        for name in ("base.img", "log"):
            shutil.move(self.disks / name, folder)
        return folder


class Cuts:
    """The claims, for each file system."""

    def test_p1_p2_p3_a_power_cut_leaves_what_was_acknowledged_and_training_goes_on_from_it(self):
        recorded = self.record(self.kind, life.LIFE)
        self.assertGreater(self.flushes(recorded), 2, "a save takes several flushes: do they arrive?")
        self.assertGreater(len(recorded.positions(is_acknowledgement)), 20)
        cuts = every(recorded) if CUTS == "all" else choose(recorded, int(CUTS))
        violations = self.explore(recorded, cuts)
        if violations:
            said = "\n".join(sentence for _, sentence in violations[:5])
            self.fail(f"{len(violations)} violations; the disk of the first one is kept in "
                      f"{self.keep(recorded, violations[0][0])}:\n{said}")

    def test_control_without_fsync_what_was_acknowledged_is_lost(self):
        recorded = self.record(self.kind, (life.UNDISTURBED,), require_strace(), *VOID)
        self.assertLess(self.flushes(recorded), 1, "fsync was to do nothing")
        self.assert_noticed(recorded)

    def test_control_without_fsync_of_the_directory_what_was_acknowledged_is_lost(self):
        recorded = self.record(self.kind, (life.UNDISTURBED,), require_strace(), *VOID, "-P", self.disks / "world/models")
        self.assertGreater(self.flushes(recorded), 1, "the files were to be synced")
        self.assert_noticed(recorded)

    def assert_noticed(self, recorded):
        violations = self.explore(recorded, choose(recorded, CONTROL_CUTS))
        self.assertGreater(len(violations), 0, "the rig does not notice that nothing is synced")
        self.assertRegex("\n".join(sentence for _, sentence in violations),
                         "the acknowledged checkpoint of episode [0-9]+ is lost")


class Ext4(Cuts, PowerCutTest):
    kind = EXT4


class Xfs(Cuts, PowerCutTest):
    kind = XFS


class Btrfs(Cuts, PowerCutTest):
    kind = BTRFS


if __name__ == "__main__":
    main()
