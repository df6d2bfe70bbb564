"""What a disk was asked to do, in order, and what a power cut may leave of it. Pure, but for reading and writing files.

A disk has a cache that loses its power too. What was written before the last completed flush is there after a cut; of
what was written since, any part may be, down to single sectors. A mark is a note of the test's own, at its place
between the writes.
"""

import os
import random
import struct
import subprocess
from typing import NamedTuple

WRITE, ZERO, FLUSH, MARK = range(1, 5)
HEADER = struct.Struct("<BQQ")  # kind, offset (of a mark: its number), length; a write's bytes follow
CHUNK = 1 << 20


class Entry(NamedTuple):
    kind: int
    offset: int = 0
    length: int = 0
    data: bytes = b""


def append(file, kind, offset=0, length=0, data=b""):
    file.write(HEADER.pack(kind, offset, length))
    file.write(data)


def read(path):
    entries = []
    with open(path, "rb") as file:
        while head := file.read(HEADER.size):
            kind, offset, length = HEADER.unpack(head)
            entries.append(Entry(kind, offset, length, file.read(length) if kind == WRITE else b""))
    return entries


class Cut(NamedTuple):
    """The power goes after this many entries. `survival` says what is left of the writes that no flush covers."""
    position: int
    survival: str
    seed: int

    def __str__(self):
        return f"cut after entry {self.position}, of the unflushed writes {self.survival} (seed {self.seed})"


def whole(entries, _, __):
    return entries


def none(_, __, ___):
    return []


def some(entries, _, rng):
    return [entry for entry in entries if rng.random() < 0.5]


def all_but_one(entries, _, rng):
    lost = rng.randrange(len(entries)) if entries else 0
    return entries[:lost] + entries[lost + 1:]


def one(entries, _, rng):
    return [rng.choice(entries)] if entries else []


def torn(entries, sector, rng):
    """Of every write, some of its sectors."""
    share = rng.random()
    return [part for entry in entries for part in sectors(entry, sector) if rng.random() < share]


def torn_last(entries, sector, rng):
    """Everything, and of the last write its beginning."""
    if not entries:
        return []
    parts = sectors(entries[-1], sector)
    return entries[:-1] + parts[:rng.randrange(len(parts))]


SURVIVALS = {"none": none, "all": whole, "some": some, "all but one": all_but_one, "one": one, "some sectors": torn,
             "all, the last one torn": torn_last}


def sectors(entry, size):
    """Disks write sectors whole. Their boundaries are the disk's, not the write's."""
    parts, at = [], entry.offset
    end = entry.offset + entry.length
    while at < end:
        until = min(end, at - at % size + size)
        data = entry.data[at - entry.offset:until - entry.offset]
        parts.append(Entry(entry.kind, at, until - at, data))
        at = until
    return parts


def flushed_until(entries, position):
    """How many of the first `position` entries the last flush among them covers."""
    return next((at for at in range(position, 0, -1) if entries[at - 1].kind == FLUSH), 0)


def survivors(entries, cut, sector):
    """What is left of the writes since the last flush."""
    since = [entry for entry in entries[flushed_until(entries, cut.position):cut.position]
             if entry.kind in (WRITE, ZERO)]
    return SURVIVALS[cut.survival](since, sector, random.Random(cut.seed))


def mark_before(entries, position):
    """The number of the last mark before the cut; None: there is none."""
    return next((entry.offset for entry in reversed(entries[:position]) if entry.kind == MARK), None)


class Disks:
    """Disks as cuts leave them, as image files. Cuts have to come in order: the flushed part only grows."""

    def __init__(self, base, entries, sector, folder):
        self._entries, self._sector = entries, sector
        self._flushed, self._until = folder / "flushed.img", 0
        self._cut = folder / "cut.img"
        copy(base, self._flushed)

    def after(self, cut):
        """The same file each time."""
        until = flushed_until(self._entries, cut.position)
        if until < self._until:
            raise ValueError("the cuts are not in order")
        perform(self._entries[self._until:until], self._flushed)
        self._until = until
        copy(self._flushed, self._cut)
        perform(survivors(self._entries, cut, self._sector), self._cut)
        return self._cut


def perform(entries, image):
    descriptor = os.open(image, os.O_WRONLY)
    try:
        for entry in entries:
            if entry.kind == WRITE:
                os.pwrite(descriptor, entry.data, entry.offset)
            elif entry.kind == ZERO:
                zero(descriptor, entry.offset, entry.length)
    finally:
        os.close(descriptor)


def zero(descriptor, offset, length):
    for at in range(offset, offset + length, CHUNK):
        os.pwrite(descriptor, bytes(min(CHUNK, offset + length - at)), at)


def copy(image, to):
    """Holes stay holes."""
    subprocess.run(["cp", "--sparse=always", str(image), str(to)], check=True)
