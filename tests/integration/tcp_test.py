#!/usr/bin/python3
"""The control API over TCP with the real programs: off unless wanted, for looking unless the token is presented, and
never a reason not to train."""

import http.client
import json
import os
import signal
import socket
import sys

sys.dont_write_bytecode = True
from harness import ProgramTest, free_port, main  # noqa: E402


def tcp_listeners(pid):
    """Ports on which a process listens over TCP, as the kernel says."""
    inodes = set()
    for entry in os.listdir(f"/proc/{pid}/fd"):
        try:
            inodes.add(os.readlink(f"/proc/{pid}/fd/{entry}"))
        except OSError:
            pass
    found = []
    for table in ("tcp", "tcp6"):
        with open(f"/proc/net/{table}", encoding="ascii") as lines:
            for fields in map(str.split, list(lines)[1:]):
                if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                    found.append((fields[1].rpartition(":")[0], int(fields[1].rpartition(":")[2], 16)))
    return found


class Tcp(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def setUp(self):
        super().setUp()
        self.configure(training={"episodes": 100_000}, worker={"command": self.toy("--step-ms", 5)})

    def listen(self):
        self.port = free_port()
        self.configure(http={"listen": f"127.0.0.1:{self.port}"})

    def token(self):
        return (self.state_folder() / "http.token").read_text(encoding="ascii").strip()

    def ask(self, method, target, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, target, body, {name.capitalize(): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def end(self, supervisor):
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()

    def test_it_is_off_unless_wanted(self):
        supervisor = self.supervise()
        self.running_worker()
        self.assertEqual(tcp_listeners(supervisor.pid), [])
        self.assertFalse((self.state_folder() / "http.token").exists())
        self.end(supervisor)

    def test_p7_it_is_for_looking_and_for_everything_with_the_token(self):
        self.listen()
        supervisor = self.supervise()
        worker = self.running_worker()
        self.assertEqual(tcp_listeners(supervisor.pid), [("0100007F", self.port)])
        self.assertEqual(self.ask("GET", "/v1/status")[1]["worker"]["pid"], worker)
        status, refusal = self.ask("POST", "/v1/stop")
        self.assertEqual((status, refusal["status"]), (401, 401))
        self.assertIn("http.token", refusal["detail"])
        self.assertEqual(self.worker(), worker)
        status, answer = self.ask("POST", "/v1/stop", authorization=f"Bearer {self.token()}")
        self.assertEqual(status, 202, answer)
        self.in_state("stopped")
        self.assertEqual(self.ask("GET", "/v1/status", origin="http://evil.example")[0], 403)
        self.assertEqual(self.ask("GET", "/v1/logs", authorization=f"Bearer {self.token()}")[0], 200)
        told = [event for event in self.request("GET", "/v1/events")[1]["events"] if event["type"] == "request"]
        self.assertEqual([event["details"]["accepted"] for event in told], [False, True])
        for event in told:
            self.assertIsNone(event["details"]["pid"])
            self.assertRegex(event["details"]["address"], r"^127\.0\.0\.1:\d+$")
            self.assertIn("over TCP", event["message"])
        self.end(supervisor)

    def test_many_that_are_turned_away_do_not_wash_out_the_journal(self):
        self.listen()
        supervisor = self.supervise()
        self.running_worker()
        for _ in range(200):
            self.assertEqual(self.ask("POST", "/v1/fresh")[0], 401)
        told = [event for event in self.request("GET", "/v1/events?limit=1000")[1]["events"] if event["type"] == "request"]
        self.assertLessEqual(len(told), 20)  # ten a minute
        self.assertIn("More of these", told[9]["message"])
        self.end(supervisor)

    def test_a_port_that_is_taken_is_said_and_training_goes_on(self):
        self.listen()
        with socket.create_server(("127.0.0.1", self.port)):
            supervisor = self.supervise()
            self.running_worker(beyond=5)
            supervisor.says("The control API is not served over TCP: could not bind")
            self.end(supervisor)
        self.state_folder().joinpath("http.token").chmod(0o644)
        supervisor = self.supervise()
        self.running_worker(beyond=5)
        supervisor.says("Nobody may do more than look over TCP")
        self.assertEqual(self.ask("POST", "/v1/stop", authorization=f"Bearer {self.token()}")[0], 401)
        self.end(supervisor)

    def test_an_address_that_others_could_reach_is_refused_with_its_place(self):
        for address in ("0.0.0.0:9100", ":9100", "[::]:9100", "192.168.1.2:9100", "example.org:9100", "127.0.0.1:0", "9100"):
            self.configure(http={"listen": address})
            checked = self.ctl("config", "check")
            self.assertEqual(checked.returncode, 2, address)
            self.assertRegex(checked.stderr + checked.stdout, r"config\.yaml:1:\d+: http\.listen must be .* loopback address")
            self.supervise().ends(78)


if __name__ == "__main__":
    main()
