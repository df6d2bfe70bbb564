#!/usr/bin/python3
"""P9: sd_notify clients that nobody here wrote are understood: systemd-notify, Debian's Python clients, libsystemd."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
from harness import ProgramTest, main  # noqa: E402

PYTHON = "/usr/bin/python3"


class ClientTest(ProgramTest):
    def with_worker(self, *command):
        self.configure(worker={"command": list(map(str, command))}, supervisor={"heartbeat_interval": "500ms", "heartbeat_timeout": "4s"})
        return self.supervise()

    def is_understood(self, supervisor, status_text):
        """READY, the status, an episode, and beats that keep it alive well beyond heartbeat_timeout."""
        status = self.until(lambda: s if (s := self.status()).get("episode") == 7 else None, "episode 7")
        self.assertEqual((status["state"], status["total_episodes"]), ("running", 9))
        supervisor.says(f"worker: {status_text}")
        worker = status["worker"]["pid"]
        self.until(lambda: self.status()["worker"]["uptime_s"] > 9, "twice its heartbeat_timeout")
        status = self.status()
        self.assertEqual((status["state"], status["worker"]["pid"], status["restarts"]), ("running", worker, {}))
        os.kill(worker, signal.SIGSTOP)  # the control: without beats it is found
        self.until(lambda: self.status()["restarts"].get("heartbeat_lost"), "the lost heartbeat")


class SystemdNotify(ClientTest):
    def setUp(self):
        super().setUp()
        if not shutil.which("systemd-notify"):
            self.skipTest("there is no systemd-notify (package systemd)")

    def test_p9_a_shell_worker_that_waits_for_each_message(self):
        script = ("systemd-notify --ready --status='a shell speaks'; systemd-notify X_TRAINER_TOTAL=9 X_TRAINER_EPISODE=7; "
                  "while systemd-notify WATCHDOG=1; do sleep 0.1; done")
        self.is_understood(self.with_worker("/bin/sh", "-c", script), "a shell speaks")

    def test_p9_a_shell_worker_that_does_not_wait(self):
        # Whoever is gone before it can be looked at may not be known any more: said again and again it gets through.
        script = ("while true; do systemd-notify --no-block --ready --status='a shell speaks' X_TRAINER_TOTAL=9 "
                  "X_TRAINER_EPISODE=7 WATCHDOG=1; sleep 0.1; done")
        self.is_understood(self.with_worker("/bin/sh", "-c", script), "a shell speaks")


class PythonClients(ClientTest):
    def needs_module(self, name, package):
        if subprocess.run([PYTHON, "-c", f"import {name}"], capture_output=True, check=False).returncode != 0:
            self.skipTest(f"{PYTHON} has no module {name} (apt-get install {package})")

    def with_python(self, client):
        return self.with_worker(PYTHON, "-B", "-c", client + """
import time
notify('READY=1\\nSTATUS=a snake speaks\\nX_TRAINER_TOTAL=9')
notify('X_TRAINER_EPISODE=7')
while True:
    notify('WATCHDOG=1')
    time.sleep(0.1)
""")

    def test_p9_python3_sdnotify(self):
        self.needs_module("sdnotify", "python3-sdnotify")
        self.is_understood(self.with_python("import sdnotify\nnotify = sdnotify.SystemdNotifier(debug=True).notify"),
                           "a snake speaks")

    def test_p9_python3_systemd(self):
        self.needs_module("systemd.daemon", "python3-systemd")
        self.is_understood(self.with_python("from systemd.daemon import notify"), "a snake speaks")


class Libsystemd(ClientTest):
    needs = (*ProgramTest.needs, "notify_client")

    def test_p5_p9_a_program_in_c_and_the_state_that_it_handed_over(self):
        if not shutil.which("xxhsum"):
            self.skipTest("there is no xxhsum (apt-get install xxhash)")
        state = hashlib.sha256(b"state").hexdigest()
        digest = subprocess.run(["xxhsum", "-H2", "-"], input=state, text=True, capture_output=True, check=True).stdout
        supervisor = self.with_worker(self.program("notify_client"), state, f"xxh3-128:{digest.split()[0]}")
        self.is_understood(supervisor, "libsystemd speaks for")
        self.assertIn("everything before this was heard", (self.folder / "logs/worker.log").read_text(encoding="utf-8"))
        self.saved(7)
        self.assertEqual(self.pair(7)[0].read_text(encoding="ascii"), state)
        record = self.sidecar("model_ep7")
        self.assertEqual((record["reason"], record["episode"]), ("rescue", 7))
        self.assertIn("ep7: valid", self.ctl("checkpoints", "verify").stdout)


if __name__ == "__main__":
    main()
