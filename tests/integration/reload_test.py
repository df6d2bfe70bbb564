#!/usr/bin/python3
"""The configuration file while training goes on: `config check` explains it and compares it with what runs, `reload` applies
what can be applied and says what waits, and a file that is wrong changes nothing (P7), not even at a relaunch (P10)."""

import json
import os
import signal
import sys

sys.dont_write_bytecode = True
from harness import ProgramTest, main  # noqa: E402

OK, FAILED, USAGE, NO_DAEMON = 0, 1, 2, 4


class ReloadTest(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def setUp(self):
        super().setUp()
        self.configure(training={"episodes": 100_000}, worker={"command": self.toy("--step-ms", 1)})

    def asked(self, status, *arguments):
        result = self.ctl(*arguments)
        self.assertEqual(result.returncode, status, f"{arguments}: {result.stdout}{result.stderr}")
        return result.stdout + result.stderr

    def running_values(self):
        settings = self.request("GET", "/v1/config")[1]["settings"]
        return {setting["key"]: setting["value"] for setting in settings}

    def end(self, supervisor):
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()


class Check(ReloadTest):
    def test_each_value_is_shown_with_its_origin(self):
        said = self.asked(OK, "config", "check")
        self.assertRegex(said, r"config.yaml is right\.")
        self.assertRegex(said, r"(?m)^training\n  episodes +line \d+ +100000\n  seed +line \d+ +7\n  device +default +auto$")
        self.assertIn("No supervisor answers on", said)
        document = json.loads(self.asked(OK, "config", "check", "--json"))
        self.assertEqual((document["format"], document["valid"], document["differences"]), (1, True, None))
        episodes = next(one for one in document["settings"] if one["key"] == "training.episodes")
        self.assertEqual((episodes["value"], episodes["applies"]), ("100000", "next_launch"))
        self.assertIsInstance(episodes["line"], int)

    def test_what_is_wrong_is_named_with_line_and_column(self):
        self.config_file.write_text("training:\n  episods: 3\n  seed: x\n", encoding="utf-8")
        said = self.asked(USAGE, "config", "check")
        self.assertRegex(said, r':2:3: unknown key "episods" in training; did you mean "episodes"\?')
        self.assertRegex(said, r":3:9: training\.seed must be a whole number")
        document = json.loads(self.asked(USAGE, "config", "check", "--json"))
        self.assertFalse(document["valid"])
        self.assertEqual(len(document["problems"]), 2)

    def test_what_differs_from_the_running_one_is_listed(self):
        supervisor = self.supervise()
        self.running_worker(beyond=1)
        self.assertIn("The supervisor runs with these very values.", self.asked(OK, "config", "check"))
        self.configure(restart={"cooldown": "5m"}, checkpoints={"max_keep": 9, "directory": "elsewhere"},
                       supervisor={"control_socket": "models/.supervisor/control.sock"})
        said = self.asked(OK, "config", "check")
        self.assertRegex(said, r"restart\.cooldown +15m -> 5m +counts once it is reloaded")
        self.assertRegex(said, r"checkpoints\.max_keep +\d+ -> 9 +counts at the worker's next launch")
        self.assertRegex(said, r"checkpoints\.directory +models -> elsewhere +counts when the supervisor itself is started")
        changed = {one["key"] for one in json.loads(self.asked(OK, "config", "check", "--json"))["differences"]}
        self.assertEqual(changed, {"restart.cooldown", "checkpoints.max_keep", "checkpoints.directory",
                                   "supervisor.control_socket"})
        self.end(supervisor)


class Reload(ReloadTest):
    def test_what_can_be_applied_is_and_the_rest_is_said_to_wait(self):
        supervisor = self.supervise()
        worker = self.running_worker(beyond=5)
        self.configure(restart={"cooldown": "5m"}, training={"episodes": 200_000}, checkpoints={"directory": "elsewhere"},
                       supervisor={"control_socket": "models/.supervisor/control.sock"})
        said = self.asked(OK, "reload")
        self.assertIn("restart.cooldown (15m -> 5m): in force now", said)
        self.assertIn("training.episodes (100000 -> 200000)", said)
        self.assertRegex(said, r"checkpoints\.directory \(models -> elsewhere\).*: only when the supervisor itself")
        values = self.running_values()
        self.assertEqual((values["restart.cooldown"], values["training.episodes"], values["checkpoints.directory"]),
                         ("5m", "200000", "models"))
        self.assertEqual(self.worker(), worker, "a reload disturbs nobody")
        self.asked(OK, "restart")
        status = self.in_state("running")
        self.assertEqual(status["total_episodes"], 200_000)
        # P4: the next worker, too, writes where this supervisor looks.
        self.running_worker(beyond=status["episode"] + 20)
        self.assertFalse((self.folder / "elsewhere").exists())
        self.assertIn(f"of user {os.getuid()}", supervisor.output())
        self.end(supervisor)

    def test_nothing_changed_is_said(self):
        supervisor = self.supervise()
        self.running_worker(beyond=1)
        self.assertIn("Nothing has changed", self.asked(OK, "reload"))
        document = json.loads(self.asked(OK, "reload", "--json"))
        self.assertEqual(document["changes"], [])
        self.end(supervisor)

    def test_p7_p10_a_wrong_file_is_refused_and_a_relaunch_does_not_read_it(self):
        supervisor = self.supervise()
        worker = self.running_worker(beyond=12)
        before = self.running_values()
        good = self.config_file.read_text(encoding="utf-8")
        for wrong in ("training: {episodes: many}\n", "training: [", "\0", ""):
            if wrong:
                self.config_file.write_text(wrong, encoding="utf-8")
            else:
                self.config_file.unlink()
            said = self.asked_socket(USAGE, "reload")
            self.assertIn("nothing was changed", said)
            self.assertEqual(self.running_values(), before)
        # The night goes on: who wrote half a file and went to bed finds the run where it belongs.
        os.kill(worker, signal.SIGKILL)
        self.assertNotEqual(self.running_worker(beyond=30, other_than=worker), worker)
        self.config_file.write_text(good, encoding="utf-8")
        self.assertIn("Nothing has changed", self.asked(OK, "reload"))
        self.end(supervisor)

    def asked_socket(self, status, *arguments):
        result = self.run_program("supervisorctl", "--socket", self.models / ".supervisor/control.sock", *arguments)
        self.assertEqual(result.returncode, status, f"{arguments}: {result.stdout}{result.stderr}")
        return result.stdout + result.stderr

    def test_a_finished_run_goes_on_when_there_is_more_to_do(self):
        self.configure(training={"episodes": 20})
        supervisor = self.supervise()
        self.in_state("finished")
        self.configure(training={"episodes": 40})
        self.assertIn("training.episodes (20 -> 40)", self.asked(OK, "reload"))
        self.asked(OK, "start")
        self.until(lambda: self.status()["episode"] == 40, "the new end")
        self.in_state("finished")
        self.end(supervisor)

    def test_heartbeats_switched_on_hold_for_the_next_worker_only(self):
        """One that was launched without a socket to beat on must not be ended for its silence."""
        self.configure(worker={"command": ["/bin/sh", "-c", "exec sleep 600"]}, supervisor={"heartbeat_timeout": "0s"})
        supervisor = self.supervise()
        pid = self.in_state("running")["worker"]["pid"]
        self.configure(supervisor={"heartbeat_timeout": "300ms", "heartbeat_interval": "100ms"})
        self.asked(OK, "reload")
        self.asked(OK, "status")
        self.until(lambda: self.status()["state_for_s"] > 1.5, "a while")
        self.assertEqual(self.status()["worker"]["pid"], pid)
        self.end(supervisor)


if __name__ == "__main__":
    main()
