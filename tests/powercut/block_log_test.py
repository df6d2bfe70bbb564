#!/usr/bin/python3
"""What the power cuts stand on: of a disk's log, what has to be left and what may be."""

import pathlib
import random
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import block_log  # noqa: E402
from block_log import Cut, Disks, Entry, FLUSH, MARK, SURVIVALS, WRITE, ZERO  # noqa: E402

SECTOR = 4


def write(offset, data):
    return Entry(WRITE, offset, len(data), data)


BEFORE = bytes(16)
LOG = [write(0, b"aaaa"), Entry(FLUSH), write(4, b"bbbb"), Entry(MARK, 7), write(2, b"cccc"), Entry(FLUSH),
       write(8, b"dddddddd"), Entry(ZERO, 0, 2)]


class DiskTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.base = self.folder / "base.img"
        self.base.write_bytes(BEFORE)

    def after(self, position, survival, seed=1):
        return Disks(self.base, LOG, SECTOR, self.folder).after(Cut(position, survival, seed)).read_bytes()

    def test_what_was_flushed_is_there_and_nothing_else_has_to_be(self):
        for position, expected in ((0, bytes(16)), (1, bytes(16)), (2, b"aaaa" + bytes(12)), (5, b"aaaa" + bytes(12)),
                                   (6, b"aaccccbb" + bytes(8)), (8, b"aaccccbb" + bytes(8))):
            self.assertEqual(self.after(position, "none"), expected, position)

    def test_all_that_was_written_may_be_there_and_a_later_write_covers_an_earlier_one(self):
        self.assertEqual(self.after(5, "all"), b"aaccccbb" + bytes(8))
        self.assertEqual(self.after(8, "all"), b"\0\0ccccbbdddddddd")

    def test_a_write_is_torn_where_a_sector_of_the_disk_ends(self):
        states = {self.after(7, "some sectors", seed) for seed in range(100)}
        rest = b"aaccccbb"
        self.assertEqual(states, {rest + tail for tail in (bytes(8), b"dddd" + bytes(4), bytes(4) + b"dddd", b"dddddddd")})
        self.assertEqual({self.after(7, "all, the last one torn", seed) for seed in range(100)},
                         {rest + bytes(8), rest + b"dddd" + bytes(4)})
        self.assertEqual([(part.offset, part.data) for part in block_log.sectors(write(2, b"cccc"), SECTOR)],
                         [(2, b"cc"), (4, b"cc")])

    def test_any_part_of_the_unflushed_writes_may_be_left(self):
        def left(survival):
            cuts = [Cut(5, survival, seed) for seed in range(100)]
            return {tuple(entry.data for entry in block_log.survivors(LOG, cut, SECTOR)) for cut in cuts}

        self.assertEqual(left("some"), {(), (b"bbbb",), (b"cccc",), (b"bbbb", b"cccc")})
        self.assertEqual(left("one"), {(b"bbbb",), (b"cccc",)})
        self.assertEqual(left("all but one"), {(b"bbbb",), (b"cccc",)})

    def test_a_cut_directly_after_a_flush_leaves_one_state(self):
        for survival in SURVIVALS:
            self.assertEqual(self.after(6, survival), b"aaccccbb" + bytes(8), survival)

    def test_the_same_seed_leaves_the_same_disk(self):
        rng = random.Random(3)
        for survival in SURVIVALS:
            seed = rng.randrange(1 << 32)
            self.assertEqual(self.after(8, survival, seed), self.after(8, survival, seed))

    def test_cuts_in_order_leave_what_each_alone_would(self):
        disks = Disks(self.base, LOG, SECTOR, self.folder)
        together = [disks.after(Cut(position, "some", position)).read_bytes() for position in range(9)]
        self.assertEqual(together, [self.after(position, "some", position) for position in range(9)])
        with self.assertRaises(ValueError):
            disks.after(Cut(0, "none", 1))

    def test_a_mark_counts_from_its_place_on(self):
        self.assertEqual([block_log.mark_before(LOG, position) for position in (3, 4, 8)], [None, 7, 7])

    def test_a_log_is_read_as_it_was_written(self):
        path = self.folder / "log"
        with open(path, "wb") as file:
            for entry in LOG:
                block_log.append(file, *entry)
        self.assertEqual(block_log.read(path), LOG)


if __name__ == "__main__":
    unittest.main()
