#!/usr/bin/python3
"""The users' guide, scenarios 1, 3, 4 and 5 on the real programs: whatever ends the training, it goes on."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter

sys.dont_write_bytecode = True
from harness import ProgramTest, main  # noqa: E402


class ResumeTest(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "trainer")

    def setUp(self):
        super().setUp()
        # Long enough episodes that a kill after the checkpoint of 250 still finds the worker before 300.
        self.configure(trading={"episode_length": 400})

    def assert_resumed(self, output, episode, total=300):
        self.assertIn(f"Auto-resuming from episode {episode}: models/model_ep{episode}.pt", output)
        self.assertIn(f"Resuming training from episode {episode + 1}/{total}", output)

    def assert_all_valid(self):
        for name in [f"ep{n}" for n in self.episodes()] + ["best"]:
            verified = self.ctl("checkpoints", "verify", name)
            self.assertEqual(verified.returncode, 0, verified.stdout)

    def assert_finished(self, supervisor, total=300):
        output = supervisor.ends(0, seconds=120)
        self.assertIn(f"Finished: {total}/{total} episodes", output)
        self.assertEqual(self.episodes()[-1], total)
        self.assert_all_valid()
        self.assert_nothing_left()
        return output


class KilledWorker(ResumeTest):
    def test_a_killed_worker_comes_back_by_itself_and_finishes(self):
        supervisor = self.supervise("--exit-when-done")
        self.saved(250)
        worker = self.worker()
        os.kill(worker, signal.SIGKILL)
        output = self.assert_finished(supervisor)
        resumed = int(re.findall(r"Auto-resuming from episode (\d+)", output)[-1])
        self.assertGreaterEqual(resumed, 250)
        self.assert_resumed(output, resumed)
        self.assertIn(f"worker {worker} was killed by signal 9 (SIGKILL)", output)
        # Each episode was counted on from there, none begun again at 1.
        self.assertEqual(output.count("Starting from the beginning"), 1)

    def test_everything_killed_goes_on_when_started_again(self):
        self.supervise("--exit-when-done")
        self.saved(250)
        self.kill_everything()
        newest = self.episodes()[-1]
        self.assertLess(newest, 300)
        output = self.assert_finished(self.supervise("--exit-when-done"))
        self.assert_resumed(output, newest)
        self.assertNotIn("from the beginning", output)


class PowerCut(ResumeTest):
    def test_the_next_start_sweeps_rejects_and_resumes(self):
        self.supervise("--exit-when-done")
        self.saved(100)
        self.kill_everything()
        before = self.episodes()
        newest, second = before[-1], before[-2]
        archive, record = self.pair(newest)
        archive.write_bytes(archive.read_bytes()[:-1000])
        ours = [f".model_ep{newest + 10}.pt.tmp-4242-0", f".model_ep{newest + 10}.json.tmp-4242-1",
                ".best_model.pt.tmp-4242-2"]
        foreign = ["model_ep10.pt.tmp", ".notes.tmp-1-1", "model_ep7.pt.bak", "model_epX.json", "readme.txt"]
        for name in ours + foreign:
            (self.models / name).write_bytes(b"half a fi")
        truncated = archive.read_bytes()

        supervisor = self.supervise("--exit-when-done")
        output = supervisor.ends(0, seconds=120)
        for name in ours:
            self.assertIn(f"removed models/{name}, left behind by a save that never finished", output)
            self.assertFalse((self.models / name).exists())
        for name in foreign:
            self.assertEqual((self.models / name).read_bytes(), b"half a fi", f"{name} is not ours to touch")
            (self.models / name).unlink()
        self.assert_finished(supervisor)
        self.assertRegex(output, rf"rejected episode {newest}: models/model_ep{newest}\.pt has \d+ bytes, its sidecar says "
                                 rf"\d+: it is cut short")
        self.assert_resumed(output, second)
        quarantined = list((self.models / "quarantine").rglob(archive.name))
        self.assertEqual([p.read_bytes() for p in quarantined], [truncated])
        self.assertIn(record.name, self.set_aside("quarantine"))

    def test_a_pruning_that_was_cut_short_leaves_nothing_unusable_behind(self):
        self.configure(trading={"episode_length": 80})
        self.supervise("--exit-when-done")
        self.saved(60)
        self.kill_everything()
        os.unlink(self.pair(self.episodes()[0])[1])  # the sidecar goes first, then the .pt: this is the moment between
        self.assert_finished(self.supervise("--exit-when-done"))
        verified = self.ctl("checkpoints", "verify")
        self.assertEqual(verified.returncode, 0, verified.stdout)

    def test_repeated_power_cuts_lose_no_more_than_since_the_last_checkpoint(self):
        last = 0
        for goal in (30, 80, 130):
            self.supervise("--exit-when-done")
            self.saved(goal)
            self.kill_everything()
            newest = self.episodes()[-1]
            self.assertGreaterEqual(newest, max(goal, last))
            last = newest
        output = self.assert_finished(self.supervise("--exit-when-done"))
        self.assert_resumed(output, last)


class ByHand(ResumeTest):
    def setUp(self):
        super().setUp()
        self.configure(trading={"episode_length": 80}, training={"episodes": 60})

    def assert_five_newest(self, said, folder=None):
        """Of the run that said this last, the five checkpoints told of last are there, and the end is one of them. Which they are
        depends on the disk: of the saves that come due while another is under way only the newest is made."""
        said = said.rpartition("Starting training: ")[2]
        saved = [int(n) for n in re.findall(r"^episode (\d+)/60 saved \(", said, re.MULTILINE)]
        self.assertEqual(saved[-1], 60)
        self.assertEqual(self.episodes(folder), saved[-5:])

    def finished_run(self):
        self.assert_five_newest(self.train().ends(0))

    def supervised_run(self, *options):
        output = self.supervise("--exit-when-done", *options).ends(0)
        self.assert_five_newest((self.folder / "logs/worker.log").read_text(encoding="utf-8"))
        return output

    def test_trainer_resumes_from_a_file_and_sets_newer_ones_aside(self):
        self.configure(checkpoints={"best_metric": "reward"})
        self.finished_run()
        before = self.contents()
        best = self.sidecar("best_model")["episode"]
        *_, target, newer, last = self.episodes()
        goal = target + 5
        output = self.train("--resume", f"models/model_ep{target}.pt", "--episodes", str(goal)).ends(0)
        self.assert_resumed(output, target, goal)
        self.assertEqual(self.episodes()[-2:], [target, goal])
        aside = {path.name for n in (newer, last) for path in self.pair(n)} | {"metrics.jsonl"}
        if best > target:
            aside |= {"best_model.pt", "best_model.json"}
        self.assertEqual(set(self.set_aside("superseded")), aside)
        for path in (self.models / "superseded").rglob("*"):
            if path.name == "metrics.jsonl":  # the lines after the target, cut off from the rest
                self.assertEqual(path.read_bytes().splitlines(), before[path.name].splitlines()[target:])
            elif path.is_file():
                self.assertEqual(path.read_bytes(), before[path.name], f"{path.name} was changed")
        self.assertLessEqual(self.sidecar("best_model")["episode"], goal)
        self.assert_all_valid()
        self.assert_nothing_left()

    def test_a_second_start_by_hand_without_a_word_is_refused_and_changes_nothing(self):
        self.finished_run()
        before = self.contents()
        output = self.train().ends(78)
        for option in ("--auto-resume", "--resume ep200", "--fresh"):
            self.assertIn(option, output)
        self.assertEqual(self.contents(), before)

    def test_an_emptied_directory_starts_at_one(self):
        self.supervised_run()
        first = self.contents()
        shutil.move(self.models, self.folder / "models_old")
        self.models.mkdir()
        output = self.supervised_run()
        self.assertIn("Starting from the beginning: no checkpoint in models/", output)
        self.assertNotIn("Auto-resuming", output)
        self.assertEqual(self.contents(self.folder / "models_old"), first)
        self.assert_nothing_left()

    def test_an_emptied_directory_starts_at_one_even_when_only_the_files_were_removed(self):
        self.supervise("--exit-when-done").ends(0)
        for name in self.names():
            (self.models / name).unlink()
        output = self.supervise("--exit-when-done").ends(0)
        self.assertIn("Starting from the beginning: no checkpoint in models/", output)
        self.assertEqual(self.episodes()[-1], 60)

    def test_fresh_sets_everything_aside(self):
        self.finished_run()
        before = self.contents()
        output = self.train("--fresh", "--episodes", "20").ends(0)
        self.assertIn("Starting training: 20 episodes", output)
        self.assertEqual(self.episodes()[-1], 20)
        aside = self.set_aside("superseded")
        self.assertEqual(set(aside), set(before))
        short = [path.name for n in self.episodes() for path in self.pair(n)]
        first = self.sidecar("model_ep20")["run_id"]

        output = self.supervised_run("--fresh")
        self.assertIn("Starting from the beginning", output)
        self.assertIn("nothing was deleted", output)
        self.assertNotEqual(self.sidecar("model_ep60")["run_id"], first)
        self.assertLessEqual(Counter(aside) + Counter(short), Counter(self.set_aside("superseded")))
        self.assert_nothing_left()

    def test_a_finished_run_stays_finished_until_more_episodes_are_asked_for(self):
        self.supervise("--exit-when-done").ends(0)
        before = self.contents()
        output = self.supervise("--exit-when-done").ends(0)
        self.assertRegex(output, r"60/60 episodes are done; raise training\.episodes to go on")
        self.assertNotIn("runs as process", output)
        self.assertEqual(self.contents(), before)
        self.configure(training={"episodes": 80})
        output = self.supervise("--exit-when-done").ends(0)
        self.assert_resumed(output, 60, 80)
        self.assertEqual(self.episodes()[-1], 80)


# What a person does in Python before coming here: some training, then torch.save.
PYTHON_TRAINING = """
import sys
import torch
model = torch.nn.Sequential(torch.nn.Linear(int(sys.argv[2]), 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
optimizer = torch.optim.Adam(model.parameters())
for _ in range(3):
    model(torch.ones(4, int(sys.argv[2]))).sum().backward()
    optimizer.step()
what = {"bare": model.state_dict(),
        "full": {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "note": "by hand"}}[sys.argv[3]]
torch.save(what, sys.argv[1])
print(model[0].weight[0, 0].item())
"""


class FromPython(ResumeTest):
    PYTHON = "/usr/bin/python3"

    def setUp(self):
        super().setUp()
        if subprocess.run([self.PYTHON, "-c", "import torch"], capture_output=True, check=False).returncode != 0:
            self.skipTest("python3-torch is not installed")
        self.configure(trading={"episode_length": 80}, training={"episodes": 20})

    def save(self, kind, inputs):
        subprocess.run([self.PYTHON, "-c", PYTHON_TRAINING, str(self.folder / "mine.pt"), str(inputs), kind],
                       check=True, capture_output=True)

    def inputs(self):
        """How wide the network of this configuration is: its own checkpoints say so."""
        self.train().ends(0)
        found = re.search(r'"model\.0\.weight" is float32 \[8, 1\] in the checkpoint, float32 \[8, (\d+)\]',
                          self.refusal())
        shutil.rmtree(self.models)
        return int(found[1])

    def refusal(self):
        self.save("full", 1)
        return self.train("--resume", "mine.pt").ends(65)

    def test_a_model_trained_in_python_goes_on_here(self):
        inputs = self.inputs()
        for kind, moments in (("full", "Adam's moments are taken over"), ("bare", "Adam's moments start at zero")):
            self.save(kind, inputs)
            output = self.train("--resume", "mine.pt").ends(0)
            self.assertIn("Starting from the model in mine.pt: its weights", output)
            self.assertIn(moments, output)
            self.assertEqual(self.episodes()[-1], 20)
            self.assert_all_valid()
            shutil.rmtree(self.models)


if __name__ == "__main__":
    main()
