#!/usr/bin/python3
"""Ctrl+C and its relatives on the real programs: the last completed episode is saved, everything ends, the same command
goes on. On a terminal (a pty) too, where the live progress line is."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from harness import BIN, ROOT, ProgramTest, main  # noqa: E402
from terminal import Terminal  # noqa: E402

STOPPED = re.compile(r"Stopped after episode (\d+); the newest checkpoint is models/model_ep(\d+)\.pt\. "
                     r"To go on, start it again with the same command\.")


class InterruptTest(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "trainer")

    def assert_stopped_well(self, output):
        """Returns the episode that was saved: the last one completed."""
        match = STOPPED.search(output)
        self.assertIsNotNone(match, output)
        self.assertEqual(match[1], match[2], "the last completed episode is not what was saved")
        self.assertEqual(self.episodes()[-1], int(match[1]))
        self.assertEqual(self.sidecar(f"model_ep{match[1]}")["reason"] in ("signal", "schedule"), True)
        self.assert_nothing_left()
        return int(match[1])

    def assert_goes_on(self, episode):
        output = self.supervise("--exit-when-done").ends(0)
        self.assertIn(f"Auto-resuming from episode {episode}: models/model_ep{episode}.pt", output)
        self.assertIn(f"Resuming training from episode {episode + 1}/300", output)
        self.assertEqual(self.episodes()[-1], 300)
        self.assert_nothing_left()


class Signals(InterruptTest):
    def test_sigint_and_sigterm_to_the_supervisor_save_and_end_with_0(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            supervisor = self.supervise("--exit-when-done")
            self.running_worker(beyond=(self.episodes() or [0])[-1] + 15)
            supervisor.signal(number)
            episode = self.assert_stopped_well(supervisor.ends(0))
        self.assert_goes_on(episode)

    def test_sigint_before_anything_was_saved_ends_with_0(self):
        supervisor = self.supervise("--exit-when-done")
        self.in_state("starting", "running")
        supervisor.signal(signal.SIGINT)
        output = supervisor.ends(0)
        self.assertRegex(output, r"Stopped after episode \d+; ")
        self.assert_nothing_left()

    def test_sigint_to_the_trainer_alone_saves_and_ends_with_75(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            trainer = self.train("--auto-resume")
            self.saved((self.episodes() or [0])[-1] + 10)
            trainer.signal(number)
            output = trainer.ends(75)
            episode = self.episodes()[-1]
            self.assertIn(f"Stopped after episode {episode}/300; start again with --auto-resume to go on", output)
            self.assert_nothing_left()
        output = self.train("--auto-resume").ends(0)
        self.assertIn(f"Resuming training from episode {episode + 1}/300", output)

    def test_sigusr1_saves_now_and_goes_on(self):
        self.configure(checkpoints={"save_frequency": 1000})
        trainer = self.train()
        self.until((self.models / "best_model.json").exists, "the first completed episode")
        trainer.signal(signal.SIGUSR1)
        episode = self.saved(1)
        self.assertLess(episode, 300)
        self.assertEqual(self.sidecar(f"model_ep{episode}")["reason"], "request")
        trainer.ends(0)
        self.assertEqual(self.episodes(), [episode, 300])


    def test_one_request_sent_twice_is_one(self):
        """To the process and to its group, as wrappers do: the worker still gets to save."""
        self.configure(checkpoints={"save_frequency": 1000, "save_best": False})
        supervisor = self.supervise()
        self.running_worker(beyond=5)
        supervisor.signal(signal.SIGTERM)
        supervisor.signal(signal.SIGINT)
        output = supervisor.ends(0)
        self.assertNotIn("asked again", output)
        self.assertEqual(len(self.episodes()), 1)


class StubbornWorker(InterruptTest):
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def test_a_second_ctrl_c_kills_a_worker_that_will_not_stop(self):
        self.configure(worker={"command": self.toy("--step-ms", 1, "--ignore-sigterm")}, supervisor={"stop_timeout": "10m"},
                       checkpoints={"save_frequency": 1000, "save_best": False})  # so that no save is cut short
        supervisor = self.supervise()
        worker = self.running_worker(beyond=5)
        supervisor.signal(signal.SIGINT)
        self.in_state("stopping")
        time.sleep(0.5)  # two within a third of a second are one
        supervisor.signal(signal.SIGINT)
        output = supervisor.ends(0)
        self.assertIn(f"asked again to stop: killing worker {worker} now", output)
        self.assert_nothing_left(killed=True)

    def test_a_worker_that_will_not_stop_is_ended_harshly_after_stop_timeout(self):
        self.configure(worker={"command": self.toy("--step-ms", 1, "--ignore-sigterm")},
                       supervisor={"stop_timeout": "200ms"}, checkpoints={"save_frequency": 1000, "save_best": False})
        self.assert_ended_harshly()

    def test_saving_on_and_on_does_not_postpone_that_for_ever(self):
        """A save asks for patience (EXTEND_TIMEOUT_USEC), and a worker that ignores the stop asks again and again."""
        self.configure(worker={"command": self.toy("--step-ms", 1, "--ignore-sigterm")}, training={"episodes": 100_000},
                       supervisor={"stop_timeout": "200ms"}, checkpoints={"save_frequency": 1})
        self.assert_ended_harshly()

    def assert_ended_harshly(self):
        supervisor = self.supervise()
        self.running_worker(beyond=5)
        supervisor.signal(signal.SIGTERM)
        self.assertIn("did not end after SIGTERM; sending SIGABRT", supervisor.ends(0, seconds=30))
        self.assert_nothing_left(killed=True)


class OnATerminal(InterruptTest):
    def test_ctrl_c_stops_gracefully_and_the_line_was_live(self):
        self.configure(trading={"episode_length": 60})
        with Terminal(self, columns=200) as terminal:
            terminal.start(BIN / "trainer-supervisor", "--config", self.config_file, "--exit-when-done")
            fields = [r"episode \d+/300", r"profit [+-]\d+\.\d%", r"Sharpe -?\d+\.\d\d", r"epsilon \d\.\d\d",
                      r"\d+\.\d ep/s", r"ETA \S+", r"saved ep\d+", r"restarts 0"]
            line = re.compile(r"\r\x1b\[K" + r" \| ".join(fields))
            terminal.says(line)
            # Redrawn in place: several of them and no newline between two.
            terminal.says(re.compile(rf"{line.pattern}{line.pattern}"))
            terminal.press_ctrl_c()
            output = terminal.ends(0)
        episode = self.assert_stopped_well(output)
        self.assertNotRegex(output, r"[^\r]\n\x1b")
        self.assert_goes_on(episode)

    def test_a_narrow_terminal_never_gets_a_line_that_wraps(self):
        with Terminal(self, columns=40) as terminal:
            terminal.start(BIN / "trainer-supervisor", "--config", self.config_file, "--exit-when-done")
            terminal.says(re.compile(r"\r\x1b\[Kepisode \d+/300 \| profit"))
            terminal.press_ctrl_c()
            output = terminal.ends(0)
        for drawn in re.findall(r"\r\x1b\[K([^\r\n]*)", output):
            if drawn.startswith("episode"):
                self.assertLess(len(drawn), 40)
        self.assert_nothing_left()

    def test_a_terminal_that_goes_away_does_not_take_the_training_with_it(self):
        with Terminal(self) as terminal:
            terminal.start(BIN / "trainer-supervisor", "--config", self.config_file, "--exit-when-done")
            self.running_worker(beyond=20)
        self.until(lambda: self.episodes()[-1:] == [300], "the end of the training")
        self.until(lambda: not self.ours(), "the end of every process")

    def test_without_a_terminal_the_lines_are_plain(self):
        output = self.supervise("--exit-when-done").ends(0)
        self.assertNotIn("\r", output)
        self.assertNotIn("\x1b", output)
        self.assertRegex(output, r"\nepisode \d+/300 \| profit [+-][\d.]+% \| Sharpe -?[\d.]+ \| epsilon [\d.]+ \| "
                                 r"[\d.]+ ep/s \| ETA \S+ \| saved ep\d+ \| restarts 0\n")


class TheScript(InterruptTest):
    """./run_training.sh itself, in a project of its own whose build copies the programs that are under test."""

    def setUp(self):
        super().setUp()
        for tool in ("cmake", "ninja"):
            if not shutil.which(tool):
                self.skipTest(f"{tool} is not installed")
        self.project = self.folder / "project"
        self.project.mkdir()
        shutil.copytree(ROOT / "scripts", self.project / "scripts")
        shutil.copytree(ROOT / "config", self.project / "config")
        for name in ("run_training.sh", "CMakePresets.json"):
            shutil.copy(ROOT / name, self.project)
        rules = ["cmake_minimum_required(VERSION 3.25)", "project(tiny LANGUAGES NONE)"]
        for program in ("trainer-supervisor", "supervisorctl", "trainer"):
            rules.append(f"add_custom_target({program} COMMAND ${{CMAKE_COMMAND}} -E copy_if_different "
                         f"\"{BIN / program}\" \"${{PROJECT_BINARY_DIR}}/bin/{program}\" VERBATIM)")
        (self.project / "CMakeLists.txt").write_text("\n".join(rules), encoding="utf-8")
        (self.project / "data").symlink_to(ROOT / "data")
        # The script changes into the project, and relative paths in the configuration mean that directory.
        self.models = self.project / "models"
        self.environment["TS_SKIP_INSTALL"] = "1"

    def run_training(self, *arguments):
        return self.start(self.project / "run_training.sh", "--config", self.config_file, *arguments)

    def test_the_same_command_goes_on_after_ctrl_c_and_after_everything_was_killed(self):
        run = self.run_training()
        self.saved(30)
        os.killpg(run.pid, signal.SIGINT)
        run.ends(0)
        episode = self.assert_stopped_well(run.output())

        run = self.run_training()
        run.says(f"Resuming training from episode {episode + 1}/300")
        self.saved(100)
        self.kill_everything()
        newest = self.episodes()[-1]

        output = self.run_training().ends(0)
        self.assertIn(f"Auto-resuming from episode {newest}: models/model_ep{newest}.pt", output)
        self.assertIn(f"Resuming training from episode {newest + 1}/300", output)
        episodes = self.episodes()  # which of them beside the last is for a fast machine to say
        self.assertEqual((len(episodes), episodes[-1]), (5, 300))
        self.assert_nothing_left()

    def test_run_from_elsewhere_with_a_relative_configuration(self):
        (self.folder / "else where").mkdir()
        self.configure(training={"episodes": 20})
        result = subprocess.run([self.project / "run_training.sh", "--config", "../config.yaml"], text=True, check=False,
                                cwd=self.folder / "else where", env=self.environment, capture_output=True, timeout=120)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(self.episodes()[-1], 20)
        self.assertFalse(pathlib.Path(self.folder / "else where/models").exists())


if __name__ == "__main__":
    main()
