#!/usr/bin/python3
"""What the worker prints, shown and followed by supervisorctl: no line is lost, none told twice, none drives a terminal."""

import json
import os
import re
import signal
import sys

sys.dont_write_bytecode = True
from harness import ProgramTest, main  # noqa: E402

# Prints numbered lines, some of them of the worst kind, until it is told to stop.
WORKER = r"""
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("stopping, half a li", end="", flush=True), os._exit(75)))
attempt = os.environ["TRAINER_ATTEMPT"]
sys.stdout.buffer.write(b"hostile \x1b[2J\x07\xff\there\n")
for number in range(10**9):
    print(f"line {attempt}-{number}", flush=True)
    time.sleep(0.01)
"""


class Logs(ProgramTest):
    def setUp(self):
        super().setUp()
        (self.folder / "worker.py").write_text(WORKER, encoding="utf-8")
        self.configure(worker={"command": [sys.executable, "worker.py"], "resume_args": ["{checkpoint}"]},
                       supervisor={"heartbeat_timeout": "0s", "stop_timeout": "5s"},
                       logging={"max_size": "4KiB"}, restart={"max_attempts_without_progress": 1000})

    def log(self):
        return self.folder / "logs/worker.log"

    def prints(self, text):
        return self.until(lambda: self.log().exists() and text in self.log().read_bytes(), f"{text!r} in the log")

    def end(self, supervisor):
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()

    def test_the_last_lines_are_shown_and_drive_no_terminal(self):
        supervisor = self.supervise()
        self.prints(b"line 1-5\n")
        shown = self.ctl("logs", "-n", "1000")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertEqual(shown.stdout.splitlines()[:3], ["hostile \\x1b[2J\\x07\\xff\there", "line 1-0", "line 1-1"])
        self.assertEqual(len(self.ctl("logs", "-n", "3").stdout.splitlines()), 3)
        self.assertEqual(self.ctl("logs", "-n", "0").stdout, "")
        line = json.loads(self.ctl("logs", "-n", "1", "--json").stdout)
        self.assertRegex(line["text"], r"^line 1-\d+$")
        self.assertIs(line["end"], True)
        self.end(supervisor)

    def test_without_a_supervisor_the_file_is_read(self):
        nobody = self.ctl("logs")
        self.assertEqual(nobody.returncode, 4)
        supervisor = self.supervise()
        self.prints(b"line 1-5\n")
        self.end(supervisor)
        shown = self.ctl("logs", "-n", "1")
        self.assertEqual((shown.returncode, shown.stdout), (0, "stopping, half a li\n"))
        self.assertIn("worker.log", shown.stderr)
        self.assertEqual(json.loads(self.ctl("logs", "-n", "1", "--json").stdout),
                         {"text": "stopping, half a li", "end": False})
        self.assertEqual(self.ctl("logs", "-f").returncode, 4)

    def test_each_line_is_told_once_over_rotations_and_restarts_of_both(self):
        supervisor = self.supervise()
        self.prints(b"line 1-450\n")  # beyond max_size, so that the next launch begins another file
        follower = self.start("supervisorctl", "--config", self.config_file, "logs", "-f", "-n", "10")
        follower.says("line 1-460\n")
        self.request("POST", "/v1/restart")
        follower.says("line 2-20\n")
        supervisor.signal(signal.SIGKILL)  # the worker prints on, and is adopted
        supervisor.ends(-signal.SIGKILL)
        follower.says("waiting for it to come back")
        self.until(lambda: len(re.findall(rb"line 2-", self.log().read_bytes())) > 400, "a log beyond its size")
        supervisor = self.supervise()
        follower.says("it is back; going on where it was")
        self.request("POST", "/v1/restart")
        follower.says("line 3-20\n")
        self.request("POST", "/v1/stop")
        self.in_state("stopped")
        files = [self.log().with_name(name) for name in ("worker.log.2", "worker.log.1", "worker.log")]
        there = [line for path in files for line in re.findall(r"line \d-\d+", path.read_text(errors="replace"))]
        self.assertGreater(len(there), 700)
        follower.says(there[-1])
        told = re.findall(r"line \d-\d+", follower.output())
        self.assertEqual(told, there[there.index(told[0]):])
        self.assertRegex(follower.output(), r"(?m)^stopping, half a li$")
        follower.signal(signal.SIGTERM)
        follower.ends(-signal.SIGTERM)
        self.end(supervisor)

    def test_p7_a_log_that_is_none_is_refused_with_a_sentence(self):
        supervisor = self.supervise()
        self.prints(b"line 1-5\n")
        self.log().rename(self.folder / "logs/elsewhere")
        os.mkfifo(self.log())
        refused = self.ctl("logs")
        self.assertEqual(refused.returncode, 1)
        self.assertRegex(refused.stderr, r"worker\.log is no regular file")
        self.assertEqual(self.ctl("status").returncode, 0)
        self.log().unlink()
        self.end(supervisor)


if __name__ == "__main__":
    main()
