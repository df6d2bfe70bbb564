#!/usr/bin/python3
"""Promises P1, P3 and P5 on real file systems, with everything of a run on the disk that loses its power: the checkpoints of
the worker, the rescues of the supervisor, and the supervisor's own files. After any cut the next supervisor starts without
a person, resumes no earlier than from what was acknowledged, and training ends in the same weights.

powercut_test.py says how, and what this does not cover; here besides: the machine has not been booted anew, so that the
next supervisor finds its predecessor and its worker dead, not gone with their boot.
"""

import os
import re
import signal
import sys

sys.dont_write_bytecode = True
import life  # noqa: E402
from cuts import CutTest, as_many_as  # noqa: E402
from disk_recording import BTRFS, EXT4, XFS  # noqa: E402
from promises import hash_of  # noqa: E402
from harness import main  # noqa: E402

USUAL_CUTS = 24
# Seldom enough that most deaths are between two saves, and leave something to rescue.
SAVE_FREQUENCY = 6
# The worker is killed when it has come as far as this; in the first life everybody is, at the last one.
DEATHS = {"supervised": (4, 10, 16), "supervised again": (21,)}
ACKNOWLEDGED = re.compile(r"episode (\d+)/\d+ saved \(|rescued episode (\d+) from the dead worker's memory: /")
RESUMED = re.compile(r"^Auto-resuming from episode (\d+): ", re.MULTILINE)
LIFE = (life.Run("supervised", life.FIRST, life.FIRST.episodes, signal="SIGKILL"),
        life.Run("supervised again", life.FIRST, life.FIRST.episodes))


class SupervisorTest(CutTest):
    needs = ("toy_trainer", "trainer-supervisor", "supervisorctl")

    def setUp(self):
        super().setUp()
        self.worker_log = self.folder / "logs/worker.log"
        self.rescues = 0

    def supervise_the_story(self, step_ms):
        story = life.FIRST
        self.configure(training={"episodes": story.episodes, "seed": story.seed}, dqn={"hidden": [1024]},
                       worker={"command": self.toy("--steps", story.steps, "--step-ms", step_ms)},
                       checkpoints={"directory": str(self.models), "save_frequency": SAVE_FREQUENCY,
                                    "max_keep": life.MAX_KEEP, "save_interval": "0s"})
        self.worker_log.unlink(missing_ok=True)
        return self.supervise("--exit-when-done")

    def live(self, episode_run, wrapper, note):
        note(life.Event(run=episode_run))
        supervisor, deaths, known = self.supervise_the_story(5), list(DEATHS[episode_run.label]), set()
        while supervisor.running():
            self.note_what_is_said(supervisor, known, note)
            if not deaths or self.status().get("episode", 0) < deaths[0]:
                continue
            deaths.pop(0)
            if deaths or not episode_run.signal:
                self.kill_worker()
            else:
                self.kill_everything()
        self.note_what_is_said(supervisor, known, note)
        supervisor.ends(0, *([-signal.SIGKILL] if episode_run.signal else []))

    def note_what_is_said(self, supervisor, known, note):
        """By both; what they say it into is not on the disk of the run."""
        said = supervisor.output()
        if self.worker_log.exists():
            said += self.worker_log.read_text(encoding="utf-8", errors="replace")
        found = {(int(one[1] or one[2]), bool(one[2])) for one in ACKNOWLEDGED.finditer(said)}
        for episode, rescued in sorted(found - known):
            note(life.Event(said=f"X_TRAINER_CHECKPOINT=models/model_ep{episode}.pt".encode()))
            self.rescues += rescued
        known |= found

    def kill_worker(self):
        pid = self.worker()
        if pid > 1 and pid in self.ours():
            os.kill(pid, signal.SIGKILL)

    def next_start(self, recorded, mark, number):
        moment, story = recorded.moments[mark], life.FIRST
        owed = max((episode for episode, _ in moment.promises.must), default=0)
        supervisor = self.supervise_the_story(0)
        said = supervisor.ends(0)
        resumed = RESUMED.search(said)
        finished = "attempt" not in said
        if not finished and (int(resumed[1]) if resumed else 0) < owed:
            return [f"resumed from episode {resumed[1] if resumed else 0}, {owed} is acknowledged"]
        last, _ = self.pair(story.episodes)
        if not last.exists() or hash_of(last.read_bytes()) != recorded.contents[story][story.episodes]:
            return ["training goes on and ends in other weights than those of a run that was never interrupted"]
        verified = self.ctl("checkpoints", "verify")
        return [] if verified.returncode == 0 else ["a checkpoint is not valid: " + verified.stdout]


class Claims:
    """Of a SupervisorTest, on any file system."""

    def test_p1_p3_p5_after_a_power_cut_the_next_supervisor_resumes_from_what_was_acknowledged(self):
        recorded = self.record(self.kind, LIFE)
        self.assertGreater(self.flushes(recorded), 2)
        self.assertGreater(self.rescues, 0, "nothing was rescued")
        self.assert_kept(recorded, as_many_as(USUAL_CUTS, recorded))


class Ext4(Claims, SupervisorTest):
    kind = EXT4


class Xfs(Claims, SupervisorTest):
    kind = XFS


class Btrfs(Claims, SupervisorTest):
    kind = BTRFS


if __name__ == "__main__":
    main()
