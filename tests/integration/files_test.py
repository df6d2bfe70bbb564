#!/usr/bin/python3
"""The users' guide, scenario 6: what `ls models` and `cat models/model_ep290.json` show, and that every key of
`checkpoints:` is obeyed."""

import os
import sys
import zipfile

sys.dont_write_bytecode = True
from harness import ProgramTest, main  # noqa: E402


def both(*stems):
    return sorted(f"{stem}.{kind}" for stem in stems for kind in ("pt", "json"))


def eps(*episodes):
    return both(*(f"model_ep{n}" for n in episodes))


class Files(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "trainer")

    def run_with(self, episodes, **checkpoints):
        self.configure(training={"episodes": episodes}, checkpoints=checkpoints)
        self.train().ends(0)
        self.assert_nothing_left()
        return self.checkpoint_files()

    def checkpoint_files(self):
        """What `ls` shows but for the history, which has to be there."""
        names = self.names()
        names.remove("metrics.jsonl")
        return names

    def test_a_run_of_300_shows_what_a_person_wants_to_know(self):
        self.supervise("--exit-when-done").ends(0)
        self.assertEqual(self.checkpoint_files(), sorted(eps(260, 270, 280, 290, 300) + both("best_model")))
        record = self.sidecar("model_ep290")
        archive = self.pair(290)[0]
        expected = {"format": 1, "episode": 290, "total_episodes": 300, "attempt": 1, "reason": "schedule",
                    "file": "model_ep290.pt", "bytes": archive.stat().st_size}
        self.assertEqual({key: record[key] for key in expected}, expected)
        self.assertRegex(record["created"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
        self.assertRegex(record["digest"], r"^xxh3-128:[0-9a-f]{32}$")
        self.assertRegex(record["run_id"], r"^\w{8,}$")
        for metric in ("profit", "sharpe", "max_drawdown", "trades", "win_rate", "reward", "loss", "epsilon"):
            self.assertIsInstance(record["metrics"][metric], (int, float), metric)
        self.assertEqual(record["epsilon"], record["metrics"]["epsilon"])
        for fact in ("threads", "isa", "blas", "torch", "deterministic"):
            self.assertIn(fact, record["exactness"])
        self.assertEqual(record["config"]["hidden"], [8])
        self.assertGreater(record["durable_ms"], 0)
        self.assertGreater(record["stall_ms"], 0)
        self.assertEqual(self.sidecar("model_ep300")["reason"], "final")
        best = self.sidecar("best_model")
        self.assertEqual((best["reason"], best["file"]), ("best", "best_model.pt"))
        for n in self.episodes():
            self.assertLessEqual(self.sidecar(f"model_ep{n}")["metrics"]["profit"], best["metrics"]["profit"])
        for name in self.names():
            if name.endswith(".pt"):
                with zipfile.ZipFile(self.models / name) as archive_file:
                    self.assertIsNone(archive_file.testzip(), name)

    def test_save_frequency(self):
        self.assertEqual(self.run_with(20, save_frequency=7, save_best=False), eps(7, 14, 20))

    def test_max_keep(self):
        self.assertEqual(self.run_with(50, max_keep=2, save_best=False), eps(40, 50))

    def test_max_keep_of_one(self):
        self.assertEqual(self.run_with(30, max_keep=1, save_best=False), eps(30))

    def test_keep_every(self):
        self.assertEqual(self.run_with(100, max_keep=2, keep_every=40, save_best=False), eps(40, 80, 90, 100))

    def test_save_best_off_writes_no_best(self):
        names = self.run_with(20, save_best=False)
        self.assertNotIn("best_model.pt", names)
        self.assertNotIn("best_model.json", names)

    def test_best_metric_and_best_mode(self):
        self.run_with(30, max_keep=30, save_frequency=1, best_metric="loss", best_mode="min")
        best = self.sidecar("best_model")
        losses = {n: self.sidecar(f"model_ep{n}")["metrics"]["loss"] for n in self.episodes()}
        self.assertEqual(best["metrics"]["loss"], min(losses.values()))
        # The first of equals is the best, and its file is a second name of the episode's own.
        self.assertEqual(best["episode"], min(n for n, loss in losses.items() if loss == best["metrics"]["loss"]))
        self.assertTrue(os.path.samefile(self.models / "best_model.pt", self.pair(best["episode"])[0]))

    def test_a_metric_that_the_training_does_not_report_is_refused_by_name(self):
        self.configure(training={"episodes": 5}, checkpoints={"best_metric": "profits"})
        output = self.train().ends(78)
        self.assertIn('checkpoints.best_metric is "profits"', output)
        self.assertIn("profit", output)

    def test_save_interval_saves_between_two_scheduled_saves(self):
        self.configure(training={"episodes": 150},
                       checkpoints={"save_frequency": 1000, "save_interval": "50ms", "max_keep": 50})
        self.train().ends(0)
        reasons = {self.sidecar(f"model_ep{n}")["reason"] for n in self.episodes()}
        self.assertEqual(reasons, {"interval", "final"})


if __name__ == "__main__":
    main()
