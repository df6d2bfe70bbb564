#!/usr/bin/python3
"""Promise P3: a run that was killed again and again ends in the very bytes of the run that never was.

The seed of the kills is printed; TS_TEST_SEED=N repeats them.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from harness import ProgramTest, main  # noqa: E402

KILLS = 7


class ExactResume(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "trainer")
    worker_command = ()

    def setUp(self):
        super().setUp()
        # Long enough episodes that the last kill comes well before the end.
        self.configure(worker={"command": list(self.worker_command)}, trading={"episode_length": 80})

    def whole_run(self, **training):
        """The .pt files of a run that nothing disturbed, by episode."""
        self.configure(training=training)
        self.supervise("--exit-when-done").ends(0)
        files = {n: self.pair(n)[0].read_bytes() for n in self.episodes()}
        self.assertEqual(sorted(files), [260, 270, 280, 290, 300])
        shutil.move(self.models, self.folder / f"models_{len(list(self.folder.glob('models_*')))}")
        return files

    def killed_run(self, rng):
        """The same of a run whose worker was ended KILLS times, once the supervisor with it."""
        kinds = [*[signal.SIGKILL] * 3, *[signal.SIGTERM] * 2, signal.SIGINT, signal.SIGSEGV]
        rng.shuffle(kinds)
        with_supervisor = rng.randrange(KILLS)
        supervisor, worker = self.supervise("--exit-when-done"), 0
        for turn, (episode, number) in enumerate(zip(sorted(rng.sample(range(5, 180), KILLS)), kinds)):
            worker = self.running_worker(beyond=episode, other_than=worker)
            time.sleep(rng.random() * 0.02)  # anywhere in an episode or a save
            if turn == with_supervisor:
                self.kill_everything()
                supervisor = self.supervise("--exit-when-done")
            else:
                os.kill(worker, number)
        supervisor.ends(0)
        return {n: self.pair(n)[0].read_bytes() for n in self.episodes()}

    def test_killed_and_undisturbed_runs_end_in_the_same_bytes(self):
        seed = int(os.environ.get("TS_TEST_SEED", time.time_ns() % 1_000_000))
        print(f"TS_TEST_SEED={seed}")
        undisturbed = self.whole_run(seed=7)
        self.assertEqual(self.whole_run(seed=7), undisturbed, "one seed, two runs, and not the same checkpoints")
        another = self.whole_run(seed=8)
        for episode, bytes_then in another.items():  # negative control: the comparison can fail
            self.assertNotEqual(bytes_then, undisturbed[episode])

        self.configure(training={"seed": 7})
        killed = self.killed_run(random.Random(seed))
        self.assertEqual(killed[300], undisturbed[300], f"the kills of seed {seed} changed the result")
        for episode in killed.keys() & undisturbed.keys():
            self.assertEqual(killed[episode], undisturbed[episode], f"episode {episode}, kills of seed {seed}")
        record = self.sidecar("model_ep300")
        self.assertGreater(record["attempt"], 1)
        xxhsum = shutil.which("xxhsum")
        if xxhsum:
            said = subprocess.run([xxhsum, "-H2", self.pair(300)[0]], capture_output=True, text=True, check=True).stdout
            self.assertEqual(record["digest"], "xxh3-128:" + said.split()[0])
        self.assert_nothing_left()

    def test_status_says_that_the_resumes_were_exact(self):
        supervisor = self.supervise()
        worker = self.running_worker(beyond=15)
        os.kill(worker, signal.SIGKILL)
        self.running_worker(beyond=40, other_than=worker)
        self.until(lambda: self.status().get("exact") is True, "status to call the run exact")
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)


class ExactResumeOfTheToy(ExactResume):
    """The same promise of the session alone, where there is no libtorch."""
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def setUp(self):
        ExactResumeOfTheToy.worker_command = self.toy("--step-ms", 2)
        super().setUp()


class InexactResume(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "trainer")

    def test_other_hyperparameters_are_said(self):
        self.configure(training={"episodes": 20})
        self.train().ends(0)
        self.configure(dqn={"learning_rate": 0.001})
        output = self.train("--resume", "latest", "--episodes", "30").ends(0)
        self.assertIn("this resume is not bit-exact: learning_rate was 0.0005 and is 0.001", output)

    def test_another_number_of_threads_is_said(self):
        self.configure(training={"episodes": 20})
        self.train().ends(0)
        self.configure(training={"episodes": 30, "threads": 2})
        output = self.train("--auto-resume").ends(0)
        self.assertIn("this resume is not bit-exact: threads was 1 and is 2", output)

    def test_the_supervisor_says_it_too(self):
        self.configure(training={"episodes": 20})
        self.supervise("--exit-when-done").ends(0)
        self.configure(training={"episodes": 40, "threads": 2})
        supervisor = self.supervise()
        self.in_state("finished")
        self.until(lambda: self.status().get("exact") is False, "status to call the run inexact")
        self.assertRegex(supervisor.output(), r"no longer bit-exact: since the resume from episode 20 these differ: threads")
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)


if __name__ == "__main__":
    main()
