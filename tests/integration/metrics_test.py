#!/usr/bin/python3
"""The history of a run, models/metrics.jsonl, through what happens to real programs, and `supervisorctl metrics`, which
reads it with or without a supervisor."""

import json
import os
import re
import signal
import sys

sys.dont_write_bytecode = True
from harness import Connection, ProgramTest, main  # noqa: E402

OK, FAILED, USAGE = range(3)


class Metrics(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def setUp(self):
        super().setUp()
        self.configure(training={"episodes": 100_000}, worker={"command": self.toy("--step-ms", 1)},
                       checkpoints={"max_keep": 1000})

    def history(self, folder=None):
        text = ((folder or self.models) / "metrics.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def episodes(self, folder=None):
        return [entry["episode"] for entry in self.history(folder)]

    def ask(self, status, *arguments, **environment):
        result = self.run_program("supervisorctl", "--config", self.config_file, "metrics", *arguments, **environment)
        self.assertEqual(result.returncode, status, f"{arguments}: {result.stdout}{result.stderr}")
        return result.stdout + result.stderr

    def end(self, supervisor):
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()

    def test_it_has_every_episode_once_whatever_kills_the_worker(self):
        supervisor = self.supervise()
        for number in range(1, 6):
            worker = self.running_worker(beyond=number * 25)
            os.kill(worker, signal.SIGKILL)
            self.in_state("running", attempt=number + 1)
        self.running_worker(beyond=150)
        self.end(supervisor)
        newest = self.status_of_files()
        self.assertEqual(self.episodes(), list(range(1, newest + 1)))
        self.assertGreaterEqual({entry["attempt"] for entry in self.history()}, {1, 2})
        sidecar = json.loads((self.models / f"model_ep{newest}.json").read_text(encoding="utf-8"))
        self.assertEqual(self.history()[-1]["metrics"], sidecar["metrics"])

    def status_of_files(self):
        return max(int(re.search(r"\d+", path.name)[0]) for path in self.models.glob("model_ep*.json"))

    def test_going_back_takes_it_along(self):
        supervisor = self.supervise()
        self.running_worker(beyond=45)
        self.assertEqual(self.ctl("restart", "--from", "ep20").returncode, OK)
        self.until(lambda: 20 < self.episodes()[-1] < 45 or self.status()["episode"] > 45, "training from there")
        self.running_worker(beyond=50)
        self.end(supervisor)
        self.assertEqual(self.episodes(), list(range(1, self.status_of_files() + 1)))
        aside = [folder for folder in (self.models / "superseded").iterdir() if (folder / "metrics.jsonl").exists()]
        self.assertEqual(len(aside), 1)
        self.assertEqual(self.episodes(aside[0])[0], 21)
        self.assertGreaterEqual(self.episodes(aside[0])[-1], 45)

    def test_the_verb(self):
        self.assertIn("there is no directory models", self.ask(FAILED))
        self.models.mkdir()
        self.assertIn("metrics.jsonl does not exist. Our own trainer writes that", self.ask(FAILED))
        supervisor = self.supervise()
        self.running_worker(beyond=35)
        self.end(supervisor)
        newest = self.episodes()[-1]
        table = self.ask(OK)
        self.assertTrue(table.startswith(f"episode {newest}, "), table)
        for name in ("metric", "profit", "sharpe", "epsilon"):
            self.assertRegex(table, rf"(?m)^{name} ")
        drawn = self.ask(OK, "--plot", "profit", COLUMNS="60", LC_ALL="C.UTF-8")
        self.assertRegex(drawn, "[\u2801-\u28ff]")
        self.assertIn("\u25cf best: ", drawn)
        self.assertLessEqual(max(map(len, drawn.splitlines())), 60)
        self.assertIn(f" {newest}\n", drawn)
        plain = self.ask(OK, "--plot", "profit", "--last", "10", COLUMNS="60", LC_ALL="C")
        self.assertTrue(plain.isascii(), plain)
        self.assertIn(f"episode {newest - 9} ", plain)
        refused = self.ask(USAGE, "--plot", "profti")
        self.assertIn('there is no metric "profti"; there are: epsilon, profit, sharpe.', refused)
        document = json.loads(self.ask(OK, "--json", "--last", "3", "--plot", "profit"))
        self.assertEqual((document["format"], document["names"]), (1, ["epsilon", "profit", "sharpe"]))
        self.assertEqual([entry["episode"] for entry in document["history"]], [newest - 2, newest - 1, newest])
        self.assertEqual([list(entry["metrics"]) for entry in document["history"]], [["profit"]] * 3)
        self.ask(USAGE, "--last", "0")


class Accounting(ProgramTest):
    """What an incident cost, by the status and by its report, also after the supervisor's own death."""

    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def test_of_a_worker_that_hung(self):
        self.configure(training={"episodes": 100_000}, supervisor={"heartbeat_timeout": "2s", "heartbeat_interval": "200ms"},
                       worker={"command": self.toy("--step-ms", 2, "--hang-at-episode", 25, "--only-attempt", 1)})
        supervisor = self.supervise()
        self.in_state("running", attempt=2)
        last = self.until(self.incident_that_is_over, "training after the incident")
        self.assertEqual((last["cause"], last["lost_episodes"]), ("heartbeat_lost", 0))
        self.assertGreaterEqual(last["detect_s"], 2)
        self.assertGreaterEqual(last["first_step_s"], last["relaunch_s"])
        report = self.until(lambda: self.report()["first_step_s"] is not None and self.report(), "the report's last word")
        for name in ("detect_s", "relaunch_s", "first_step_s", "lost_episodes"):
            self.assertAlmostEqual(report[name], last[name], places=6, msg=name)
        goodput = self.status()["goodput"]
        self.assertTrue(0 < goodput < 1, goodput)
        self.assertIn("% of the time went into episodes that count; 0 episodes lost", self.ctl("status").stdout)

        supervisor.signal(signal.SIGKILL)
        supervisor.ends(-signal.SIGKILL)
        successor = self.supervise()
        self.in_state("running", attempt=2)
        status = self.status()
        self.assertEqual(status["last_incident"], last)
        # Its first half minute was bad, and is not forgotten.
        self.assertTrue(0 < status["goodput"] < 1, status["goodput"])
        self.assertIn('trainer_restarts_total{cause="heartbeat_lost"} 1\n', self.metrics())
        self.assertIn("trainer_incident_detection_seconds_count 1\n", self.metrics())
        successor.signal(signal.SIGTERM)
        successor.ends(0)
        self.assert_nothing_left()

    def incident_that_is_over(self):
        last = self.status().get("last_incident")
        return last if last and last["first_step_s"] is not None else None

    def report(self):
        return json.loads(next((self.state_folder() / "incidents").glob("*/report.json")).read_text(encoding="utf-8"))

    def metrics(self):
        connection = Connection(self.state_folder() / "control.sock")
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        finally:
            connection.close()


if __name__ == "__main__":
    main()
