#!/usr/bin/python3
"""P7: command lines, requests and configurations at random, right ones with damage done to them, on the programs as they are
shipped: no crash, no hang, no change that is half made.

The seed is printed, and TS_TEST_SEED=N draws the same again; TS_FUZZ=20 tries twenty times as many.
"""

import json
import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
from harness import BIN, PATIENCE, ROOT, ProgramTest, main  # noqa: E402

FACTOR = float(os.environ.get("TS_FUZZ", "1"))
HANGS_S = 20 * PATIENCE  # whatever takes longer hangs
CRASHES = re.compile(r"terminate called|AddressSanitizer|runtime error:|ThreadSanitizer|Assertion|internal error")


class Fuzz(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def setUp(self):
        super().setUp()
        seed = int(os.environ.get("TS_TEST_SEED", time.time_ns() % 1_000_000))
        print(f"TS_TEST_SEED={seed}", flush=True)
        self.rng = random.Random(seed)

    def times(self, ordinary):
        return range(max(1, round(ordinary * FACTOR)))

    def damaged(self, text, others, words):
        """These bytes with one to five changes."""
        text = bytearray(text)
        for _ in range(self.rng.randint(1, 5)):
            at = self.rng.randint(0, len(text))
            end = min(len(text), at + self.rng.randint(1, 40))
            kind = self.rng.randrange(7)
            if kind == 0 and at < len(text):
                text[at] ^= 1 << self.rng.randrange(8)
            elif kind == 1:
                text[at:at] = bytes([self.rng.randrange(256)])
            elif kind == 2:
                del text[at:end]
            elif kind == 3:
                text[at:at] = text[at:end] * self.rng.randint(1, 200)
            elif kind == 4:
                del text[at:]
            elif kind == 5:
                text[at:at] = self.rng.choice(words)
            else:
                other = self.rng.choice(others)
                text[at:] = other[self.rng.randint(0, len(other)):]
        return bytes(text)

    def begin(self):
        self.configure(training={"episodes": 1_000_000}, worker={"command": self.toy("--step-ms", 1)})
        self.supervisor = self.supervise()
        self.saved(20)

    def is_well(self):
        status = self.status()
        self.assertIsNone(self.supervisor.popen.poll(), "the supervisor has ended")
        self.assertIn("state", status, "the supervisor does not answer")
        return status


class CommandLines(Fuzz):
    WORDS = ["status", "start", "restart", "--from", "checkpoint", "checkpoints", "list", "show", "verify", "diff", "pin", "unpin", "release",
             "events", "logs", "metrics", "--plot", "incidents", "config", "check", "wait", "--until", "completion", "--json", "--config",
             "--socket", "--timeout", "-n", "--watch", "--help", "--version", "--man", "bash", "latest", "best", "ep20", "20", "ep-1", "ep020",
             "ep99999999999999999999", "models/model_ep20.pt", "../../etc/passwd", "profit", "finished", "episode=30", "-1", "1e309", "nan",
             "0x10", "", " ", "\n", "\x1b[2J", "ä", "\udcff", "%s%n", "--", "-", "-f", "9" * 5000, "a/" * 3000, "*", "$(id)", "'"]

    def test_p7_end_in_an_answer_or_in_a_sentence(self):
        self.begin()
        worker = self.worker()
        for _ in self.times(250):
            words = [self.rng.choice(self.WORDS) for _ in range(self.rng.randint(0, 5))]
            if "start" in words or "restart" in words or "release" in words:
                words = ["checkpoints", "show", *words]  # commands that would be carried out are another test's
            if any(word in words for word in ("wait", "-f", "--watch", "checkpoint")):
                words += ["--timeout", "0"]
            self.tries("supervisorctl", words)
            self.tries("trainer-supervisor", ["--config", "nowhere.yaml", *words])
        self.assertEqual((self.is_well()["state"], self.worker()), ("running", worker))

    def tries(self, program, words):
        command = [str(BIN / program), *words]
        try:
            done = subprocess.run([os.fsencode(word).replace(b"\0", b"") for word in command], cwd=self.folder, env=self.environment,
                                  capture_output=True, stdin=subprocess.DEVNULL, timeout=HANGS_S, check=False)
        except subprocess.TimeoutExpired as hung:
            # What goes on by itself was asked for; it has to be alive to its end.
            self.assertTrue(any(word in words for word in ("-f", "--watch", "wait", "logs", "events")), f"hangs: {words}")
            self.assertNotRegex((hung.stderr or b"").decode(errors="replace"), CRASHES)
            return
        said = done.stderr.decode(errors="replace")
        self.assertGreaterEqual(done.returncode, 0, f"{words}: killed by signal {-done.returncode}: {said}")
        self.assertNotRegex(said, CRASHES, words)
        self.assertLessEqual(len(said), 20_000, words)
        if done.returncode != 0:
            self.assertTrue(said.strip() or done.stdout.strip(), f"{words}: status {done.returncode} without a word")


class Requests(Fuzz):
    CORPUS = [b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
              b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n",
              b"GET /v1/events?since=3&limit=20 HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 4\r\n\r\n",
              b"GET /v1/incidents?limit=5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
              b"POST /v1/restart HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"from\":\"ep20\"}",
              b"POST /v1/stop HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
              b"POST /v1/start HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
              b"POST /v1/checkpoint HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"]
    WORDS = [b"\r\n", b"\r\n\r\n", b"\0", b"Content-Length: 99999999999999999999\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n",
             b"ffffffffffffffff\r\n", b"Upgrade: h2c\r\n", b"?", b"%00", b"%", b"/..", b"limit=99999999999999999999", b"since=-1", b"{\"from\":",
             b"[" * 3000, b"\"\\ud800\"", b"1e999", b"a" * 9000, b"HTTP/9.9", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\xff\xfe"]

    def test_p7_end_in_an_answer_or_in_a_closed_connection(self):
        self.begin()
        run = self.is_well()["run_id"]
        answered = refused = 0
        for _ in self.times(400):
            reply = self.exchange(self.damaged(self.rng.choice(self.CORPUS), self.CORPUS, self.WORDS))
            if not reply:
                continue
            self.assertRegex(reply, rb"^HTTP/1\.1 \d\d\d ")
            answered += reply.startswith(b"HTTP/1.1 2")
            refused += reply.startswith(b"HTTP/1.1 4")
            self.assertFalse(reply.startswith(b"HTTP/1.1 500"), reply)
        self.assertGreater(min(answered, refused), 0, "all of one kind: the damage is of no use")
        # Some of them were right, and have stopped it or sent it back. It has no worse than that, and can be told to go on.
        self.assertEqual(self.is_well()["run_id"], run)
        self.request("POST", "/v1/start")
        self.until(lambda: self.is_well()["state"] == "running", "it to train again", 60)

    def exchange(self, data):
        """What comes back until the other side closes, or has had all of it and answers no more."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(HANGS_S)
        client.connect(str(self.models / ".supervisor/control.sock"))
        reply = b""
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            while len(reply) < 1_000_000 and (more := client.recv(65536)):
                reply += more
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            client.close()
        return reply


class Configurations(Fuzz):
    WORDS = [b"\n", b": ", b"- ", b"{", b"}", b"[", b"]", b"&a ", b"*a", b"!!binary ", b"\t", b"\0", b"\xff", b"null", b"~", b"1e309", b"-1", b"0s",
             b"99999999999d", b"9223372036854775808", b"'", b"\"", b"|\n", b"%", b"<<: *a", b"training:", b"episodes: 7\n", b"---\n", b"#"]

    def test_p7_are_taken_whole_or_refused_leaving_all_as_it_was(self):
        self.begin()
        right = pathlib.Path(self.config_file).read_bytes()
        others = [right, (ROOT / "config/config.yaml").read_bytes()]
        worker = self.worker()
        taken = refused = 0
        for _ in self.times(200):
            before = self.settings()
            pathlib.Path(self.config_file).write_bytes(self.damaged(right, others, self.WORDS))
            status, answer = self.request("POST", "/v1/reload")
            if status == 200:
                taken += 1
                continue
            refused += 1
            self.assertEqual(status, 422, answer)
            self.assertIn(str(pathlib.Path(self.config_file).name), answer["detail"])
            self.assertEqual(self.settings(), before, f"refused, and not without effect: {answer['detail']}")
        self.assertGreater(min(taken, refused), 0, "all of one kind: the damage is of no use")
        pathlib.Path(self.config_file).write_bytes(right)
        self.assertEqual(self.request("POST", "/v1/reload")[0], 200)
        self.assertEqual((self.is_well()["state"], self.worker()), ("running", worker))

    def settings(self):
        return json.dumps(self.request("GET", "/v1/config")[1], sort_keys=True)


if __name__ == "__main__":
    main()
