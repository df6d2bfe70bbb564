#!/usr/bin/python3
"""Promises P1 and P3, the long way: one run, interrupted a hundred times, ends in the very bytes of the run that never
was, and no interruption takes a checkpoint that had been acknowledged.

Who is interrupted how, when, and in which episode is drawn from a seed that is printed; TS_TEST_SEED=N draws it again.
"""

import collections
import os
import random
import re
import shutil
import signal
import sys
import time

sys.dont_write_bytecode = True
from harness import ProgramTest, main  # noqa: E402

INTERRUPTIONS = 100
EPISODES = 400
CALM = 40  # episodes at the end in which nothing happens

# How often who is ended how. "all": the supervisor and its worker at one blow; "supervisor": it is asked to leave.
ENDS = {"worker SIGKILL": 60, "worker SIGTERM": 18, "worker SIGINT": 14, "all SIGKILL": 5, "supervisor SIGTERM": 3}
# How often when: as soon as there is a process, while a file is being written, or at any time.
MOMENTS = {"launch": 15, "save": 40, "any": 45}


def shuffled(rng, shares):
    words = [word for word, count in shares.items() for _ in range(count)]
    assert len(words) == INTERRUPTIONS
    rng.shuffle(words)
    return words


class HundredInterruptions(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "trainer")
    launch_s = 0.4  # a worker needs about so long to begin

    def setUp(self):
        super().setUp()
        # Episodes of some 20 ms: longer than it takes to look and to strike, so the run cannot be over too soon. A
        # hundred deaths in a row, some before the first step, are no reason to give up here.
        self.configure(training={"episodes": EPISODES}, trading={"episode_length": 400}, checkpoints={"save_frequency": 1},
                       restart={"backoff_initial": "10ms", "backoff_max": "20ms",
                                "max_attempts_without_progress": 1000})

    def last_bytes(self):
        """What a run ends in: its last checkpoint and its best model."""
        return {name: (self.models / name).read_bytes() for name in (f"model_ep{EPISODES}.pt", "best_model.pt")}

    def moment(self, when, episode, before, rng):
        """Waits for the moment in the life of a worker other than `before`, and returns its process id."""
        if when == "launch":
            pid = self.until(lambda: self.worker() not in (0, before) and self.worker(), "another worker")
            time.sleep(rng.random() * self.launch_s)
            return pid
        pid = self.running_worker(beyond=episode, other_than=before)
        self.check_resumed_from()
        if when == "any":
            time.sleep(rng.random() * 0.05)
        else:
            until = time.monotonic() + 5
            while not self.half_saved() and time.monotonic() < until:
                pass
        return pid

    def half_saved(self):
        return any(".tmp-" in name for name in os.listdir(self.models))

    def check_resumed_from(self):
        resumed = (self.status().get("worker") or {}).get("resumed_from") or {"episode": 0}
        self.assertGreaterEqual(resumed["episode"], self.acknowledged, "an interruption took an acknowledged checkpoint")

    def strike(self, how, worker):
        """False if the worker had gone already, by no doing of ours."""
        who, number = how.split()
        self.acknowledged = max(self.episodes(), default=0)
        if who == "worker":
            try:
                os.kill(worker, signal.Signals[number])
            except ProcessLookupError:
                return False
        elif who == "all":
            self.kill_everything()
        else:
            self.supervisor.signal(signal.SIGTERM)
            self.supervisor.ends(0)
        if self.half_saved():
            self.tally["files left half-written"] += 1
        if who != "worker":
            self.supervisor = self.supervise("--exit-when-done")
        return True

    def interrupted_run(self, rng):
        ends, moments = shuffled(rng, ENDS), shuffled(rng, MOMENTS)
        episodes = sorted(rng.choices(range(1, EPISODES - CALM), k=INTERRUPTIONS))
        self.tally = collections.Counter()
        self.acknowledged, worker = 0, 0
        self.supervisor = self.supervise("--exit-when-done")
        for how, when, episode in zip(ends, moments, episodes):
            worker = self.moment(when, episode, worker, rng)
            while not self.strike(how, worker):
                worker = self.running_worker(other_than=worker)
            self.tally[how] += 1
            self.tally["interruptions"] += 1
        self.running_worker(other_than=worker)
        self.check_resumed_from()
        self.supervisor.ends(0, seconds=120)
        print(dict(self.tally))

    def check_what_the_workers_said(self, log):
        """Each begins no earlier than what any before it had called saved."""
        saved, starts = 0, 0
        for said in re.finditer(r"episode (\d+)/\d+ saved \(|(?:Auto-resuming from episode (\d+)|(Starting training)): ", log):
            if said[1]:
                saved = max(saved, int(said[1]))
                continue
            starts += 1
            self.assertGreaterEqual(int(said[2] or 0), saved, f"start {starts} of {self.tally}")
        self.assertGreater(starts, INTERRUPTIONS // 2)
        self.assertEqual(saved, EPISODES)

    def test_p1_p3_a_hundred_interruptions_change_no_byte_and_lose_nothing(self):
        seed = int(os.environ.get("TS_TEST_SEED", time.time_ns() % 1_000_000))
        print(f"TS_TEST_SEED={seed}")
        self.supervise("--exit-when-done").ends(0, seconds=120)
        undisturbed = self.last_bytes()
        self.assertNotEqual(undisturbed[f"model_ep{EPISODES}.pt"], self.pair(self.episodes()[-2])[0].read_bytes())
        shutil.move(self.models, self.folder / "undisturbed")
        shutil.move(self.folder / "logs", self.folder / "undisturbed-logs")

        self.interrupted_run(random.Random(seed))
        self.assertEqual(self.tally["interruptions"], INTERRUPTIONS)
        self.assertEqual({how: self.tally[how] for how in ENDS}, ENDS)
        self.assertGreater(self.tally["files left half-written"], 0, "not one interruption hit a save")
        log = (self.folder / "logs/worker.log").read_text(encoding="utf-8", errors="replace")
        self.check_what_the_workers_said(log)
        with self.assertRaises(AssertionError):  # the control: had more been called saved, it would have been lost
            self.check_what_the_workers_said(f"episode {EPISODES}/{EPISODES} saved (schedule): x\n{log}")
        for name, content in self.last_bytes().items():
            self.assertTrue(content == undisturbed[name], f"{name} is another one after the interruptions of seed {seed}")
        # What was never committed may be moved away; a pair may not.
        aside = self.set_aside("quarantine") + self.set_aside("superseded")
        self.assertEqual([name for name in aside if not name.endswith(".pt") and name != "why.txt"], [])
        self.assertEqual(self.ctl("checkpoints", "verify").returncode, 0)
        self.assert_nothing_left()


class HundredInterruptionsOfTheToy(HundredInterruptions):
    """The same promise of the session alone, where there is no libtorch."""
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")
    launch_s = 0.05

    def setUp(self):
        super().setUp()
        self.configure(worker={"command": self.toy("--step-ms", 4)})


if __name__ == "__main__":
    main()
