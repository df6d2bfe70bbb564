#!/usr/bin/python3
"""supervisorctl incidents: what ended a worker, told by the daemon and, without one, out of the directory (P11, P7)."""

import json
import os
import pathlib
import re
import signal
import sys

sys.dont_write_bytecode = True
from control_test import FAILED, NO_DAEMON, OK, USAGE, ControlTest  # noqa: E402
from harness import main  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent


class Incidents(ControlTest):
    def killed(self):
        """A supervisor whose first worker was killed. Returns it and the id of the incident."""
        supervisor = self.running()
        os.kill(self.worker(), signal.SIGKILL)
        report = self.incident(1)
        return supervisor, report["id"]

    def test_p11_a_killed_worker_is_listed_and_told_by_each_name_it_has(self):
        supervisor, name = self.killed()
        listed = self.ask(OK, "incidents")
        self.assertRegex(listed, rf"{re.escape(name)} .* ago\) +crash +\d+ +\d+ +relaunching at once; went on from episode \d+")
        self.assertEqual(listed.splitlines()[0], self.ask(OK, "incidents", "list", "-n", "1").splitlines()[0])
        story = " ".join(self.ask(OK, "incidents", "show", name).split())
        folder = self.state_folder() / "incidents" / name
        for words in ("The worker was killed (SIGKILL) by somebody", "was killed by signal 9 (SIGKILL)", "in attempt 1, process",
                      "The kernel told the supervisor at once", "Relaunching at once. The next attempt went on from episode",
                      str(folder), "log.txt", "Its last words:"):
            self.assertIn(words, story)
        for other in ("latest", "1", name[:20]):
            self.assertIn(f"Incident {name}\n", self.ask(OK, "incidents", "show", other))
        self.end(supervisor)

    def test_an_unknown_one_is_answered_with_what_there_is(self):
        supervisor, name = self.killed()
        for unknown in ("77", "2001", "nonsense"):
            self.assertIn(name, self.ask(USAGE, "incidents", "show", unknown))
        for odd in ("", "../..", "a b", "\x1b[2J", "a/" * 2000):
            self.assertNotIn("\x1b", self.ask(USAGE, "incidents", "show", odd))
        self.ask(USAGE, "incidents", "-n", "0")
        self.end(supervisor)
        self.assertIn(name, self.ask(USAGE, "incidents", "show", "77"))

    def test_p7_without_a_daemon_the_directory_says_the_same(self):
        supervisor, name = self.killed()
        asked = [json.loads(self.ask(OK, "incidents", *words, "--json")) for words in (("list",), ("show", "latest"))]
        self.assertEqual(asked[0]["incidents"][0]["id"], name)
        self.assertEqual((asked[0]["format"], asked[0]["total"]), (1, 1))
        self.assertEqual(asked[1]["report"], self.read_json(self.state_folder() / "incidents" / name / "report.json"))
        self.assertEqual(asked[1]["id"], name)
        self.assertIn("log.txt", [file["name"] for file in asked[1]["files"]])
        self.assertIsInstance(asked[1]["log_tail"], list)
        self.assertEqual(self.request("GET", "/v1/incidents/latest"), (200, asked[1]))
        self.assertEqual(self.request("GET", "/v1/incidents?limit=1"), (200, asked[0]))
        self.assertEqual(self.request("GET", "/v1/incidents/77")[0], 404)
        self.end(supervisor)
        alone = [json.loads(self.ask(OK, "incidents", *words, "--json")) for words in (("list",), ("show", "latest"))]
        self.assertEqual(alone, asked)
        self.assertIn(name, self.ask(OK, "incidents"))

    def test_without_a_daemon_and_a_configuration_nobody_can_tell(self):
        result = self.run_program("supervisorctl", "--socket", self.folder / "none.sock", "incidents")
        self.assertEqual(result.returncode, NO_DAEMON, result.stderr)
        self.assertIn("no supervisor answers", result.stderr)

    def test_nothing_on_record_is_no_error(self):
        self.assertIn("no incident on record", self.ask(OK, "incidents"))
        self.assertIn("no incident on record", self.ask(USAGE, "incidents", "show", "latest"))

    def test_p7_torn_and_hostile_reports_are_told_as_such(self):
        supervisor, name = self.killed()
        folder = self.state_folder() / "incidents"
        whole = (folder / name / "report.json").read_text(encoding="utf-8")
        hostile = ["", whole[:len(whole) // 2], "[" * 100_000, " " * 300_000, '{"format": 99}', "null",
                   whole.replace('"what": "', '"what": "\\u001b[2J\\u0007')]
        for number, text in enumerate(hostile):
            other = folder / f"2030-01-01T00-00-0{number}.000Z-attempt{50 + number}-crash"
            other.mkdir()
            (other / "report.json").write_text(text, encoding="utf-8")
        (folder / "2031-01-01T00-00-00.000Z-attempt60-crash").symlink_to("/etc")
        fifo = folder / "2030-01-01T00-00-09.000Z-attempt59-crash"
        fifo.mkdir()
        os.mkfifo(fifo / "report.json")
        for with_daemon in (True, False):
            listed = self.ask(OK, "incidents")
            self.assertIn(name, listed)
            self.assertGreaterEqual(listed.count("unreadable: "), len(hostile) - 1)
            self.assertNotIn("attempt60", listed)
            for number in range(len(hostile)):
                said = self.ask(OK if number == len(hostile) - 1 else FAILED, "incidents", "show", str(50 + number))
                self.assertNotRegex(said, r"[\x00-\x09\x0b-\x1f]")
            self.assertIn("cannot be read", self.ask(FAILED, "incidents", "show", "59"))
            if with_daemon:
                self.assertEqual(self.status()["state"], "running")
                self.end(supervisor)


class Overtaken(ControlTest):
    def test_p11_one_that_a_stop_came_before_is_told_to_its_end(self):
        stubborn = "trap '' TERM; while :; do sleep 0.1; done"
        self.configure(worker={"command": ["/bin/sh", "-c", stubborn], "resume_args": ["{checkpoint}"]},
                       supervisor={"startup_timeout": "1s", "stop_timeout": "2s"})
        supervisor = self.supervise()
        supervisor.says("sending SIGTERM to worker")
        for verb in ("restart", "fresh"):
            self.ask(OK, verb, "--no-wait")
        self.ask(OK, "stop")
        self.in_state("stopped", desired="down")

        def told():
            [path] = self.state_folder().glob("incidents/*-attempt1-start_timeout/report.json")
            report = self.read_json(path)
            return report if report["exit"] else None
        report = self.until(told, "its end in the report")
        self.assertEqual(report["exit"], {"signal": signal.SIGABRT.value})
        story = " ".join(self.ask(OK, "incidents", "show", "latest").split())
        self.assertIn("What was done: What was asked for meanwhile came first: a stop", story)
        self.assertNotIn("has not ended yet", story)
        self.end(supervisor)


class Hang(ControlTest):
    def test_p11_a_hang_is_told_with_how_it_was_noticed_and_what_the_machine_looked_like(self):
        self.configure(training={"episodes": 6},
                       worker={"command": [sys.executable, str(HERE / "clocks_worker.py"), "sleep"]},
                       supervisor={"heartbeat_timeout": "1s", "heartbeat_interval": "200ms", "stop_timeout": "1s"})
        self.supervise("--exit-when-done").ends(0)
        story = " ".join(self.ask(OK, "incidents", "show", "1").split())
        for words in ("The worker fell silent", "Its heartbeat stayed away", "Its last sign of life had come", "Evidence:",
                      "threads.txt", "beats.txt"):
            self.assertIn(words, story)
        self.assertRegex(story, r"The machine: (The worker hung|The worker was starved)")


if __name__ == "__main__":
    main()
