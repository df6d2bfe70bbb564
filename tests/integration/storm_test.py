#!/usr/bin/python3
"""Promises P3, P4, P5 and P6 in a storm: a run whose worker is killed, stopped and asked to end two hundred times over, or
whose supervisor is killed fifty times, or both, loses nothing that it has acknowledged, never has two workers, leaks
nothing, and ends in the bytes of the run that was left in peace.

An episode is acknowledged when the supervisor has been told of it: `status` shows it. Our trainer tells of an episode
and hands its snapshot over in one message, so what the supervisor knows of it also holds, and a worker's death may take
none of that away. It tells at the end of the episode, out of another thread, and waits for that before it ends the
next. So of what was completed, acknowledged or not, a death costs one episode at the most, besides the one in flight.
With the supervisor dies what it held: what the two lose together is bounded by the newest checkpoint on disk.

Who is struck how, when, and in which episode is drawn from a seed that is printed; TS_TEST_SEED=N draws it again.
TS_STORM=0.1 makes all storms a tenth as long.
"""

import collections
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import threading
import time

sys.dont_write_bytecode = True
from harness import ProgramTest, alive, main  # noqa: E402

SCALE = float(os.environ.get("TS_STORM", "1"))
CALM = 40  # episodes at the end in which nothing happens
TRAIL = "trail"


def shares(blows, **parts):
    """So many blows in these proportions, every kind at least once."""
    return [word for word, part in parts.items() for _ in range(max(1, round(blows * part)))]


class Storm(ProgramTest):
    """A run of the toy with short limits, and two watches over it: at most one worker, and the lock is his."""
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")
    worker_name = "toy_trainer"
    episodes_for_each = 10  # training must not be over before the last blow

    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("TS_TEST_SEED", time.time_ns() % 1_000_000))
        print(f"TS_TEST_SEED={self.seed}", flush=True)
        self.rng = random.Random(self.seed)
        self.tally = collections.Counter()
        self.too_many = []
        # Deaths in a row, some before the first step, are no reason to give up here. A worker may be late where many
        # tests run: a limit that catches it too soon costs the test its time, and the run nothing.
        self.configure(restart={"backoff_initial": "10ms", "backoff_max": "20ms", "max_attempts_without_progress": 10_000},
                       supervisor={"heartbeat_interval": "100ms", "heartbeat_timeout": "1s"})

    # ---- the run that is compared with

    def leave_in_peace(self, blows):
        """Sets the length of the run, trains it undisturbed, and puts away what it ended in."""
        self.goal = CALM + self.episodes_for_each * blows
        self.configure(training={"episodes": self.goal}, worker={"command": self.worker_command(hurried=True)})
        self.supervise("--exit-when-done").ends(0, seconds=120)
        self.undisturbed = self.last_bytes()
        self.assertNotEqual(self.undisturbed["best_model.pt"], b"")
        for folder in (self.models, self.folder / "logs"):
            shutil.move(folder, self.folder / f"undisturbed-{folder.name}")
        (self.folder / TRAIL).unlink(missing_ok=True)
        self.configure(worker={"command": self.worker_command(hurried=False)})

    def worker_command(self, hurried):
        """Episodes of some 20 ms: longer than it takes to look and to strike. How long they take changes no byte."""
        return self.toy("--step-ms", 0 if hurried else 4, "--trail", TRAIL)

    def last_bytes(self):
        return {name: (self.models / name).read_bytes() for name in (f"model_ep{self.goal}.pt", "best_model.pt")}

    # ---- the watch

    def watch(self):
        """P4 from outside, all the time: at most one worker in the process table."""
        over = threading.Event()

        def look():
            while not over.wait(0.02):
                workers = [pid for pid in self.ours() if self.name_of(pid) == self.worker_name]
                self.tally["looks"] += 1
                if len(workers) > 1:
                    self.too_many.append(workers)

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        self.addCleanup(watcher.join)
        self.addCleanup(over.set)

    @staticmethod
    def name_of(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    def assert_holds_the_lock(self, worker):
        """That the kernel has given it to this very process, and that the file says so."""
        lock = self.models / ".lock"
        if not alive(worker):
            return  # it may have ended since: the next one is looked at
        words = lock.read_text(encoding="utf-8").split()
        table = pathlib.Path("/proc/locks").read_text(encoding="ascii")
        holders = re.findall(rf"FLOCK +ADVISORY +WRITE (\d+) \S+:{lock.stat().st_ino} ", table)
        if alive(worker) and holders:  # some sandboxes show no locks
            self.assertEqual(holders, [str(worker)])
            self.assertEqual((words[0], words[2]), (str(worker), self.worker_name))
            self.tally["locks seen held by the worker"] += 1

    # ---- moments

    def trains(self, beyond, other_than=0):
        """Waits for a worker that trains, beyond this episode. Returns the status."""
        worker = self.running_worker(beyond=beyond, other_than=other_than)
        self.assert_holds_the_lock(worker)
        return self.status()

    def plan(self, blows):
        """Ascending episodes to strike in, the calm at the end left out."""
        return sorted(self.rng.choices(range(1, self.goal - CALM), k=blows))

    def after_the_end(self):
        """What a kind of storm has to check besides."""

    def check_the_end(self, supervisor):
        supervisor.ends(0, seconds=120)
        self.after_the_end()
        print(dict(self.tally), flush=True)
        self.assertEqual(self.too_many, [], "two workers at a time")
        self.assertGreater(self.tally["looks"], 0)
        for name, content in self.last_bytes().items():
            self.assertTrue(content == self.undisturbed[name], f"{name} is another one after the storm of seed {self.seed}")
        # Nobody's death was the fault of a checkpoint. (What was never committed may be moved away; a pair may not.)
        aside = self.set_aside("quarantine") + self.set_aside("superseded")
        self.assertEqual([name for name in aside if not name.endswith(".pt") and name != "why.txt"], [])
        self.assertEqual(self.ctl("checkpoints", "verify").returncode, 0)
        self.assert_nothing_left()


class WorkerStorm(Storm):
    """The worker is struck, its supervisor lives."""
    kinds = {"SIGKILL": 0.78, "SIGTERM": 0.16, "SIGSTOP": 0.06}

    def strike(self, how, status):
        """Hits the worker of this status. Returns its attempt and what it was seen to have acknowledged, or None when it
        had ended already."""
        pid = status["worker"]["pid"]
        try:
            os.kill(pid, signal.Signals[how])
        except ProcessLookupError:
            return None
        self.tally[how] += 1
        return status["attempt"], status["episode"]

    def check_loss(self, attempt, seen):
        """What the end of this attempt has cost: by what was seen before it, and by the report on it."""
        report = self.incident(attempt)
        self.assertGreaterEqual(report["episode"], seen)
        lost = report["episode"] - report["resumed_from"]
        self.assertEqual(report["lost_episodes"], max(0, lost))
        self.assertLessEqual(lost, 0, f"acknowledged, and lost: {report}")

    def check_trail(self):
        """What every end has cost, by what the toy leaves beside all that is said and saved: the number of each episode
        as it begins. A number that comes again was in flight; the ones between were completed."""
        trail = [int(line) for line in (self.folder / TRAIL).read_text(encoding="ascii").split()]
        for last, first in zip(trail, trail[1:]):
            self.assertLessEqual(first, last + 1, "it has left an episode out")
            self.assertLessEqual(last - first, 1, f"completed, and lost: {last} was begun, then {first}")
            if first <= last:
                self.tally[f"ends that cost {last - first} completed episodes"] += 1

    def after_the_end(self):
        if self.worker_name == "toy_trainer":
            self.check_trail()

    def storm(self, blows):
        self.watch()
        supervisor = self.supervise("--exit-when-done")
        self.trains(beyond=0)
        held_before = self.settled(supervisor)
        words = shares(blows, **self.kinds)
        self.rng.shuffle(words)
        worker, struck = 0, None
        for how, episode in zip(words, self.plan(len(words))):
            # A stopped worker is found by its silence; while it starts it may be silent for minutes.
            at_launch = how != "SIGSTOP" and self.rng.random() < 0.15
            while True:
                if at_launch:
                    self.until(lambda: self.worker() not in (0, worker), "another worker")
                    time.sleep(self.rng.random() * 0.05)
                    status = self.status()
                else:
                    status = self.trains(episode, other_than=worker)
                    time.sleep(self.rng.random() * 0.03)
                if struck:
                    self.check_loss(*struck)
                    struck = None
                if status.get("worker"):
                    struck = self.strike(how, status)
                    if struck:
                        worker = status["worker"]["pid"]
                        break
        self.trains(0, other_than=worker)
        self.check_loss(*struck)
        self.assertEqual(sum(self.tally[kind] for kind in self.kinds), len(words))
        self.until(lambda: self.held(supervisor.pid) == held_before,
                   f"the supervisor to hold what it held before: {held_before}", 20)
        return supervisor

    def settled(self, supervisor):
        """What it holds when a worker trains: the same a few times in a row."""
        seen = []
        while len(seen) < 3 or seen[-1] != seen[-2] or seen[-2] != seen[-3]:
            time.sleep(0.05)
            seen.append(self.held(supervisor.pid))
        return seen[-1]

    def weather(self, blows, **checkpoints):
        blows = max(len(self.kinds), round(blows * SCALE))
        self.configure(checkpoints=checkpoints)
        self.leave_in_peace(blows)
        supervisor = self.storm(blows)
        self.check_the_end(supervisor)


class WorkersWithCheckpoints(WorkerStorm):
    def test_p3_p4_p5_two_hundred_blows_lose_nothing_acknowledged(self):
        self.weather(200, save_frequency=10)


class WorkersWithSnapshotsOnly(WorkerStorm):
    def test_p3_p4_p5_a_hundred_blows_lose_nothing_acknowledged_with_no_checkpoint_scheduled(self):
        self.weather(100, save_frequency=1000)
        self.assertIn("from the dead worker's memory", "".join(path.read_text() for path in self.folder.glob("*.out")))

    def test_without_snapshots_the_same_check_fails(self):
        """The control: this is what it would look like if nothing were rescued."""
        self.configure(snapshots={"enabled": False}, checkpoints={"save_frequency": 1000, "save_best": False})
        self.goal = 100_000
        self.configure(training={"episodes": self.goal}, worker={"command": self.worker_command(hurried=False)})
        supervisor = self.supervise("--exit-when-done")
        worker = 0
        for _ in range(3):
            status = self.trains(beyond=5, other_than=worker)
            worker = status["worker"]["pid"]
            struck = self.strike("SIGKILL", status)
            with self.assertRaisesRegex(AssertionError, "acknowledged, and lost"):
                self.check_loss(*struck)
        with self.assertRaisesRegex(AssertionError, "completed, and lost"):
            self.check_trail()
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)


class TrainersWithSnapshotsOnly(WorkerStorm):
    """The same with the real trainer, shorter: it needs a good part of a second to start."""
    needs = ("trainer-supervisor", "supervisorctl", "trainer")
    worker_name = "trainer"
    kinds = {"SIGKILL": 0.8, "SIGTERM": 0.2}
    episodes_for_each = 8

    def worker_command(self, hurried):
        return []

    def test_p3_p4_p5_fifteen_blows_lose_nothing_acknowledged(self):
        self.configure(trading={"episode_length": 500}, supervisor={"heartbeat_timeout": "5s"})
        self.weather(15, save_frequency=1000)


class Supervisors(Storm):
    def test_p3_p6_fifty_kills_of_the_supervisor_leave_the_worker_alone(self):
        blows = max(3, round(50 * SCALE))
        self.episodes_for_each = 10
        self.leave_in_peace(blows)
        self.watch()
        supervisor = self.supervise("--exit-when-done")
        worker = self.trains(beyond=0)["worker"]["pid"]
        held_by_worker = None
        for episode in self.plan(blows):
            if self.rng.random() < 0.3:
                time.sleep(self.rng.random() * 0.05)  # perhaps before it has adopted anybody
            else:
                status = self.trains(beyond=episode)
                self.assertEqual((status["worker"]["pid"], status["attempt"]), (worker, 1))
                held_by_worker = held_by_worker or self.held(worker)[0]
            supervisor.signal(signal.SIGKILL)
            supervisor.ends(-signal.SIGKILL)
            self.assertTrue(alive(worker), "the worker went with its supervisor")
            self.tally["supervisors killed"] += 1
            supervisor = self.supervise("--exit-when-done")
        status = self.trains(beyond=0)
        self.assertEqual((status["worker"]["pid"], status["attempt"], status["restarts"]), (worker, 1, {}))
        # A save holds some more for as long as it takes, at either look.
        self.until(lambda: len(self.held(worker)[0]) <= len(held_by_worker), f"no more descriptors than {held_by_worker}")
        self.check_the_end(supervisor)


class WorkersAndSupervisors(Storm):
    """Both are struck: the worker, the supervisor, the worker while nobody watches it, the supervisor as it sees to the end
    of its worker or to one that was stopped, and both at one blow."""
    kinds = {"worker": 0.33, "supervisor": 0.2, "orphan": 0.15, "rescuer": 0.15, "stopped": 0.03, "both": 0.14}

    def setUp(self):
        super().setUp()
        self.configure(supervisor={"startup_timeout": "3s"})  # an adopted worker may be silent for so long, too

    def strike(self, how, status):
        """Returns from which episode on the next worker has to begin."""
        worker = status["worker"]["pid"]
        durable = max(self.episodes(), default=0)
        self.tally[how] += 1
        if how == "worker":
            os.kill(worker, signal.SIGKILL)
            return status["episode"]  # the supervisor lives, and with it what it was told
        if how == "both":
            self.kill_everything()
        elif how == "rescuer":
            os.kill(worker, signal.SIGKILL)
            time.sleep(self.rng.random() * 0.03)  # it may be rescuing, preparing, launching, or done
            self.supervisor.signal(signal.SIGKILL)
        elif how == "stopped":
            os.kill(worker, signal.SIGSTOP)
            time.sleep(self.rng.random() * 4)  # it may be waiting, looking, gathering evidence, ending it, or done
            self.supervisor.signal(signal.SIGKILL)
        else:
            self.supervisor.signal(signal.SIGKILL)
        self.supervisor.ends(-signal.SIGKILL)
        if how == "orphan":
            os.kill(worker, signal.SIGKILL)
            self.until(lambda: not alive(worker), "the end of the worker")
        self.supervisor = self.supervise("--exit-when-done")
        return durable

    def test_p3_p4_p5_p6_sixty_blows_at_both_lose_no_checkpoint(self):
        words = shares(max(len(self.kinds), round(60 * SCALE)), **self.kinds)
        self.rng.shuffle(words)
        self.episodes_for_each = 16
        self.leave_in_peace(len(words))
        self.watch()
        self.supervisor = self.supervise("--exit-when-done")
        status = self.trains(beyond=0)
        for how, episode in zip(words, self.plan(len(words))):
            status = self.trains(beyond=episode)
            time.sleep(self.rng.random() * 0.03)
            worker = status["worker"]["pid"]
            at_least = self.strike(how, status)
            if how == "supervisor":
                self.assertEqual(self.trains(beyond=episode)["worker"]["pid"], worker)
                continue
            status = self.trains(beyond=0, other_than=worker)
            resumed = (status["worker"]["resumed_from"] or {"episode": 0})["episode"]
            self.assertGreaterEqual(resumed, at_least, f"{how}: lost what it should not have")
        self.check_the_end(self.supervisor)


if __name__ == "__main__":
    main()
