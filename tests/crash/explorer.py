"""Crash-state exploration: from the system calls of a real trainer to every state that a power cut may leave, and from
each of those to what the next start makes of it (P1, P2).

    recording.py   the trainer under strace           operations.py  calls -> operations on paths and open files
    strace_log.py  text -> calls                      disk_model.py  operations -> what a power cut may leave
    promises.py    what was promised, and is it kept  mutations.py   logs of trainers that do it wrong
    explorer.py    this: puts them together           tests/support/recover_states.cpp  the next start

The method is that of ALICE (Pillai et al., OSDI 2014). What it covers: every moment between two calls of the recorded
life, saves, best models, pruning, recovery after deaths, a step back and a fresh start among them; at each moment the
states that an ordering file system *may* leave and those that only a reordering one would (disk_model.py says which).
The real code has written the log and the real code judges the states, so neither can drift away from the model unseen;
the model itself is held against the real folder after every run.

What it does not cover: where more than five operations on names wait for a sync, not every subset of them is tried but
none, all, every beginning, each alone, each missing; a file that waits for its sync is whole, half, zeros or empty, not
torn in any other way; of one cut, never a second one within the recovery from it, but for what the recorded deaths
show; disks that lie about a sync, sectors that rot, failing calls, and descriptors of a second process. It says nothing
about timing, and the toy's checkpoints are small. Writes by shared mapping or io_uring are refused, not modelled.
"""

import json
import pathlib
import shutil
import subprocess
import tempfile
from typing import NamedTuple

from disk_model import Disk
from promises import History, Look, broken, hash_of, history_of

MEMORY = pathlib.Path("/dev/shm")


class Survey(NamedTuple):
    operations: int
    crash_points: int      # moments after which the disk or the promises were other than before
    states: int            # distinct contents of the disk that a start was tried on
    judged: int            # distinct pairs of a state and the promises that it is held against
    refused: int           # of the states: the next start ended with an error. No violation where nothing was promised
    violations: list       # the first broken promise of each judgement, as a sentence
    stopped_early: bool

    def __str__(self):
        return (f"{self.operations} operations, {self.crash_points} crash points, {self.states} distinct states, "
                f"{self.judged} judgements, {self.refused} starts refused, {len(self.violations)} violations"
                + (" (stopped there)" if self.stopped_early else ""))


class Recoverer:
    """The next start, tried on states in memory: one process for all of them."""

    def __init__(self, program, environment=None):
        in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 64 << 20
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ts-crash-", dir=MEMORY if in_memory else None))
        self.process = subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment)
        self.number = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def look(self, tree, hashes, run_id):
        """Two starts after this cut."""
        self.number += 1
        root = self.folder / str(self.number)
        materialise(tree, root)
        first = self.start(root, run_id)
        after = hashed(root)
        second = self.start(root, run_id)
        after_second = hashed(root)
        shutil.rmtree(root)
        return Look(hashes, first, after, second, after_second, history_of(tree))

    def start(self, root, run_id):
        self.process.stdin.write(f"{run_id}\t{root / 'models'}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"recover_states died with status {self.process.wait()} on {root}")
        return json.loads(line)


def materialise(tree, root):
    root.mkdir()
    for path, content in sorted(tree.items()):
        if content is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(content)


def hashed(root):
    return {str(path.relative_to(root)): hash_of(path.read_bytes()) if path.is_file() else None
            for path in root.rglob("*") if path.name != ".lock"}


class Explorer:
    def __init__(self, recoverer, max_keep, enough=None):
        """Stops at the first crash point with `enough` violations; None: never."""
        self.recoverer, self.enough = recoverer, enough
        self.disk, self.history = Disk(), History(max_keep)
        self.hashes = {}   # content -> its hash
        self.looks = {}    # (state, run id) -> Look
        self.judged = set()
        self.violations = []
        self.crash_points = 0

    def explore(self, operations, check_model=True):
        for number, operation in enumerate(operations):
            if operation.kind == "check":
                if check_model and self.disk.live_tree() != operation.run:
                    raise AssertionError(f"model and real folder differ: {difference(self.disk, operation.run)}")
                continue
            promised = self.history.now
            changed = self.disk.perform(operation)
            self.history.perform(operation, self.disk)
            if not changed and self.history.now == promised:
                continue
            self.crash_points += 1
            self.cut(f"after operation {number}, {operation.kind} {operation.path} {operation.to}".rstrip())
            if self.enough and len(self.violations) >= self.enough:
                return self.survey(number + 1, True)
        return self.survey(len(operations), False)

    def survey(self, operations, stopped):
        refused = sum("error" in look.first for look in self.looks.values())
        return Survey(operations, self.crash_points, len(self.looks), len(self.judged), refused, self.violations,
                      stopped)

    def cut(self, moment):
        """The power goes now."""
        promises = self.history.now
        for tree in self.disk.crash_trees():
            hashes = {path: None if content is None else self.hash(content) for path, content in tree.items()}
            state = (frozenset(hashes.items()), promises.run_id)
            if (state, promises) in self.judged:
                continue
            self.judged.add((state, promises))
            if state not in self.looks:
                self.looks[state] = self.recoverer.look(tree, hashes, promises.run_id)
            sentences = broken(promises, self.looks[state])
            if sentences:
                self.violations.append(f"{moment}: {sentences[0]}")

    def hash(self, content):
        if content not in self.hashes:
            self.hashes[content] = hash_of(content)
        return self.hashes[content]


def difference(disk, real):
    model = disk.live_tree()
    return sorted(path for path in model.keys() | real.keys() if model.get(path, 0) != real.get(path, 0))[:10]
