#!/usr/bin/python3
"""docs/openapi.yaml beside the running supervisor: every route is in it, every answer is as it says, and the checker
notices when one is not."""

import json
import os
import re
import signal
import socket
import sys

sys.dont_write_bytecode = True
from harness import ROOT, ProgramTest, main  # noqa: E402

PYTHON = "/usr/bin/python3"
try:
    from openapi import DOCUMENT, Description
except ImportError as missing:
    # Another Python may come first in PATH; the packages are for the system's.
    if os.path.realpath(sys.executable) != os.path.realpath(PYTHON) and os.path.exists(PYTHON):
        os.execv(PYTHON, [PYTHON, "-B", *sys.argv])
    print(f"SKIPPED: {missing} (packages python3-yaml and python3-jsonschema)")
    sys.exit(77)


class OpenApi(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.description = Description()

    def setUp(self):
        super().setUp()
        self.configure(training={"episodes": 100_000},
                       worker={"command": self.toy("--step-ms", 5, "--crash-at-episode", 35, "--only-attempt", 1)})
        self.asked = set()

    def exchange(self, request, ends):
        """One request over the socket, read until `ends` is there (None: until it is closed)."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(self.state_folder() / "control.sock"))
            client.sendall(request)
            answer = b""
            while ends is None or ends not in answer.partition(b"\r\n\r\n")[2]:
                piece = client.recv(65536)
                if not piece:
                    break
                answer += piece
        return answer

    def ask(self, method, path, target=None, body=b"", ends=None):
        """Asks, and checks the answer against the document."""
        request = f"{method} {target or path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        head, _, answer = self.exchange(request.encode() + body, ends).partition(b"\r\n\r\n")
        status = int(head.split()[1])
        kind = re.search(rb"(?i)\r\ncontent-type: ([^\r]*)", head)[1].decode()
        text = answer.decode()
        self.asked.add((method, path))
        problems = self.description.check(method, path, status, kind, text)
        self.assertEqual(problems, [], text[:2000])
        return status, text

    def end(self, supervisor):
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()

    def test_the_document_is_right_in_itself(self):
        self.assertEqual(self.description.problems_of_its_own(), [])
        text = DOCUMENT.read_text(encoding="utf-8")
        for right, wrong in (("schemas/Status\"", "schemas/Statsu\""), ("type: object", "type: objekt"),
                             ("operationId: stop", "operationId: start"), ("openapi: 3.1.0", "openapi: 2.0.0")):
            self.assertIn(right, text)
            self.assertNotEqual(Description(text.replace(right, wrong, 1)).problems_of_its_own(), [], wrong)

    def test_every_route_is_described_and_no_other(self):
        source = (ROOT / "supervisor/api/routes.cpp").read_text(encoding="utf-8")
        table = source[source.index("kRoutes"):]
        routes = set(re.findall(r'\{"([A-Z]+)", "([^"]+)"', table[:table.index("});")]))
        self.assertGreater(len(routes), 10)
        self.assertEqual(routes, self.description.operations())
        protocol = (ROOT / "docs/PROTOCOL.md").read_text(encoding="utf-8")
        for method, path in routes:
            self.assertIn(f"{method} {path.replace('{id}', 'ID')}", protocol, "docs/PROTOCOL.md has the same list")

    def test_every_answer_is_as_described(self):
        supervisor = self.supervise()
        self.until(lambda: self.status(), "an answer")
        self.ask("GET", "/v1/status")
        self.ask("GET", "/v1/logs")
        self.in_state("running", attempt=2)
        self.until(lambda: self.status().get("exact") is not None, "a checkpoint after the resume")
        self.until(lambda: json.loads(self.ask("GET", "/v1/status")[1])["last_incident"]["first_step_s"], "all figures")
        for path in ("/metrics", "/v1/config", "/v1/events", "/v1/logs", "/v1/incidents"):
            self.assertEqual(self.ask("GET", path)[0], 200)
        self.assertEqual(self.ask("GET", "/v1/events", "/v1/events?limit=1000")[0], 200)
        self.assertEqual(self.ask("GET", "/v1/incidents/{id}", "/v1/incidents/latest")[0], 200)
        self.assertIn("data: ", self.ask("GET", "/v1/events/stream", "/v1/events/stream?since=0", ends=b"\n\n")[1])
        self.assertIn("data: ", self.ask("GET", "/v1/logs/stream", "/v1/logs/stream?since=0.0.0", ends=b"\n\n")[1])
        self.assertEqual(self.ask("POST", "/v1/checkpoint")[0], 202)
        self.configure(training={"episodes": 200_000})
        self.assertEqual(self.ask("POST", "/v1/reload")[0], 200)
        self.assertEqual(self.ask("POST", "/v1/restart", body=b'{"from": "latest"}')[0], 202)
        self.in_state("running", attempt=3)
        self.assertEqual(self.ask("POST", "/v1/fresh")[0], 202)
        self.assertEqual(self.ask("POST", "/v1/stop")[0], 202)
        self.in_state("stopped")
        self.ask("GET", "/v1/status")
        self.refusals()
        self.assertEqual(self.ask("POST", "/v1/start")[0], 202)
        self.assertEqual(self.asked, self.description.operations(), "each was asked")
        self.end(supervisor)

    def refusals(self):
        for status, method, path, target, body in (
                (400, "GET", "/v1/events", "/v1/events?since=x", b""),
                (400, "GET", "/v1/status", "/v1/status?x", b""),
                (400, "POST", "/v1/restart", None, b"{"),
                (404, "GET", "/v1/incidents/{id}", "/v1/incidents/77", b""),
                (409, "POST", "/v1/checkpoint", None, b""),
                (422, "POST", "/v1/restart", None, b'{"from": "ep777777"}')):
            self.assertEqual(self.ask(method, path, target, body)[0], status, target or path)
        self.config_file.write_text("training: {episodes: many}", encoding="utf-8")
        self.assertEqual(self.ask("POST", "/v1/reload")[0], 422)

    def test_a_wrong_answer_is_noticed(self):
        supervisor = self.supervise()
        self.in_state("running", attempt=2)
        right = json.loads(self.ask("GET", "/v1/status")[1])

        def problems(**changed):
            return self.description.check("GET", "/v1/status", 200, "application/json", json.dumps({**right, **changed}))

        self.assertEqual(problems(), [])
        for change in ({"state": "runing"}, {"state": None}, {"new_member": 1}, {"episode": -1}, {"episode": "3"}, {"goodput": 1.5},
                       {"format": 2}, {"worker": {}}, {"worker": {**right["worker"], "pid": 0}}, {"restarts": {"crahs": 1}},
                       {"metrics": {"profit": "much"}}):
            self.assertNotEqual(problems(**change), [], change)
        for gone in right:
            short = json.dumps({key: value for key, value in right.items() if key != gone})
            self.assertNotEqual(self.description.check("GET", "/v1/status", 200, "application/json", short), [], gone)
        text = json.dumps(right)
        self.assertNotEqual(self.description.check("GET", "/v1/status", 201, "application/json", text), [])
        self.assertNotEqual(self.description.check("GET", "/v1/status", 200, "text/html", text), [])
        self.assertNotEqual(self.description.check("GET", "/v1/status", 404, "application/problem+json", text), [])
        stream = 'id: 1\nevent: line\ndata: {"text": "x"}\n\n'
        self.assertNotEqual(self.description.check("GET", "/v1/logs/stream", 200, "text/event-stream", stream), [])
        self.end(supervisor)


if __name__ == "__main__":
    main()
