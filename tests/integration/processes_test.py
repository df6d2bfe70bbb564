#!/usr/bin/python3
"""The process side: who may speak for a worker, what it leaves behind, programs that cannot be run, memory that runs out,
and a worker that not even SIGKILL ends."""

import os
import pathlib
import re
import shutil
import signal
import sys
import time

sys.dont_write_bytecode = True
from harness import ProgramTest, alive, main  # noqa: E402
from small_disks import MIB, DiskTest  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent

# Makes a daemon of itself (setsid, double fork), tells its number in a file, and beats if it is told to.
DAEMON = """
import os, signal, socket, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open(sys.argv[1] + ".new", "w") as out:
            out.write(str(os.getpid()))
        os.rename(sys.argv[1] + ".new", sys.argv[1])
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        while True:
            if len(sys.argv) > 2:
                sender.sendto(sys.argv[2].encode(), os.environ["NOTIFY_SOCKET"])
            time.sleep(0.05)
    os._exit(0)
os.wait()
"""


class Processes(ProgramTest):
    def with_shell(self, script, *options, **supervisor):
        self.configure(worker={"command": ["/bin/sh", "-c", script]},
                       supervisor={"heartbeat_timeout": "0s", **supervisor})
        return self.supervise(*options)

    def script(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def daemon(self, name, *beat):
        """A shell command that leaves a daemon; its number lands in the file of this name."""
        words = [sys.executable, self.script("daemon.py", DAEMON), name, *beat]
        return " ".join(f"'{word}'" for word in words) + f"; while ! test -e {name}; do sleep 0.01; done"

    def number(self, name):
        path = self.folder / name
        self.until(path.exists, f"the number of {name}")
        return int(path.read_text(encoding="ascii"))

    def stop(self, supervisor):
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)
        self.assert_nothing_left()


class Speaking(Processes):
    needs = (*Processes.needs, "notify_flood")

    def test_what_a_worker_prints_without_end_is_bounded_while_it_lives(self):
        self.configure(worker={"command": ["/bin/sh", "-c", "while head -c 262144 /dev/zero | tr '\\0' x && echo; do sleep 0.02; done"]},
                       supervisor={"heartbeat_timeout": "0s"}, logging={"max_size": "1MiB", "max_files": 2})
        self.supervise()
        worker = self.until(self.worker, "a worker")
        log = self.folder / "logs/worker.log"

        def given_back():
            status = log.stat()
            return status.st_size - status.st_blocks * 512 > 8 * MIB
        self.until(given_back, "old output to be given back")
        self.assertEqual(self.worker(), worker)
        shown = self.ctl("logs", "-n", "2").stdout
        self.assertRegex(shown, "xxxx")
        self.assertNotIn("x00", shown)

    def test_p7_p9_a_flood_from_a_stranger_keeps_nobody_from_being_heard(self):
        self.configure(worker={"command": [sys.executable, str(HERE / "foreign_worker.py"), "--episodes", "100000"]},
                       supervisor={"heartbeat_timeout": "10s"})
        supervisor = self.supervise()
        worker = self.running_worker(beyond=3)
        memory = self.resident(supervisor.pid)
        floods = [self.start("notify_flood", self.models / ".supervisor/notify.sock") for _ in range(2)]
        before = self.status()["episode"]
        until, asked = time.monotonic() + 5, 0
        while time.monotonic() < until:
            status = self.request("GET", "/v1/status")[1]  # which fails after ten seconds
            self.assertEqual((status["state"], status["worker"]["pid"]), ("running", worker))
            self.assertLess(status["episode"], 100_000)
            asked += 1
        self.assertGreater(asked, 10)
        self.assertGreater(status["episode"], before)
        self.assertLess(self.resident(supervisor.pid), memory + 16 * MIB)
        tried = sent = 0
        for flood in floods:
            flood.signal(signal.SIGTERM)
            words = flood.ends(0).split()
            tried, sent = tried + int(words[1]), sent + int(words[3])
        self.assertGreater(tried, 100_000, "that was no flood")
        self.assertGreater(sent, 10_000, "nearly nothing of the flood got in")
        print(f"{tried / 5:.0f} datagrams a second tried, {sent / 5:.0f} got in, {asked} requests answered meanwhile",
              file=sys.stderr)
        said = [line for line in supervisor.output().splitlines() if "not of the worker" in line]
        self.assertEqual(len(said), 1, said)
        self.assertRegex(said[0], rf"process ({'|'.join(str(f.pid) for f in floods)}) \(notify_flood.*\) of user {os.getuid()}")
        self.stop(supervisor)

    @staticmethod
    def resident(pid):
        text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) * 1024

    def test_a_daemon_of_the_worker_may_beat_for_it(self):
        supervisor = self.with_shell(f"{self.daemon('daemon', 'READY=1')}; exec sleep 600",
                                     heartbeat_timeout="30s")
        self.in_state("running")
        self.number("daemon")
        self.assertNotIn("not of the worker", supervisor.output())
        self.stop(supervisor)


class LeftBehind(Processes):
    def test_p4_a_daemon_that_ignores_sigterm_goes_with_its_worker_and_strangers_live(self):
        stranger = self.start("/bin/sleep", "600")
        supervisor = self.with_shell(f"test $TRAINER_ATTEMPT = 1 || exec sleep 600; {self.daemon('daemon')}; exit 3")
        daemon = self.number("daemon")
        supervisor.says(f"{daemon} (python3")
        self.in_state("running", attempt=2)
        self.assertFalse(alive(daemon))
        self.assertTrue(stranger.running())
        said = [line for line in supervisor.output().splitlines() if "had left behind" in line]
        self.assertEqual(len(said), 1, said)
        stranger.signal(signal.SIGKILL)
        stranger.ends(-9)
        self.stop(supervisor)

    def test_no_zombie_stays(self):
        supervisor = self.with_shell("for i in 1 2 3 4 5 6 7 8; do (setsid sleep 0.05 &); done; touch up; exec sleep 600")
        self.until((self.folder / "up").exists, "the worker's daemons")
        worker = self.in_state("running")["worker"]["pid"]
        self.until(lambda: self.children_of(supervisor.pid) == [worker], "every orphan to be reaped")
        self.stop(supervisor)

    @staticmethod
    def children_of(parent):
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                text = pathlib.Path(f"/proc/{entry}/stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            if int(text.rpartition(")")[2].split()[1]) == parent:
                found.append(int(entry))
        return found

    def test_the_daemon_of_an_adopted_worker_goes_with_it(self):
        script = f"test $TRAINER_ATTEMPT = 1 || exec sleep 600; {self.daemon('daemon')}; exec sleep 600"
        first = self.with_shell(script, heartbeat_timeout="600s", startup_timeout="600s")
        daemon = self.number("daemon")
        worker = self.worker()
        first.signal(signal.SIGKILL)
        first.ends(-9)
        self.assertTrue(alive(daemon))
        supervisor = self.supervise()
        supervisor.says(f"adopted worker {worker}")
        os.kill(worker, signal.SIGKILL)
        self.until(lambda: not alive(daemon), "the end of the daemon")
        supervisor.says(f"{daemon} (python3")
        self.stop(supervisor)


class Commands(Processes):
    def fails(self, command, *sentences, cause="exec_failed"):
        self.configure(worker={"command": [str(word) for word in command]}, supervisor={"heartbeat_timeout": "0s"},
                       restart={"max_attempts_without_progress": 2, "cooldown": "10m"})
        supervisor = self.supervise()
        status = self.in_state("fatal")
        self.assertEqual(status["restarts"], {cause: 2})
        for sentence in sentences:
            self.assertIn(sentence, status["reason"])
            self.assertIn(sentence, supervisor.output())
        self.stop(supervisor)

    def test_that_cannot_be_run_say_at_which_stage_and_why(self):
        plain = self.script("plain", "#!/bin/sh\n")
        no_interpreter = self.script("no_interpreter", "#!/no/such/interpreter\n")
        no_format = self.script("no_format", "echo this script has no first line\n")
        for path in (no_interpreter, no_format):
            path.chmod(0o755)
        for name, command, sentences in (
                ("missing", ["no-such-program-anywhere"], ["look up no-such-program-anywhere: it is not in PATH"]),
                ("directory", [self.folder], ["look up ", ": Is a directory"]),
                ("not executable", [plain], ["look up ", "plain: Permission denied"]),
                ("interpreter", [no_interpreter], ["exec ", "No such file or directory", "its interpreter is not"]),
                ("format", [no_format], ["exec ", "Exec format error", "a script needs a #! line"])):
            with self.subTest(name):
                self.fails(command, "could not launch the worker: ", *sentences)
                shutil.rmtree(self.models / ".supervisor")

    def test_that_cannot_open_their_log_say_so(self):
        (self.folder / "logs").mkdir()
        (self.folder / "logs/worker.log").symlink_to(self.folder / "elsewhere.log")
        self.fails(["true"], "could not launch the worker: open log logs/worker.log: ")
        (self.folder / "logs/worker.log").unlink()

    def test_that_end_at_once_are_no_busy_loop(self):
        self.fails(["/bin/sh", "-c", "echo oh no; exit 3"], "exited with status 3", "Its last words: oh no",
                   cause="error_exit")

    def test_that_fork_away_leave_nothing_and_are_told_why(self):
        supervisor = self.with_shell(f"{self.daemon('daemon')}; exit 0", "--exit-when-done")
        daemon = self.number("daemon")
        output = supervisor.ends(0)
        self.assertRegex(output, rf"left behind outside of its process group: process {daemon} .*must stay in the foreground")
        self.assert_nothing_left()

    def test_that_close_their_descriptors_or_say_very_much_do_no_harm(self):
        for name, script in (("close", "exec 0<&- 1>&- 2>&-; sleep 0.1; exit 0"),
                             ("much", "yes 0123456789 | head -c 30000000; exit 0"),
                             ("one line", "head -c 3000000 /dev/zero | tr '\\0' x; exit 0")):
            with self.subTest(name):
                output = self.with_shell(script, "--exit-when-done").ends(0)
                self.assertIn("Finished", output)
                self.assertLess(len(output), 20_000)
                self.assert_nothing_left()
                shutil.rmtree(self.models / ".supervisor")


class OutOfMemory(Processes):
    """A memory group of our own with 64 MiB in it, so that the kernel looks for a victim nowhere else."""

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest("a control group with a memory limit needs root")
        lines = [line.split(":", 2) for line in pathlib.Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()]
        v1 = [path for _, controllers, path in lines if "memory" in controllers.split(",")]
        base = pathlib.Path("/sys/fs/cgroup/memory" + v1[0]) if v1 else pathlib.Path("/sys/fs/cgroup")
        self.group = base / self.folder.name
        try:
            self.group.mkdir()
            self.addCleanup(self._remove)
            limit = "memory.limit_in_bytes" if v1 else "memory.max"
            (self.group / limit).write_text(str(64 * MIB), encoding="ascii")
            self.assertEqual(int((self.group / limit).read_text(encoding="ascii")), 64 * MIB)
        except OSError as error:
            self.skipTest(f"no control group with a memory limit can be made here: {error}")

    def _remove(self):
        self.kill_everything()
        self.until(lambda: not (self.group / "cgroup.procs").read_text(encoding="ascii"), "the group to be empty", 20)
        self.group.rmdir()

    def supervise_inside(self, greed):
        script = self.script("greedy.py", "import os, signal, sys\nif os.environ['TRAINER_ATTEMPT'] != '1': sys.exit(0)\n" + greed)
        self.configure(worker={"command": [sys.executable, str(script)]}, supervisor={"heartbeat_timeout": "0s"})
        inner = f'echo $$ > "{self.group}/cgroup.procs" && exec "$0" "$@"'
        return self.start("/bin/sh", "-c", inner, self.program("trainer-supervisor"), "--config", self.config_file,
                          "--exit-when-done")

    def test_p11_a_worker_that_takes_too_much_is_told_from_one_that_was_killed(self):
        output = self.supervise_inside("held = []\nwhile True: held.append(bytearray(1 << 20))\n").ends(0)
        self.assertIn("was killed by signal 9 (SIGKILL): the kernel had run out of memory (out_of_memory)", output)
        shutil.rmtree(self.models / ".supervisor")
        output = self.supervise_inside("os.kill(os.getpid(), signal.SIGKILL)\n").ends(0)
        self.assertIn("was killed by signal 9 (SIGKILL) (crash)", output)


class Unkillable(Processes, DiskTest):
    """A write to a frozen file system waits in the kernel, where no signal reaches it."""

    @staticmethod
    def state_of(pid):
        return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]

    def test_p4_p11_is_said_and_waited_for_and_nothing_is_started_beside_it(self):
        disk = self.folder / "disk"
        self.image_disk("ext4", 16 * MIB, disk)
        (disk / "file").touch()
        self.freeze(disk)
        supervisor = self.with_shell(f"echo up $TRAINER_ATTEMPT; test $TRAINER_ATTEMPT = 1 && echo x >> {disk}/file; exec sleep 600",
                                     stop_timeout="1s")
        worker = self.in_state("running")["worker"]["pid"]
        self.until(lambda: self.state_of(worker) == "D", "the worker to hang in the kernel")
        self.assertEqual(self.request("POST", "/v1/restart")[0], 202)
        status = self.until(lambda: s if "does not end even after SIGKILL" in (s := self.status()).get("reason", "") else None,
                            "the words for it")
        self.assertEqual((status["state"], status["worker"]["pid"]), ("stopping", worker))
        self.assertIn("hangs in the kernel", status["reason"])
        for _ in range(20):  # it goes on answering, and starts no second one
            self.assertEqual(self.status()["worker"]["pid"], worker)
            self.assertEqual(self.status()["attempt"], 1)
            time.sleep(0.1)
        self.assertEqual(self.state_of(worker), "D")
        self.assertEqual((self.folder / "logs/worker.log").read_text(encoding="utf-8"), "up 1\n")
        self.thaw(disk)
        status = self.in_state("running", attempt=2)
        self.assertFalse(alive(worker))
        self.assertNotEqual(status["worker"]["pid"], worker)
        self.stop(supervisor)


if __name__ == "__main__":
    main()
