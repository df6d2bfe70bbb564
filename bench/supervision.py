#!/usr/bin/python3
"""Measures the supervisor beside its peers, in one run, and prints the tables as they stand in docs/BENCHMARKS.md.

    cmake --preset release -DBUILD_BENCH=ON && cmake --build --preset release
    bench/supervision.py [--figures restart,daemon] [--rounds 5] [--json FILE]

docs/BENCHMARKS.md says what each figure means and where the peers come from. Files are written in a directory of its own
below --directory, which is removed at the end. A peer that is not there has no line; without the trainer there are no
recovery and overhead.
"""

import argparse
import contextlib
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from machine import describe_machine, load_average  # noqa: E402
from supervision_table import FIGURES, OURS, comparisons, render  # noqa: E402
from supervisors import PEERS, NotHere, Ours, OursBeating, OursStopped  # noqa: E402
from table import Samples  # noqa: E402
from trainer_runs import TrainerRuns  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Longer than any of them waits between two starts of one worker.
BETWEEN_KILLS_S = 1.6
# After the last kill: what is written up behind the relaunch is written, and the 10 s that a request may take are over:
# Asio lets the kernel's timer run out though nobody waits for it any more.
CALM_S = 12


class Failure(Exception):
    """A sentence for the person who runs this."""


def switches(pid):
    """Times that any thread of the process went to sleep, and so was woken."""
    total = 0
    for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                total += int(line.split()[1])
    return total


def memory(pid, file, word):
    for line in pathlib.Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8").splitlines():
        if line.startswith(word + ":"):
            return int(line.split()[1]) * 1024
    raise Failure(f"/proc/{pid}/{file} has no {word}.")


class Bench:
    def __init__(self, scratch, arguments):
        self.scratch = scratch
        self.arguments = arguments
        self.samples = Samples()
        self.loads = [load_average()]
        self.paces = {}
        self.worker = arguments.helpers / "bench-worker"
        Ours.programs = arguments.programs

    def say(self, what):
        print(what, file=sys.stderr, flush=True)
        self.loads.append(load_average())

    def launch(self, stack, kind):
        """One of the supervisors, for as long as the stack lives; nothing where it is not there."""
        try:
            started = kind(self.scratch / kind.__name__, self.worker)
        except NotHere as reason:
            self.say(f"{kind.name}: no line, {reason}")
            return None
        stack.callback(started.stop)
        return started

    def supervisors(self, figures):
        with contextlib.ExitStack() as stack:
            self.say("starting the supervisors")
            silent = [one for kind in [Ours, *PEERS] if (one := self.launch(stack, kind))]
            self.paces = {one.name: one.pace for one in silent}
            if "restart" in figures:
                self.restart(silent)
            if "daemon" in figures:
                named = [(one.name, one) for one in silent]
                named += [("ours: beats at 1 Hz", self.launch(stack, OursBeating)), ("ours: stopped", self.launch(stack, OursStopped))]
                self.daemon(named)

    def restart(self, silent):
        """In turns, so that all meet the same load."""
        for number in range(1, self.arguments.kills + 1):
            self.say(f"restart: {number} of {self.arguments.kills}")
            begun = time.monotonic()
            for one in silent:
                self.samples.add("restart", 0, one.name, one.kill_worker())
            time.sleep(max(0, begun + BETWEEN_KILLS_S - time.monotonic()))

    def daemon(self, named):
        time.sleep(CALM_S)
        self.say(f"daemon: {self.arguments.seconds} s of watching")
        begun = time.monotonic()
        before = [switches(one.pid) for _, one in named]
        time.sleep(self.arguments.seconds)
        passed = time.monotonic() - begun
        for (name, one), count in zip(named, before):
            self.samples.add("wake-ups", 0, name, (switches(one.pid) - count) / passed)
            self.samples.add("resident memory", 0, name, memory(one.pid, "status", "VmRSS"))
            self.samples.add("proportional memory", 0, name, memory(one.pid, "smaps_rollup", "Pss"))

    def beat(self):
        for _ in range(self.arguments.rounds):
            self.say("beat")
            command = [self.arguments.helpers / "bench-heartbeat", "--directory", self.scratch]
            self.samples.add_lines(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    def training(self, figures):
        if not (self.arguments.programs / "trainer").exists():
            self.say("recovery, overhead: no lines, the trainer is not built")
            return
        runs = TrainerRuns(self.scratch, self.arguments.programs, self.arguments.helpers, self.arguments.episodes)
        if "recovery" in figures:
            runs.prepare()
        for number in range(1, self.arguments.rounds + 1):
            if "recovery" in figures:
                self.say(f"recovery: {number} of {self.arguments.rounds}")
                self.samples.add("recovery", 0, OURS, runs.recovery())
                self.samples.add("recovery", 0, "trainer --resume", runs.bare_start())
            if "overhead" in figures:
                for name, run in ((OURS, runs.supervised_run), ("bare loop", runs.bare_run)):
                    self.say(f"overhead: {number} of {self.arguments.rounds}, {name}")
                    rate, processor = run()
                    self.samples.add("overhead", 0, name, rate)
                    self.samples.add("processor time", 0, name, processor)


def words(text):
    return [word for word in text.split(",") if word]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, default=ROOT / "build/release/bin", help="where our programs are")
    parser.add_argument("--helpers", type=pathlib.Path, help="where bench-worker is; default: with our programs")
    parser.add_argument("--directory", type=pathlib.Path, help="on the file system to measure; default: the build's")
    parser.add_argument("--figures", type=words, default=FIGURES, help=f"some of {','.join(FIGURES)}")
    parser.add_argument("--rounds", type=int, default=5, help="of recovery, beat and overhead")
    parser.add_argument("--kills", type=int, default=20, help="of restart: times that each worker is killed")
    parser.add_argument("--seconds", type=int, default=20, help="of daemon: how long the wake-ups are counted")
    parser.add_argument("--episodes", type=int, default=200, help="of overhead: the length of a run")
    parser.add_argument("--json", type=pathlib.Path, help="also write every sample to this file")
    arguments = parser.parse_args()
    unknown = set(arguments.figures) - set(FIGURES)
    if unknown:
        parser.error(f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    if min(arguments.rounds, arguments.kills, arguments.seconds, arguments.episodes) < 1:
        parser.error("--rounds, --kills, --seconds and --episodes begin at 1")
    arguments.programs = arguments.programs.resolve()
    arguments.helpers = (arguments.helpers or arguments.programs).resolve()
    return arguments


def measure(arguments):
    for directory, program in ((arguments.programs, "trainer-supervisor"), (arguments.helpers, "bench-worker")):
        if not (directory / program).exists():
            raise Failure(f"{directory} has no {program}. Build it: cmake --preset release -DBUILD_BENCH=ON && cmake --build "
                          "--preset release; or name its directory with --programs.")
    where = arguments.directory or arguments.helpers
    if not where.is_dir():
        raise Failure(f"{where} is not a directory.")
    with tempfile.TemporaryDirectory(prefix="ts-", dir=where) as scratch:
        bench = Bench(pathlib.Path(scratch), arguments)
        figures = set(arguments.figures)
        if {"restart", "daemon"} & figures:
            bench.supervisors(figures)
        if "beat" in figures:
            bench.beat()
        if {"recovery", "overhead"} & figures:
            bench.training(figures)
        bench.loads.append(load_average())
        machine = describe_machine(scratch)
    return bench, machine


def main():
    # So that the files and the processes go also when somebody ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = parse_arguments()
    try:
        bench, machine = measure(arguments)
    except (Failure, TimeoutError, RuntimeError) as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    loads = bench.loads
    machine["load average"] = f"{min(loads):.2f} to {max(loads):.2f} meanwhile, this run's own included; {loads[0]:.2f} before"
    machine["samples"] = (f"medians (fastest … slowest) of {arguments.kills} kills; of {arguments.rounds} rounds of recovery, beat and "
                          f"overhead ({arguments.episodes} episodes each); wake-ups counted over {arguments.seconds} s")
    print(render(bench.samples, machine, bench.paces))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, "comparisons": comparisons(bench.samples),
                                              "samples": bench.samples.as_list()}, indent=1, ensure_ascii=False) + "\n",
                                  encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
