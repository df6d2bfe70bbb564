#!/usr/bin/python3
"""The supervisor runs for months: it keeps no descriptor, thread or zombie of what is over."""

import os
import pathlib
import re
import signal
import time
import sys

sys.dont_write_bytecode = True
from harness import PATIENCE, Connection, ProgramTest, main  # noqa: E402

RESTARTS = 20
REQUESTS = 300


class Leaks(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def setUp(self):
        super().setUp()
        self.configure(training={"episodes": 1_000_000}, worker={"command": self.toy("--step-ms", 1)})
        self.supervisor = self.supervise()
        self.running_worker(beyond=5)

    def settled(self):
        """The same three times in a row: a connection that is just being closed is not held."""
        seen = []
        while len(seen) < 3 or seen[-1] != seen[-2] or seen[-2] != seen[-3]:
            time.sleep(0.1)
            seen.append(self.held(self.supervisor.pid))
        return seen[-1]

    def settles_at(self, before):
        self.until(lambda: self.held(self.supervisor.pid) == before,
                   f"what is held to be as before: {before}, not {self.held(self.supervisor.pid)}", 20)

    def test_restarts(self):
        before = self.settled()
        worker = self.worker()
        for i in range(RESTARTS):
            os.kill(worker, signal.SIGKILL if i % 2 else signal.SIGTERM)
            worker = self.running_worker(other_than=worker)
        self.settles_at(before)

    def test_requests_answered_refused_malformed_and_abandoned(self):
        before = self.settled()
        for i in range(REQUESTS):
            self.assertEqual(self.request("GET", "/v1/status")[0], 200)
            if i % 10 == 0:
                self.assertEqual(self.request("GET", "/v1/nothing")[0], 404)
                self.assertEqual(self.request("GET", "/v1/stop")[0], 405)
                self.assertEqual(self.request("POST", "/v1/restart", '{"from": 1}')[0], 400)
                self.assertEqual(self.request("POST", "/v1/restart", '{"from": "ep4711"}')[0], 422)
                self.rubbish(b"GET /v1/sta")
                self.rubbish(b"\x16\x03\x01\x00\xff" * 200)
                self.rubbish(b"POST /v1/restart HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n{")
                self.rubbish(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n")
        self.assertEqual(self.status()["state"], "running")
        self.settles_at(before)

    def test_ten_thousand_status_calls(self):
        for _ in range(1000):  # whatever is made once is made now
            self.request("GET", "/v1/status")
        before, memory = self.settled(), self.resident()
        for _ in range(10_000):
            self.assertEqual(self.request("GET", "/v1/status")[0], 200)
        self.settles_at(before)
        if PATIENCE == 1:  # sanitizers keep what was freed
            self.assertLess(self.resident() - memory, 1 << 20, "bytes more than before")

    def resident(self):
        return int(re.search(r"VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{self.supervisor.pid}/status").read_text("ascii"))[1]) << 10

    def rubbish(self, data):
        """A client that sends this and goes away."""
        connection = Connection(self.models / ".supervisor/control.sock")
        connection.connect()
        try:
            connection.sock.sendall(data)
        except OSError:
            pass  # it may well hang up first
        connection.close()

    def test_clients_that_connect_and_say_nothing_keep_nobody_waiting(self):
        idle = []
        for _ in range(50):
            connection = Connection(self.models / ".supervisor/control.sock")
            connection.connect()
            idle.append(connection)
        self.assertEqual(self.ctl("status").returncode, 0)
        for connection in idle:
            connection.close()


if __name__ == "__main__":
    main()
