#!/usr/bin/python3
"""supervisorctl doctor: what is wrong with a machine or a configuration is named, with what to do, and nothing is changed.
Exit status: 0 without a problem, 1 with one."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
from control_test import FAILED, OK  # noqa: E402
from harness import BIN, ProgramTest, main  # noqa: E402
from small_disks import MIB, DiskTest  # noqa: E402

NOBODY = 65534


class DoctorTest(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "toy_trainer")

    def setUp(self):
        super().setUp()
        self.configure(training={"episodes": 100_000}, worker={"command": self.toy("--step-ms", 1)})

    def findings(self, status, *arguments):
        """Runs the doctor; returns each check's level, and all it said."""
        result = self.ctl("doctor", "--json", *arguments)
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        document = json.loads(result.stdout)
        self.assertEqual(document["format"], 1)
        levels = [finding["level"] for finding in document["findings"]]
        self.assertEqual((document["problems"], document["warnings"]), (levels.count("problem"), levels.count("warning")))
        self.assertTrue(all(finding["todo"] for finding in document["findings"] if finding["level"] == "problem"))
        return {finding["check"]: finding["level"] for finding in document["findings"]}, result.stdout

    def everything(self):
        """Names, contents and times of all that is there."""
        return {str(p): (p.lstat().st_mtime_ns, p.read_bytes() if p.is_file() else b"") for p in self.folder.rglob("*")
                if not p.is_socket()}


class Doctor(DoctorTest):
    def end(self, supervisor):
        supervisor.signal(signal.SIGTERM)
        supervisor.ends(0)

    def test_a_run_in_good_health_has_no_problem(self):
        supervisor = self.supervise()
        self.saved(20)
        levels, said = self.findings(OK)
        for check in ("config", "models.writable", "models.space", "lock", "state.lock", "supervisor", "worker", "memory"):
            self.assertIn(levels[check], ("ok", "warning"), said)
        self.assertEqual(levels["supervisor"], "ok")
        self.assertIn("is held by toy_trainer", said)
        self.assertIn("no problems", self.ctl("doctor").stdout)
        self.end(supervisor)

    def test_without_a_supervisor_it_only_looks(self):
        supervisor = self.supervise()
        self.saved(20)
        self.end(supervisor)
        before = self.everything()
        levels, said = self.findings(OK)
        self.assertEqual(levels["supervisor"], "warning")
        self.assertIn("keeps nobody out", said)
        self.assertEqual(self.everything(), before)

    def test_before_the_first_start_nothing_is_made(self):
        before = self.everything()
        levels, _ = self.findings(OK)
        self.assertEqual(levels["models.writable"], "ok")
        self.assertEqual(self.everything(), before)

    def test_what_a_killed_run_leaves_is_named(self):
        supervisor = self.supervise()
        self.saved(20)
        self.kill_everything()
        self.until(lambda: not supervisor.running(), "the end of the supervisor")
        (self.models / ".model_ep20.pt.tmp-4711-1").write_bytes(b"half")
        folder = self.models / "quarantine/2026-01-31T12-00-00.123Z-ep7-abcd"
        folder.mkdir(parents=True)
        (folder / "model_ep7.pt").write_bytes(b"damaged")
        emptied = self.models / "quarantine/2026-01-31T12-00-00.124Z-ep8-abcd"
        emptied.mkdir()
        (emptied / "why.txt").write_text("released meanwhile", encoding="utf-8")
        levels, said = self.findings(OK)
        self.assertEqual([levels[name] for name in ("supervisor", "leftovers.temporary", "leftovers.quarantine")],
                         ["warning"] * 3)
        self.assertIn("which an earlier one left behind", said)
        self.assertIn("holds 1 checkpoint (", said)

    def test_a_configuration_that_cannot_be_used_is_the_problem(self):
        self.config_file.write_text("training: {episodes: many}\n", encoding="utf-8")
        levels, said = self.findings(FAILED)
        self.assertEqual(levels["config"], "problem")
        self.assertIn("memory", levels, "the machine is looked at all the same")
        self.assertIn("episodes", said)
        self.config_file.unlink()
        self.assertEqual(self.findings(FAILED)[0]["config"], "problem")

    def test_missing_data_and_programs_are_problems(self):
        self.configure(worker={"command": ["./no-such-program"]})
        self.assertEqual(self.findings(FAILED)[0]["worker"], "problem")
        self.configure(worker={"command": []}, data={"path": "no-such-file.csv"})
        levels, said = self.findings(FAILED)
        self.assertEqual(levels["data"], "problem", said)
        self.assertIn("no-such-file.csv", said)

    def test_a_file_in_the_way_is_a_problem(self):
        self.models.write_text("in the way", encoding="utf-8")
        self.assertEqual(self.findings(FAILED)[0]["models.directory"], "problem")

    def test_somebody_elses_directory_is_a_problem(self):
        if os.geteuid() != 0:
            raise unittest.SkipTest("becoming another user needs root")
        self.folder.chmod(0o755)
        self.models.mkdir(mode=0o755)
        reachable = all(path.stat().st_mode & 0o001 for path in pathlib.Path(BIN).resolve().parents)
        if not reachable:
            raise unittest.SkipTest("another user cannot reach the programs")
        result = subprocess.run([str(BIN / "supervisorctl"), "--config", str(self.config_file), "doctor"], cwd=self.folder,
                                user=NOBODY, group=NOBODY, extra_groups=[], env=self.environment, text=True,
                                capture_output=True, check=False, timeout=100)
        self.assertEqual(result.returncode, FAILED, result.stdout + result.stderr)
        self.assertRegex(result.stdout, r"problem +models is not writable for you \(\w+\), which belongs to root with mode 0755")
        self.assertIn("To do: Run this, and the training, as root", result.stdout)


class OnSmallDisks(DoctorTest, DiskTest):
    def test_checkpoints_in_memory_are_a_problem(self):
        self.small_disk(200 * MIB)
        levels, said = self.findings(FAILED)
        self.assertEqual(levels["models.file_system"], "problem")
        self.assertIn("lost at a reboot", said)

    def test_p8_a_disk_that_fills_up_is_a_problem_before_it_is_full(self):
        self.image_disk("ext4", 64 * MIB)
        self.configure(training={"episodes": 40}, dqn={"hidden": [4000]})
        self.supervise("--exit-when-done").ends(0)
        levels, said = self.findings(OK)
        self.assertEqual(levels["models.file_system"], "ok", said)
        self.fill(leave=64 * 1024)
        levels, said = self.findings(FAILED)
        self.assertEqual(levels["models.space"], "problem", said)
        self.make_room()


if __name__ == "__main__":
    main()
