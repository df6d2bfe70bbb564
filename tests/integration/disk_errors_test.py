#!/usr/bin/python3
"""Saves that the system refuses for other reasons than a full disk (P8): limits, quotas and I/O errors. The errors are
put into the running worker's system calls by strace, and end when it lets go."""

import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
from harness import main  # noqa: E402
from small_disks import SavingTest  # noqa: E402


class FileSizeLimit(SavingTest):
    """EFBIG, from `ulimit -f`."""

    LIMITED = ["/bin/sh", "-c", 'ulimit -f 64; exec "$@"', "sh"]

    def test_p8_is_a_refused_save_and_no_death(self):
        self.toy_that_improves(128, 100)
        toy = self.start(*self.LIMITED, *self.toy()[:2], self.config_file)
        output = toy.ends(74)
        self.assertRegex(output, r"episode 10 was not saved: .*File too large; a file size limit \(ulimit -f\) is in force: "
                                 r"raise it\.")
        self.assertRegex(output, r"the best model \(episode \d+\) was not saved: ")
        self.assertIn("episode 100 could not be saved before the end: ", output)
        self.assertEqual(self.episodes(), [])
        self.assertEqual(self.half_written(), [])
        self.assert_nothing_left()

    def test_p8_the_supervisor_says_so_and_lets_the_worker_train(self):
        self.toy_that_improves(128, 100_000)
        self.configure(worker={"command": [*self.LIMITED, *self.config["worker"]["command"]]})
        supervisor = self.supervise("--exit-when-done")
        supervisor.says(re.compile("was not saved: .*File too large"))
        worker = self.worker()
        self.train_on()
        self.assertEqual(self.worker(), worker)
        self.assertEqual(self.status()["restarts"], {})
        self.assertEqual(self.episodes(), [])

    def test_p8_saving_resumes_by_itself_when_the_limit_is_lifted(self):
        def limited(pid):
            most = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, most))
            yield
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
        self.survives(limited, "File too large; a file size limit")


class InjectedErrors(SavingTest):
    def injecting(self, *rules):
        """Makes a function of a process id: what fails in that process for as long as the generator is not resumed."""
        calls = ",".join(dict.fromkeys(rule.split(":")[0] for rule in rules))
        def trouble(pid):
            self.trace = self.folder / "strace.txt"
            expressions = [word for rule in rules for word in ("-e", f"inject={rule}")]
            with open(self.folder / "strace.out", "wb") as out:
                command = ["strace", "-f", "-qq", "-y", "-o", self.trace, "-e", f"trace={calls}", *expressions, "-p", str(pid)]
                tracer = subprocess.Popen(command, env=self.environment, stdout=out, stderr=out)
            self.popens.append(tracer)
            self.until(lambda: tracer.poll() is not None or all(self.tracers(pid)), "strace to attach")
            if tracer.returncode is not None:
                self.skipTest("strace may not attach here: " + (self.folder / "strace.out").read_text(errors="replace"))
            yield
            tracer.send_signal(signal.SIGINT)
            tracer.wait(20)
            self.assertFalse(any(self.tracers(pid)), "strace let go")
            self.assertIn("(INJECTED)", self.trace.read_text(errors="replace"))
        return trouble

    def setUp(self):
        if not shutil.which("strace"):
            self.skipTest("strace is not installed")
        super().setUp()

    @staticmethod
    def tracers(pid):
        """For each thread who traces it, 0 for nobody."""
        return [int(re.search(r"TracerPid:\s*(\d+)", path.read_text(encoding="utf-8"))[1])
                for path in pathlib.Path(f"/proc/{pid}/task").glob("*/status")]

    def test_p8_a_quota_that_refuses_the_reservation(self):
        self.survives(self.injecting("fallocate:error=EDQUOT"), "Disk quota exceeded; the quota is used up: remove something, or have it raised")

    def test_p8_a_quota_that_refuses_a_write(self):
        """Also the worker's own output fails: the supervisor hears of it all the same."""
        self.survives(self.injecting("fallocate:error=EOPNOTSUPP", "write:error=EDQUOT"),
                      "could not write .*the quota is used up")

    def test_p8_a_device_that_fails_every_sync(self):
        self.survives(self.injecting("fsync:error=EIO"), "could not sync .*Input/output error; the device reports errors")
        self.assert_no_file_was_synced_twice()

    def test_p8_a_sync_that_failed_is_not_believed_when_it_is_repeated(self):
        """The kernel forgets what it could not write: only another file may be synced."""
        self.survives(self.injecting("fsync:error=EIO:when=1+4"), "could not sync")
        self.assert_no_file_was_synced_twice()

    def assert_no_file_was_synced_twice(self):
        synced = re.findall(r"fsync\(\d+<[^>]*/(\.\w[^>/]*)>\)", self.trace.read_text(errors="replace"))
        self.assertGreater(len(synced), 1)
        self.assertEqual(len(synced), len(set(synced)))

    def test_p8_a_device_that_fails_every_sync_of_the_directory(self):
        self.survives(self.injecting("fsync:error=EIO:when=2+2"), "could not sync the directory models")

    def test_p8_names_that_cannot_be_given(self):
        self.survives(self.injecting("renameat2:error=EIO"), "could not give its name to")


if __name__ == "__main__":
    main()
