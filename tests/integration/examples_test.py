#!/usr/bin/python3
"""Each example of config/examples as it stands: started, killed, resumed, stopped, finished."""

import os
import re
import shutil
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
from harness import ROOT, ProgramTest, main  # noqa: E402

PYTHON = "/usr/bin/python3"


class ExampleTest(ProgramTest):
    example = ""

    def setUp(self):
        super().setUp()
        shutil.copytree(ROOT / "config/examples", self.folder / "config/examples")
        self.config_file = self.folder / "config/examples" / self.example
        checked = self.ctl("config", "check")
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))

    def needs_module(self, name):
        if subprocess.run([PYTHON, "-c", f"import {name}"], capture_output=True, check=False).returncode != 0:
            self.skipTest(f"{PYTHON} has no module {name} (apt-get install python3-{name})")

    def needs_digests(self):
        if not shutil.which("xxhsum"):
            self.skipTest("there is no xxhsum (apt-get install xxhash)")

    def worker_said(self):
        path = self.folder / "logs/worker.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def kill_the_worker(self):
        pid = self.worker()
        os.kill(pid, signal.SIGKILL)
        return pid

    def check_pairs(self):
        result = self.ctl("checkpoints", "verify")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn(": valid", result.stdout)


class PythonWorker(ExampleTest):
    example = "python-worker.yaml"

    def setUp(self):
        super().setUp()
        self.needs_module("sdnotify")
        self.needs_digests()

    def weight(self):
        return re.search(r"done: weight (\S+)", self.worker_said())[1]

    def test_p3_p5_killed_and_stopped_it_ends_as_if_nobody_had_touched_it(self):
        self.supervise("--exit-when-done").ends(0)
        undisturbed = self.weight()
        self.assertEqual(self.episodes(), [20, 30, 40, 50, 60])
        self.check_pairs()
        shown = self.ctl("checkpoints", "show", "ep60")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertRegex(shown.stdout, r"episode +60 of 60\n(.*\n)*.*content +another program's affair")
        compared = self.ctl("checkpoints", "diff", "ep50", "ep60")
        self.assertEqual(compared.returncode, 0, compared.stderr)
        self.assertTrue(compared.stdout.startswith("different; what they hold cannot be compared: "), compared.stdout)
        self.assertIn("supervisorctl status shows the newest metrics", self.ctl("metrics").stderr)
        for name in ("models", "logs"):
            shutil.rmtree(self.folder / name)

        supervisor = self.supervise("--exit-when-done")
        self.saved(10)
        killed = self.kill_the_worker()
        self.running_worker(beyond=15, other_than=killed)
        self.assertIn("weight", self.status()["metrics"])
        self.assertTrue(self.status()["checkpoint"])
        self.assertIn("from episode 10\n", self.worker_said())
        supervisor.signal(signal.SIGTERM)
        self.assertIn("exited with status 75", supervisor.ends(0))
        stopped_at = max(self.episodes())
        self.check_pairs()

        self.supervise("--exit-when-done").ends(0)
        self.assertIn(f"from episode {stopped_at}\n", self.worker_said())
        self.assertEqual(self.weight(), undisturbed)
        self.check_pairs()
        self.assert_nothing_left()

    def test_one_writer_at_a_time(self):
        self.supervise()
        self.running_worker()
        second = subprocess.run([PYTHON, "-B", "config/examples/python_worker.py"], cwd=self.folder, text=True,
                                capture_output=True, check=False, timeout=60)
        self.assertIn("BlockingIOError", second.stderr)
        self.assertRegex(self.ctl("checkpoints", "release", "ep1").stderr, "is in use by python_worker.py")


class ShellWorker(ExampleTest):
    example = "shell-worker.yaml"

    def test_killed_and_stopped_it_goes_on_by_itself_and_finishes(self):
        supervisor = self.supervise("--exit-when-done")
        progress = self.folder / "work/progress"
        self.until(lambda: progress.exists() and int(progress.read_text(encoding="ascii") or 0) > 10, "some progress")
        killed = self.kill_the_worker()
        self.until(lambda: self.worker() not in (0, killed), "another worker")
        at = int(progress.read_text(encoding="ascii"))
        self.until(lambda: int(progress.read_text(encoding="ascii") or 0) > at + 5, "further progress")
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.supervise("--exit-when-done").ends(0)
        begun = [int(n) for n in re.findall(r"from step (\d+)\n", self.worker_said())]
        self.assertEqual(len(begun), 3)
        self.assertEqual(begun, sorted(begun))
        self.assertGreater(begun[1], 10)
        self.assertIn("done: 100 steps", self.worker_said())
        self.assert_nothing_left()


class SnapshotWorker(ExampleTest):
    example = "snapshot-worker.yaml"

    def setUp(self):
        super().setUp()
        self.needs_digests()

    def test_p5_its_death_costs_the_episode_in_flight(self):
        supervisor = self.supervise("--exit-when-done")
        self.running_worker(beyond=10)
        self.assertEqual(self.episodes(), [])
        killed = self.kill_the_worker()
        self.running_worker(beyond=15, other_than=killed)
        rescued = min(self.episodes())
        self.assertGreater(rescued, 10)
        self.assertEqual(self.sidecar(f"model_ep{rescued}")["reason"], "rescue")
        self.assertIn(f"from episode {rescued}\n", self.worker_said())
        supervisor.ends(0)
        self.assertIn(f"done: sum {sum(range(61))}\n", self.worker_said())
        self.check_pairs()
        self.assert_nothing_left()


if __name__ == "__main__":
    main()
