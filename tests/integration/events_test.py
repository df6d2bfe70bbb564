#!/usr/bin/python3
"""Events, hooks and their stream with the real programs: every decision with its reason (P11), told once to everybody who
follows, and no reader, hook or supervisor's end in the way of the training."""

import json
import os
import pathlib
import re
import signal
import socket
import sys

sys.dont_write_bytecode = True
from harness import ProgramTest, alive, main  # noqa: E402

EXAMPLE_HOOK = pathlib.Path(__file__).resolve().parents[2] / "config/examples/hooks/notify.sh"


class EventsTest(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def setUp(self):
        super().setUp()
        self.configure(training={"episodes": 100_000}, worker={"command": self.toy("--step-ms", 5)},
                       checkpoints={"max_keep": 1000})

    def events(self, query="?limit=1000"):
        return self.request("GET", "/v1/events" + query)[1]["events"]

    def event(self, kind, wanted=lambda event: True, seconds=20):
        """Waits for an event of this type."""
        return self.until(lambda: next((e for e in self.events() if e["type"] == kind and wanted(e)), None),
                          f"an event of type {kind}", seconds)

    def script(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n" + text + "\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    def end(self, supervisor):
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()

    def stream(self, query=""):
        """A connection that follows the events, and has been answered."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(20)
        client.connect(str(self.state_folder() / "control.sock"))
        client.sendall(f"GET /v1/events/stream{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return client, client.recv(12)


class Journal(EventsTest):
    def test_p11_a_crash_tells_its_cause_and_what_was_decided(self):
        supervisor = self.supervise()
        worker = self.running_worker(beyond=15)
        os.kill(worker, signal.SIGKILL)
        self.running_worker(beyond=20, other_than=worker)
        incident = self.event("incident")
        self.assertEqual(incident["level"], "warn")
        details = incident["details"]
        self.assertEqual((details["cause"], details["pid"], details["attempt"]), ("crash", worker, 1))
        self.assertIn("SIGKILL", details["what"])
        self.assertIn("relaunching", details["decision"])
        self.assertTrue((self.folder / details["folder"] / "report.json").exists(), details["folder"])
        told = self.events()
        self.assertEqual([e["id"] for e in told], sorted({e["id"] for e in told}))
        for event in told:
            self.assertRegex(event["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertEqual(set(event), {"id", "time", "type", "level", "message", "run_id", "attempt", "episode", "details"})
        moves = [(e["details"]["from"], e["details"]["to"], e["details"].get("cause")) for e in told if e["type"] == "state"]
        self.assertIn(("stopping", "starting", "crash"), moves)
        launch = [e for e in told if e["type"] == "launch"][-1]["details"]
        self.assertGreaterEqual(launch["resume"]["episode"], 15)
        self.assertIn("crash", launch["why"])
        self.assertTrue({"supervisor", "resumed", "rescue", "checkpoint", "decision"} <= {e["type"] for e in told})
        self.end(supervisor)
        lines = [json.loads(line) for line in (self.state_folder() / "events.jsonl").read_text().splitlines()]
        self.assertEqual(lines[:len(told)], told, "the file has what the API said")
        self.assertEqual((lines[-1]["type"], lines[-1]["details"]["action"]), ("supervisor", "left"))
        log = (self.folder / "logs/supervisor.log").read_text()
        for event in lines:
            if event["level"] != "debug":
                self.assertIn(event["message"], log)

    def test_p11_who_asked_for_what_is_on_record_even_if_refused(self):
        supervisor = self.supervise()
        self.running_worker()
        self.ctl("restart", "--from", "ep777777")
        self.assertEqual(self.request("POST", "/v1/stop")[0], 202)
        refused = self.event("request", lambda e: not e["details"]["accepted"])
        self.assertEqual(refused["details"]["request"], "restart --from ep777777")
        self.assertIn("refused: ", refused["message"])
        stop = self.event("request", lambda e: e["details"]["request"] == "stop")
        self.assertEqual((stop["details"]["pid"], stop["details"]["uid"]), (os.getpid(), os.getuid()))
        self.end(supervisor)

    def test_without_a_supervisor_the_file_is_read(self):
        self.assertEqual(self.ctl("events").returncode, 4)
        supervisor = self.supervise()
        self.running_worker()
        self.end(supervisor)
        with open(self.state_folder() / "events.jsonl", "ab") as journal:
            journal.write(b'garbage \x1b[2J\n{"id":7,"time":"half')
        shown = self.ctl("events", "-n", "3")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertEqual(len(shown.stdout.splitlines()), 3)
        self.assertRegex(shown.stdout.splitlines()[-1], r"^\S+Z  info   supervisor  Stopped after episode ")
        self.assertIn("events.jsonl", shown.stderr)
        raw = self.ctl("events", "-n", "1", "--json").stdout
        self.assertEqual(json.loads(raw)["type"], "supervisor")
        self.assertEqual(self.ctl("events", "-f").returncode, 4)
        # And whoever starts next goes on behind the half line.
        again = self.supervise()
        self.running_worker()
        ids = [event["id"] for event in self.events()]
        self.assertEqual(ids, sorted(set(ids)))
        self.end(again)


class Following(EventsTest):
    def test_nothing_is_missed_or_told_twice_over_two_restarts_of_the_supervisor(self):
        supervisor = self.supervise()
        self.running_worker()
        follower = self.start("supervisorctl", "--config", self.config_file, "events", "-f", "-n", "1000", "--level", "debug", "--json")
        follower.says('"running"')
        supervisor.signal(signal.SIGKILL)  # between two events; the next one adopts
        supervisor.ends(-signal.SIGKILL)
        supervisor = self.supervise()
        follower.says("adopt")
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        follower.says('"left"')
        supervisor = self.supervise()
        self.running_worker()
        self.request("POST", "/v1/stop")
        self.in_state("stopped")
        last = self.events()[-1]["id"]
        follower.says(f'"id":{last},')
        self.assertIn("waiting for it to come back", follower.output())
        self.assertRegex(follower.output(), r"it is back; going on after event \d+")
        got = [json.loads(line)["id"] for line in follower.output().splitlines() if line.startswith("{")]
        there = [event["id"] for event in self.events()]
        self.assertEqual([i for i in got if i <= last], [i for i in there if i <= last])
        follower.signal(signal.SIGTERM)
        follower.ends(-signal.SIGTERM)
        self.end(supervisor)

    def test_p7_a_slow_reader_is_cut_off_and_harms_nobody(self):
        supervisor = self.supervise()
        self.running_worker()
        for _ in range(1200):
            self.request("POST", "/v1/start")  # each is on record
        slow, answer = self.stream("?since=0")
        self.assertIn(b"200", answer)
        cut = self.event("trouble", lambda e: "too slow to follow" in e["message"], 60)
        self.assertEqual(cut["details"]["pid"], os.getpid())
        self.assertEqual(self.status()["state"], "running")
        # It goes on from the last one that it got.
        text = b""
        while piece := slow.recv(65536):
            text += piece
        last = int(re.findall(rb"\nid: (\d+)\nevent: \w+\ndata: [^\n]*\n\n", text)[-1])
        again, _ = self.stream(f"?since={last}")
        begun = b""
        while b"\nid: " not in begun and (piece := again.recv(65536)):
            begun += piece
        self.assertIn(f"\nid: {last + 1}\n".encode(), begun)
        for client in (slow, again):
            client.close()
        self.end(supervisor)

    def test_p7_many_streams_do_not_lock_out_commands(self):
        supervisor = self.supervise()
        self.running_worker()
        streams = [self.stream() for _ in range(60)]
        answers = [answer for _, answer in streams]
        self.assertEqual(sum(b"200" in answer for answer in answers), 16)
        self.assertEqual(self.ctl("status").returncode, 0)
        self.assertEqual(self.ctl("stop").returncode, 0)
        for client, _ in streams:
            client.close()
        self.end(supervisor)


class Hooks(EventsTest):
    def hook(self, text):
        self.configure(hooks={"on_event": [self.script("hook.sh", text)]})

    def test_p11_a_hook_gets_each_event_as_json_to_the_last(self):
        self.hook('cat >> told.jsonl; [ "$TRAINER_EVENT_TYPE" != worker ]')
        self.configure(training={"episodes": 30})
        supervisor = self.supervise("--exit-when-done")
        supervisor.ends(0)
        told = [json.loads(line) for line in (self.folder / "told.jsonl").read_text().splitlines()]
        journal = [json.loads(line) for line in (self.state_folder() / "events.jsonl").read_text().splitlines()]
        self.assertEqual({e["id"]: e for e in told if e["type"] != "checkpoint"},
                         {e["id"]: e for e in journal if e["type"] not in ("checkpoint", "worker", "hook")})
        self.assertIn("Finished", next(e["message"] for e in told if e["details"].get("action") == "left"))
        self.assert_nothing_left()

    def test_a_failing_hook_is_an_event_and_runs_for_none_of_those(self):
        self.hook('echo "$TRAINER_EVENT_TYPE" >> ran; echo "cannot reach anybody" >&2; exit 7')
        supervisor = self.supervise()
        self.running_worker(beyond=30)
        failure = self.event("hook")
        self.assertIn("ended with status 7", failure["message"])
        self.assertIn("cannot reach anybody", failure["message"])
        self.end(supervisor)
        self.assertNotIn("hook", (self.folder / "ran").read_text().split())
        journal = [json.loads(line) for line in (self.state_folder() / "events.jsonl").read_text().splitlines()]
        self.assertEqual(sum(e["type"] == "hook" for e in journal), 1, "the same thing is not said again and again")

    def test_p9_a_hanging_hook_is_ended_and_the_supervisor_is_not_held_up(self):
        self.hook("echo $$ >> pids; sleep 1000 & echo $! >> pids; trap '' TERM; sleep 1000")
        supervisor = self.supervise()
        worker = self.running_worker(beyond=15)
        os.kill(worker, signal.SIGKILL)
        self.running_worker(beyond=20, other_than=worker)
        hung = self.event("hook", lambda e: "was ended after 30s" in e["message"], 60)
        self.assertEqual(hung["level"], "warn")
        self.until(lambda: sum(alive(int(pid)) for pid in self.pids()[:2]) == 0, "the end of the first hook")
        self.end(supervisor)  # with two more of them running
        self.assertEqual([pid for pid in self.pids() if alive(int(pid))], [])

    def pids(self):
        return (self.folder / "pids").read_text().split()

    def test_the_workers_end_does_not_sweep_the_hooks(self):
        self.hook('case "$TRAINER_EVENT_TYPE" in launch) sleep 3; echo done >> slept ;; esac')
        supervisor = self.supervise()
        worker = self.running_worker()
        os.kill(worker, signal.SIGKILL)
        self.running_worker(other_than=worker)
        self.until(lambda: (self.folder / "slept").exists(), "a hook that outlived the worker")
        self.end(supervisor)

    def test_the_example_tells_by_desktop_mail_and_webhook(self):
        for tool in ("notify-send", "mail", "curl"):
            self.script(f"tools/{tool}", f'{{ echo "{tool} $*"; [ {tool} = notify-send ] || cat; }} >> "$TS_TEST_FOLDER/{tool}.told"')
        self.configure(hooks={"on_event": [str(EXAMPLE_HOOK), "desktop", "mail=me@example.org", "webhook=http://example.org/x"]})
        supervisor = self.supervise(PATH=f"{self.folder / 'tools'}:{os.environ['PATH']}")
        worker = self.running_worker(beyond=15)
        os.kill(worker, signal.SIGKILL)
        self.running_worker(beyond=20, other_than=worker)
        told = [self.folder / f"{tool}.told" for tool in ("notify-send", "mail", "curl")]
        self.until(lambda: all(path.exists() and "crash" in path.read_text() for path in told), "three messages")
        for path in told:
            self.assertNotIn("starting: attempt 1", path.read_text(), "not everything matters")
        self.assertIn("me@example.org", told[1].read_text())
        lines = told[2].read_text().splitlines()
        self.assertTrue(lines[0].endswith("-- http://example.org/x"), lines[0])
        self.assertEqual(json.loads(lines[1])["type"], "incident")
        self.end(supervisor)


if __name__ == "__main__":
    main()
