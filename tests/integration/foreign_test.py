#!/usr/bin/python3
"""Any program can be the worker: one in Python that knows sd_notify, one in shell that never beats."""

import os
import pathlib
import signal
import socket
import sys
import time

sys.dont_write_bytecode = True
from harness import ProgramTest, main  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent


class Foreign(ProgramTest):
    def with_python(self, *options, **worker):
        command = [sys.executable, str(HERE / "foreign_worker.py"), *map(str, options)]
        self.configure(worker={"command": command, **worker})
        return self.supervise("--exit-when-done")

    def with_shell(self, script, **supervisor):
        self.configure(worker={"command": ["/bin/sh", "-c", script]}, supervisor=supervisor)
        return self.supervise("--exit-when-done")

    def seen(self):
        return self.read_json(self.folder / "seen.json")

    def test_a_python_worker_is_followed_to_its_end(self):
        self.environment["WATCHDOG_PID"] = "1"  # the supervisor's own, never the worker's
        self.environment["LISTEN_FDS"] = "3"
        supervisor = self.with_python(environment={"EXTRA": "yes"}, fresh_args=["--a", "b c"])
        status = self.until(lambda: s if (s := self.status()).get("episode", 0) > 3 else None, "its episodes")
        self.assertEqual((status["total_episodes"], status["metrics"]), (20, {"profit": 12.5}))
        output = supervisor.ends(0)
        self.assertIn("worker: warming up", output)
        self.assertIn("Finished: 20/20 episodes", output)
        seen = self.seen()
        environment = seen["environment"]
        self.assertEqual((seen["arguments"], seen["stdin"], seen["group"]), (["--a", "b c"], "/dev/null", True))
        self.assertEqual((environment["EXTRA"], environment["TRAINER_ATTEMPT"]), ("yes", "1"))
        self.assertEqual(environment["WATCHDOG_USEC"], "30000000")
        self.assertNotEqual(environment.get("WATCHDOG_PID"), "1")
        self.assertNotIn("LISTEN_FDS", environment)
        for name in ("TRAINER_RUN_ID", "TRAINER_RESUME_REASON"):
            self.assertTrue(environment[name])
        self.assertIn("a foreign worker speaks", (self.folder / "logs/worker.log").read_text(encoding="utf-8"))
        self.assert_nothing_left()

    def test_rubbish_on_the_socket_is_passed_over(self):
        supervisor = self.with_python("--rubbish", "--episodes", 60)
        self.in_state("running")
        address = self.models / ".supervisor/notify.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:  # not the worker: must not be believed
            for _ in range(50):
                stranger.sendto(b"X_TRAINER_EPISODE=777777\nWATCHDOG=trigger", str(address))
        status = self.until(lambda: s if (s := self.status()).get("episode", 0) > 5 else None, "its episodes")
        self.assertLess(status["episode"], 61)
        supervisor.ends(0)

    def test_a_python_worker_that_fails_is_relaunched(self):
        output = self.with_python("--fail-first", 1).ends(0)
        self.assertIn("exited with status 1 (error_exit)", output)
        self.assertEqual(self.seen()["environment"]["TRAINER_ATTEMPT"], "2")

    def test_a_worker_killed_by_a_signal_that_says_stop_is_relaunched(self):
        self.configure(worker={"command": ["/bin/sh", "-c", 'test "$TRAINER_ATTEMPT" = 2 || sleep 600']},
                       supervisor={"heartbeat_timeout": "0s"})
        supervisor = self.supervise("--exit-when-done")
        os.kill(self.in_state("running")["worker"]["pid"], signal.SIGTERM)
        output = supervisor.ends(0)
        self.assertIn("(killed_outside)", output)
        self.assert_nothing_left()

    def test_a_worker_that_never_beats_is_left_in_peace(self):
        supervisor = self.with_shell("echo ${NOTIFY_SOCKET:-none}; sleep 2; echo bye", heartbeat_timeout="0s",
                                     startup_timeout="500ms")
        self.in_state("running")
        output = supervisor.ends(0)
        self.assertNotIn("heartbeat", output)
        self.assertEqual((self.folder / "logs/worker.log").read_text(encoding="utf-8"), "none\nbye\n")

    def test_its_last_words_are_repeated_and_cannot_drive_the_terminal(self):
        output = self.with_shell(r"printf '\033[2Jno \007more'; exit 65", heartbeat_timeout="0s").ends(65)
        self.assertIn(r"\x1b[2Jno \x07more", output)
        self.assertNotIn("\x1b", output)

    def test_its_children_end_with_it(self):
        supervisor = self.with_shell("sleep 600 & sleep 600 & exit 78", heartbeat_timeout="0s")
        supervisor.ends(78)
        self.assert_nothing_left()

    def test_a_finished_worker_without_checkpoints_of_ours_is_not_run_again(self):
        self.with_python().ends(0)
        (self.folder / "seen.json").unlink()
        output = self.supervise("--exit-when-done").ends(0)
        self.assertFalse((self.folder / "seen.json").exists(), f"a finished run was begun again: {output}")

    def test_no_beat_at_all_is_a_start_timeout(self):
        supervisor = self.with_shell("exec sleep 600", startup_timeout="300ms")
        self.until(lambda: self.status().get("restarts", {}).get("start_timeout", 0) >= 2, "two start timeouts")
        began = time.monotonic()
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assertLess(time.monotonic() - began, 60)
        self.assert_nothing_left()


if __name__ == "__main__":
    main()
