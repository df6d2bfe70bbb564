"""Cuts of a recorded life, and a test that judges the disk that each of them leaves: the file system first, by mounting
it, then whatever the test starts on it.

Environment: TS_POWERCUT, how many cuts, or all; TS_POWERCUT_SEED, to draw the same ones again, of another recording.
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
from disk_recording import RecordingTest  # noqa: E402

CUTS = os.environ.get("TS_POWERCUT", "")
SEED = int(os.environ.get("TS_POWERCUT_SEED") or random.SystemRandom().randrange(1 << 32))


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


def as_many_as(usual, recorded):
    """As many cuts as usual, or as are asked for."""
    return every(recorded) if CUTS == "all" else choose(recorded, int(CUTS or usual))


class CutTest(RecordingTest):
    kind = None

    def explore(self, recorded, cuts):
        """The violations: the cut and a sentence."""
        violations, began = [], time.monotonic()
        disks = block_log.Disks(recorded.base, recorded.entries, self.kind.sector, self.disks)
        for number, cut in enumerate(cuts):
            mark = block_log.mark_before(recorded.entries, cut.position)
            found = self.judge(disks.after(cut), recorded, mark, number)
            if found:
                violations.append((cut, f"{cut}, after {recorded.moments[mark].said!r}: {found[0]}"))
        print(f"{self.kind.name}: {len(cuts)} cuts, {len(violations)} violations, {time.monotonic() - began:.0f} s")
        return violations

    def judge(self, image, recorded, mark, number):
        """What is wrong with this disk, cut between this mark and the next."""
        complaint = self.mount_image(self.kind, image, self.world)
        if complaint:
            return ["the file system does not recover: " + complaint]
        try:
            return self.next_start(recorded, mark, number)
        except AssertionError as error:
            return [f"the next start comes to nothing: {error}"]
        finally:
            self.unmount(self.world)

    def next_start(self, recorded, mark, number):
        """What is wrong with what is in self.world, and with what comes of a start there."""
        raise NotImplementedError

    def assert_kept(self, recorded, cuts):
        violations = self.explore(recorded, cuts)
        if violations:
            said = "\n".join(sentence for _, sentence in violations[:5])
            self.fail(f"{len(violations)} violations; the disk of the first one is kept in "
                      f"{self.keep(recorded, violations[0][0])}:\n{said}")

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
        block_log.copy(recorded.base, folder)
        shutil.copy(self.disks / "log", folder)
        return folder
