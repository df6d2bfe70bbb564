#!/usr/bin/python3
"""Promises P1, P2 and P3 on real file systems: the power goes at any moment, the file system recovers by its own journal
from what the disk has kept, and the next start finds what was acknowledged, whole, and trains on to the same end.

    recorder.py        a disk that remembers         block_log.py      what a cut may leave of it
    disk_recording.py  the trainer on that disk      cuts.py           which cuts, and mounting what they leave
    life.py            what was promised when        powercut_test.py  this: the next trainer, and its judge
    supervised_test.py the next supervisor instead

A disk with a volatile cache: the writes before the last flush are there, of the others anything, in sectors. Not
covered: disks that lie about a flush (the negative control shows what that comes to), sectors that rot, a second cut in
the middle of a recovery, file systems whose settings are not the defaults.

Needs root, /dev/fuse, loop devices, and for the negative controls strace. TS_POWERCUT=N cuts N times on each file system,
TS_POWERCUT=all after every entry of the log in every way; TS_POWERCUT_SEED=N draws the same cuts, of another recording.
The disk that breaks a promise is kept, with the log.
"""

import os
import sys

sys.dont_write_bytecode = True
import life  # noqa: E402
from cuts import CutTest, as_many_as, choose, is_acknowledgement  # noqa: E402
from disk_recording import BTRFS, EXT4, XFS, tree_of  # noqa: E402
from explorer import Recoverer, hashed  # noqa: E402
from recording import require_strace  # noqa: E402
from promises import Look, hash_of, hashes_of, history_of  # noqa: E402
from harness import main  # noqa: E402

USUAL_CUTS = 120
CONTROL_CUTS = 20
TO_THE_END_EVERY = 3  # cuts
# fsync says yes and does nothing.
VOID = ("-f", "-qq", "-o", os.devnull, "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-e",
        "inject=fsync,fdatasync:retval=0")


class TrainerTest(CutTest):
    def explore(self, recorded, cuts):
        with Recoverer(self.program("recover_states")) as self.recoverer:
            return super().explore(recorded, cuts)

    def next_start(self, recorded, mark, number):
        moment = recorded.moments[mark]
        tree = tree_of(self.world)
        first = self.recoverer.start(self.world, moment.promises.run_id)
        after = hashed(self.world)
        second = self.recoverer.start(self.world, moment.promises.run_id)
        look = Look(hashes_of(tree), first, after, second, hashed(self.world), history_of(tree))
        found = life.verdict(recorded.moments, mark, look)
        if found or number % TO_THE_END_EVERY or moment.promises.back_to is not None:
            return found
        return self.train_to_the_end(moment.story, recorded.contents)

    def train_to_the_end(self, story, contents):
        trainer = self.start_trainer(self.models, story, story.episodes, "--auto-resume", "--step-ms", 0)
        while trainer.running():
            self.heard(0.01)
        trainer.ends(0)
        last = self.models / f"model_ep{story.episodes}.pt"
        if not last.exists() or hash_of(last.read_bytes()) != contents[story][story.episodes]:
            return ["training goes on and ends in other weights than those of a run that was never interrupted"]
        return []


class Claims:
    """Of a TrainerTest, on any file system."""

    def test_p1_p2_p3_a_power_cut_leaves_what_was_acknowledged_and_training_goes_on_from_it(self):
        recorded = self.record(self.kind, life.LIFE)
        self.assertGreater(self.flushes(recorded), 2, "a save takes several flushes: do they arrive?")
        self.assertGreater(len(recorded.positions(is_acknowledgement)), 10)
        self.assert_kept(recorded, as_many_as(USUAL_CUTS, recorded))

    def test_control_without_fsync_what_was_acknowledged_is_lost(self):
        recorded = self.record(self.kind, (life.UNDISTURBED,), require_strace(), *VOID)
        self.assertLess(self.flushes(recorded), 1, "fsync was to do nothing")
        self.assert_noticed(recorded)

    def test_control_without_fsync_of_the_directory_what_was_acknowledged_is_lost(self):
        recorded = self.record(self.kind, (life.UNDISTURBED,), require_strace(), *VOID, "-P", self.models)
        self.assertGreater(self.flushes(recorded), 1, "the files were to be synced")
        self.assert_noticed(recorded)

    def assert_noticed(self, recorded):
        violations = self.explore(recorded, choose(recorded, CONTROL_CUTS))
        self.assertGreater(len(violations), 0, "the rig does not notice that nothing is synced")
        self.assertRegex("\n".join(sentence for _, sentence in violations),
                         "the acknowledged checkpoint of episode [0-9]+ is lost")


class Ext4(Claims, TrainerTest):
    kind = EXT4


class Xfs(Claims, TrainerTest):
    kind = XFS


class Btrfs(Claims, TrainerTest):
    kind = BTRFS


if __name__ == "__main__":
    main()
