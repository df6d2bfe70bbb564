#!/usr/bin/python3
"""A worker that meets one kind of trouble in its first attempt, in the middle of its third episode, and none later.

    clocks_worker.py TROUBLE [--seconds S] [--file FILE]

It speaks for itself: foreign_worker.py has the contract.
"""

import argparse
import os
import signal
import sys
import time

sys.dont_write_bytecode = True
from foreign_worker import notify  # noqa: E402

EPISODES = 6
TROUBLED = 3


def beat_for(seconds, *lines):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        notify("WATCHDOG=1", *lines)
        time.sleep(0.1)


def burn(seconds):
    """So many seconds of a CPU, however long it takes to get them."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


class Trouble:
    """One method for each kind; `seconds` is how much of it."""

    def __init__(self, options):
        self.seconds = options.seconds
        self.file = options.file

    def none(self):
        pass

    def sleep(self):
        time.sleep(self.seconds)

    def spin(self):
        burn(self.seconds)

    def beat_only(self):
        beat_for(self.seconds)

    def steps(self):
        """Beats, and gets a step further each time."""
        for step in range(1, int(self.seconds / 0.1)):
            beat_for(0.1, f"X_TRAINER_STEP={step}")

    def trigger(self):
        notify("WATCHDOG=trigger")
        time.sleep(self.seconds)

    def extend(self):
        """Asks for twice the time that it then needs."""
        notify(f"EXTEND_TIMEOUT_USEC={int(2 * self.seconds * 1e6)}")
        time.sleep(self.seconds)

    def extend_and_sleep(self):
        """Asks for so much, and needs more."""
        notify(f"EXTEND_TIMEOUT_USEC={int(self.seconds * 1e6)}")
        time.sleep(3600)

    def save(self):
        notify("X_TRAINER_PHASE=save", "WATCHDOG=1", f"EXTEND_TIMEOUT_USEC={int(4 * self.seconds * 1e6)}")
        time.sleep(self.seconds)
        notify("X_TRAINER_PHASE=train", "WATCHDOG=1")

    def phases(self):
        """Beats, and changes its phase, and gets no further meanwhile."""
        for phase in ("evaluate", "save", "train"):
            beat_for(self.seconds, f"X_TRAINER_PHASE={phase}")

    def flutter(self):
        """Changes its phase all the time."""
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            for phase in ("evaluate", "train"):
                beat_for(0.1, f"X_TRAINER_PHASE={phase}")

    def write(self):
        notify("X_TRAINER_PHASE=save", "WATCHDOG=1")
        with open(self.file, "a", encoding="utf-8") as out:
            out.write("saved\n")
        notify("X_TRAINER_PHASE=train", "WATCHDOG=1")

    def work(self):
        """Needs so much of the CPU that it is on before it can beat again. Begins when it is told to."""
        while not os.path.exists(self.file):
            beat_for(0.1)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        burn(self.seconds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("trouble")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--file", default="")
    parser.add_argument("--ignore-sigterm", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.SIG_IGN if options.ignore_sigterm else signal.SIG_DFL)
    first = os.environ["TRAINER_ATTEMPT"] == "1"
    trouble = getattr(Trouble(options), options.trouble if first else "none")
    notify("READY=1", f"X_TRAINER_TOTAL={EPISODES}", "X_TRAINER_RESUMED=0", "X_TRAINER_PHASE=train")
    for episode in range(1, EPISODES + 1):
        time.sleep(0.05)
        if episode == TROUBLED:
            trouble()
        notify("WATCHDOG=1", f"X_TRAINER_EPISODE={episode}")


if __name__ == "__main__":
    main()
