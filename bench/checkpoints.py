#!/usr/bin/python3
"""Measures the checkpoint engine beside its peers, interleaved in one run, and prints one table.

    cmake --preset release -DBUILD_BENCH=ON && cmake --build --preset release
    bench/checkpoints.py [--sizes 1,64,512] [--rounds 5] [--directory DIR] [--json FILE]

docs/BENCHMARKS.md says what each figure means. Files are written in a directory of its own below --directory, which is
removed at the end. A peer that is not there (libtorch, xxhsum) has no line.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from machine import describe_machine, load_average  # noqa: E402
from table import FIGURES, MIB, Samples, comparisons, parts, render  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
# One xxhsum reads at least so much, the same file several times, so that its start does not count.
XXHSUM_BYTES = 256 * MIB
# A pair to copy from, one that is replaced, one that replaces it, and a peer's; and some room.
FILES_AT_ONCE = 5


class Failure(Exception):
    """A sentence for the person who runs this."""


class Bench:
    def __init__(self, scratch, arguments):
        self.scratch = scratch
        self.programs = arguments.programs
        self.repeat = arguments.repeat
        self.pairs = arguments.pairs
        self.figures = set(arguments.figures)
        self.samples = Samples()

    @contextlib.contextmanager
    def directory(self, name):
        path = self.scratch / name
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path)

    def run(self, *command):
        command = [str(word) for word in command]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                              env={**os.environ, "LC_ALL": "C"})
        if done.returncode != 0:
            raise Failure(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
        return done

    def program(self, name, what, directory, size, *options):
        """Runs one of our programs and keeps what it says; bench-torch may be missing."""
        if name == "bench-torch" and not (self.programs / name).exists():
            return
        done = self.run(self.programs / name, what, "--directory", directory, "--bytes", size, *options)
        self.samples.add_lines(done.stdout)

    def round(self, size):
        repeat = ("--repeat", self.repeat)
        if "stall" in self.figures:
            with self.directory("stall") as path:
                self.program("bench-checkpoints", "stall", path, size, *repeat)
            with self.directory("torch-save") as path:
                self.program("bench-torch", "save", path, size, *repeat)
        if {"durable", "verify"} & self.figures:
            with self.directory("pair") as path:
                self.program("bench-checkpoints", "prepare", path, size)
                if "durable" in self.figures:
                    self.durable(path / "model_ep1.pt", size)
                if "verify" in self.figures:
                    self.program("bench-checkpoints", "verify", path, size, *repeat)
                    self.xxhsum(path / "model_ep1.pt", size)
        if "load" in self.figures:
            with self.directory("load") as path:
                self.program("bench-torch", "write", path, size)
                for _ in range(self.repeat):
                    self.program("bench-torch", "load-ours", path, size)
                    self.program("bench-torch", "load-torch", path, size)

    def durable(self, source, size):
        for _ in range(self.repeat):
            with self.directory("durable") as path:
                self.program("bench-checkpoints", "durable", path, size, "--repeat", 1)
            with self.directory("dd") as path:
                done = self.run("dd", f"if={source}", f"of={path}/copy", "bs=1M", "conv=fsync")
            # dd's own time, which includes the fsync and leaves out the start of the process.
            taken = re.search(r" copied, ([0-9.e+-]+) s,", done.stderr)
            if not taken:
                raise Failure(f"dd did not say how long it took: {done.stderr.strip()}")
            self.samples.add("durable", size, "dd conv=fsync", float(taken[1]))

    def xxhsum(self, file, size):
        if not shutil.which("xxhsum"):
            return
        times = max(1, XXHSUM_BYTES // size)
        for _ in range(self.repeat):
            begun = time.perf_counter()
            self.run("xxhsum", "-H2", *[file] * times)
            self.samples.add("verify", size, "xxhsum -H2", (time.perf_counter() - begun) / times)

    def scan(self):
        if "scan" in self.figures:
            with self.directory("scan") as path:
                self.program("bench-checkpoints", "scan", path, 0, "--pairs", self.pairs, "--repeat", self.repeat)


def words(text):
    return [word for word in text.split(",") if word]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    build = ROOT / "build" / "release"
    parser.add_argument("--programs", type=pathlib.Path, default=build / "bin", help="where bench-checkpoints is")
    parser.add_argument("--directory", type=pathlib.Path, help="on the file system to measure; default: the build's")
    parser.add_argument("--sizes", default="1,64,512", help="MiB of state, with commas between")
    parser.add_argument("--figures", type=words, default=FIGURES, help=f"some of {','.join(FIGURES)}")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of everything")
    parser.add_argument("--repeat", type=int, default=3, help="measurements in a round")
    parser.add_argument("--pairs", type=int, default=10_000, help="of scan: checkpoints in the directory")
    parser.add_argument("--json", type=pathlib.Path, help="also write every sample to this file")
    arguments = parser.parse_args()
    unknown = set(arguments.figures) - set(FIGURES)
    if unknown:
        parser.error(f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    try:
        arguments.sizes = [int(word) * MIB for word in words(arguments.sizes)]
    except ValueError:
        parser.error(f"--sizes takes whole numbers of MiB, not {arguments.sizes!r}")
    if min([arguments.rounds, arguments.repeat, *arguments.sizes]) < 1:
        parser.error("--sizes, --rounds and --repeat begin at 1")
    return arguments


def require_room(directory, sizes):
    needed = max(sizes, default=0) * FILES_AT_ONCE
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise Failure(f"{directory} has {free // MIB} MiB free and {needed // MIB} are needed; use --directory or smaller --sizes.")


def measure(arguments):
    if not (arguments.programs / "bench-checkpoints").exists():
        raise Failure(f"{arguments.programs} has no bench-checkpoints. Build it: cmake --preset release -DBUILD_BENCH=ON "
                      "&& cmake --build --preset release; or name its directory with --programs.")
    where = arguments.directory or arguments.programs
    if not where.is_dir():
        raise Failure(f"{where} is not a directory.")
    require_room(where, arguments.sizes)
    loads = [load_average()]
    with tempfile.TemporaryDirectory(prefix="ts-bench-", dir=where) as scratch:
        bench = Bench(pathlib.Path(scratch), arguments)
        for number in range(1, arguments.rounds + 1):
            for size in arguments.sizes:
                print(f"round {number} of {arguments.rounds}: {size // MIB} MiB", file=sys.stderr)
                bench.round(size)
            bench.scan()
            loads.append(load_average())
        machine = describe_machine(scratch)
    return bench.samples, machine, loads


def main():
    # So that the files go also when somebody ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = parse_arguments()
    try:
        samples, machine, loads = measure(arguments)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    machine["load average"] = f"{min(loads):.2f} to {max(loads):.2f} meanwhile, this run's own included; {loads[0]:.2f} before"
    print(render(samples, machine, arguments.rounds, arguments.repeat))
    if arguments.json:
        arguments.json.write_text(json.dumps({
            "machine": machine,
            "comparisons": comparisons(samples),
            "parts": parts(samples),
            "samples": samples.as_list(),
        }, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
