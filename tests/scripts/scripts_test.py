#!/usr/bin/python3
"""run_training.sh, run_tests.sh and .ci/run on pretended systems: sandbox.py says how."""

import fcntl
import os
import signal
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
from sandbox import Sandbox, packages_of  # noqa: E402

TRAINING = packages_of("TRAINING_PACKAGES")
TESTS = packages_of("TEST_PACKAGES")


class ScriptTest(unittest.TestCase):
    maxDiff = None
    installed = TRAINING + TESTS

    def setUp(self):
        self.box = Sandbox(self.installed)
        self.addCleanup(self.box.close)

    def trains(self, *arguments, script="run_training.sh", **options):
        result = self.box.run(script, *arguments, **options)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertEqual(result.stderr, "")
        return result.stdout

    def runs_tests(self, *arguments):
        return self.trains(*arguments, script="run_tests.sh")

    def refuses(self, *sentences, script="run_training.sh", arguments=(), **environment):
        """The script ends with 1, says each of the sentences on standard error, and blames nothing on itself."""
        result = self.box.run(script, *arguments, **environment)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        for sentence in sentences:
            self.assertIn(sentence, result.stderr)
        self.assertNotIn("unexpectedly", result.stderr)
        return result


class Installing(ScriptTest):
    installed = [name for name in TRAINING if name not in ("g++", "libtorch-dev")]

    def test_installs_what_is_missing_with_one_call_that_removes_nothing(self):
        output = self.trains("--build-only")
        self.assertIn("Packages to install (2): g++ libtorch-dev", output)
        update, install = self.box.calls("apt-get")
        self.assertTrue(update.endswith(" update"), update)
        self.assertTrue(install.endswith("install -y --no-install-recommends --no-remove g++ libtorch-dev"), install)
        self.assertIn(f"apt-get {install}", output)  # it shows the very command
        self.assertIn("Need to get 123 MB", output)

    def test_a_removed_package_whose_settings_are_left_is_missing(self):
        (self.box.stubs / "removed").write_text("g++\n", encoding="utf-8")
        self.trains("--build-only")
        self.assertTrue(self.box.calls("apt-get")[1].endswith("g++ libtorch-dev"))

    def test_the_tests_install_theirs_too(self):
        self.runs_tests("-R", "passes")
        self.assertTrue(self.box.calls("apt-get")[1].endswith(" ".join(["g++", "libtorch-dev", *TESTS])))

    def test_a_package_the_user_has_by_other_means_is_left_out(self):
        self.trains("--build-only", TS_SKIP_PACKAGES="libtorch-dev other")
        self.assertTrue(self.box.calls("apt-get")[1].endswith("--no-remove g++"))

    def test_libtorch_is_left_out_when_the_prefix_path_holds_one(self):
        self.box.write("my torch/share/cmake/Torch/TorchConfig.cmake", "")
        self.trains("--build-only", CMAKE_PREFIX_PATH=f"/nowhere:{self.box.project}/my torch")
        self.assertTrue(self.box.calls("apt-get")[1].endswith("--no-remove g++"))

    def test_one_broken_source_does_not_keep_the_rest_from_being_installed(self):
        self.box.apt("broken-source")
        self.assertIn("apt-get update failed; trying", self.trains("--build-only"))

    def test_with_sudo_when_not_root(self):
        self.box.add_sudo()
        output = self.trains("--build-only", STUB_UID="1000")
        self.assertIn("Running: sudo env ", output)
        self.assertEqual(len(self.box.calls("sudo")), 3)  # may I, update, install

    def test_without_rights_it_names_the_command_for_an_administrator(self):
        command = "  apt-get update && apt-get install -y --no-install-recommends g++ libtorch-dev\n"
        self.refuses("Installing packages needs root: you are someone, and there is no sudo.", command, STUB_UID="1000")
        self.box.add_sudo()
        self.refuses("sudo wants a password, and there is no terminal", command, STUB_UID="1000", STUB_SUDO="password")
        self.assertEqual(self.box.calls("apt-get"), [])

    def test_says_what_failed_and_what_to_do(self):
        for mode, sentences in {
            "offline": ["The package mirror could not be reached", "Missing: g++ libtorch-dev", "resolving 'mirror.invalid'"],
            "offline-no-lists": ["The package mirror could not be reached"],
            "unknown-torch": ["does not have: libtorch-dev", "TS_SKIP_PACKAGES='libtorch-dev'"],
            "unknown-boost": ["does not have: libboost-json1.81-dev libboost1.81-dev", "Boost 1.81 or newer is needed"],
            "conflict": ["would remove packages", "apt-get install --simulate g++ libtorch-dev"],
            "lock": ["Another program is installing packages right now"],
            "interrupted": ["dpkg --configure -a"],
            "disk-full": ["The disk is too full"],
            "installs-nothing": ["reported success, but these are still not installed: g++ libtorch-dev"],
            "strange": ["Something nobody thought of", "Not installed: g++ libtorch-dev"],
        }.items():
            with self.subTest(mode=mode):
                self.box.apt(mode)
                self.refuses(*sentences, "install.log")

    def test_on_another_system_it_lists_the_libraries_and_how_to_go_on(self):
        (self.box.stubs / "os-release").write_text('PRETTY_NAME="Some Linux 40"\nID=some\nID_LIKE="rhel fedora"\n',
                                                   encoding="utf-8")
        self.refuses("Some Linux 40 is neither", "libtorch 1.13", "OpenBLAS", "yaml-cpp", "TS_SKIP_INSTALL=1 ")
        self.assertEqual(self.box.calls("dpkg-query"), [])
        self.trains("--build-only", TS_SKIP_INSTALL="1")

    def test_a_derivative_of_debian_will_do_but_not_without_apt(self):
        (self.box.stubs / "os-release").write_text("ID=linuxmint\nID_LIKE=ubuntu\n", encoding="utf-8")
        self.trains("--build-only")
        (self.box.stubs / "apt-get").unlink()
        self.refuses("this system is neither (or has no apt-get)")

    def test_missing_build_tools_are_named_when_nothing_is_installed_by_us(self):
        (self.box.stubs.parent / "tools" / "ninja").unlink()
        self.refuses("The program ninja is missing.", TS_SKIP_INSTALL="1")

    def test_an_old_cmake_is_named(self):
        self.box.stub("cmake", "#!/bin/bash\necho cmake version 3.22.1\n")
        self.refuses("CMake 3.25 or newer is needed and this is 3.22.", TS_SKIP_INSTALL="1")


class Boost(ScriptTest):
    installed = [name for name in TRAINING if "boost" not in name]

    def test_the_oldest_new_enough_one_that_the_release_has(self):
        (self.box.stubs / "known").write_text(
            "libboost-json1.74-dev\nlibboost-json1.88-dev\nlibboost-json1.83-dev\nlibboost-json1.83.0\n", encoding="utf-8")
        self.trains("--build-only")
        self.assertTrue(self.box.calls("apt-get")[1].endswith("libboost1.83-dev libboost-json1.83-dev"))

    def test_a_new_enough_one_that_is_installed_stays(self):
        with open(self.box.stubs / "installed", "a", encoding="utf-8") as file:
            file.write("libboost1.88-dev\n")
        self.trains("--build-only")
        self.assertTrue(self.box.calls("apt-get")[1].endswith("--no-remove libboost-json1.88-dev"))


class Training(ScriptTest):
    def test_runs_the_supervisor_from_the_projects_root_with_the_options(self):
        lines = self.trains("--fresh", "a b").splitlines()
        self.assertIn(f"in: {self.box.project}", lines)
        self.assertEqual([line[10:] for line in lines if line.startswith("argument: ")],
                         ["--config", f"{self.box.project}/config/config.yaml", "--exit-when-done", "--fresh", "a b"])
        self.assertNotIn("the lock leaked", lines)

    def test_the_supervisor_takes_the_place_of_the_script(self):
        # With exec there is no shell between us and the supervisor: its parent is this process.
        self.assertIn(f"parent: {os.getpid()}\n", self.trains())

    def test_a_configuration_is_relative_to_where_the_user_is(self):
        (self.box.elsewhere / "my.yaml").write_text("", encoding="utf-8")
        expected = f"argument: {self.box.elsewhere}/my.yaml\n"
        self.assertIn(expected, self.trains("--config", "my.yaml"))
        self.assertIn(expected, self.trains("--config=my.yaml"))
        self.refuses("my.yaml does not exist or cannot be read", arguments=["--config", "gone/my.yaml"])
        self.refuses("--config needs the name of a file", arguments=["--config"])

    def test_works_through_a_link_and_prints_its_help_without_any_setup(self):
        link = self.box.elsewhere / "train"
        link.symlink_to(self.box.project / "run_training.sh")
        self.assertIn("--build-only", self.trains("--help", script=link))
        self.assertFalse((self.box.project / "build").exists())
        self.assertIn(f"in: {self.box.project}\n", self.trains(script=link))

    def test_the_second_run_redoes_nothing(self):
        self.assertIn("Configuring.", self.trains("--build-only"))
        before = self.box.snapshot()
        self.assertEqual(self.trains("--build-only"), "Everything is built.\n")
        self.assertEqual(self.box.snapshot(), before)
        self.assertEqual(self.box.calls("apt-get"), [])

    def test_builds_only_what_training_needs(self):
        self.trains("--build-only")
        self.runs_tests("-R", "passes")
        (self.box.project / "build/release/a_test").unlink()
        self.trains("--build-only")
        self.assertFalse((self.box.project / "build/release/a_test").exists())

    def test_training_and_tests_leave_each_others_build_alone(self):
        self.trains("--build-only")
        programs = {name: time for name, time in self.box.snapshot().items() if "/bin/" in name}
        self.runs_tests("-R", "passes")
        before = self.box.snapshot()
        self.assertEqual({name: before[name] for name in programs}, programs)
        self.assertEqual(self.trains("--build-only"), "Everything is built.\n")
        self.runs_tests("-R", "passes")
        self.assertEqual(self.box.snapshot(), before)

    def test_a_moved_project_is_configured_anew(self):
        self.trains("--build-only")
        moved = self.box.project.parent / "moved"
        self.box.project.rename(moved)
        self.box.project = moved
        self.assertIn(f"in: {moved}\n", self.trains())

    def test_a_failed_build_shows_the_end_of_the_log(self):
        self.box.write("program.sh", "").unlink()
        self.refuses("The build failed", "program.sh", "build.log")
        self.box.write("CMakeLists.txt", "project(tiny LANGUAGES NONE)\nfind_package(Surely_Not REQUIRED)\n")
        (self.box.project / "build/release/build.ninja").unlink()
        self.refuses("cmake could not configure", "Surely_Not", "configure.log")

    def test_waits_for_another_run(self):
        (self.box.project / "build").mkdir()
        with open(self.box.project / "build/.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with subprocess.Popen([self.box.project / "run_training.sh"], env=self.box.environment, text=True,
                                  stdout=subprocess.PIPE) as run:
                self.assertIn("Another run is setting up or building here", run.stdout.readline())
                time.sleep(0.2)
                self.assertIsNone(run.poll())
                fcntl.flock(lock, fcntl.LOCK_UN)
                self.assertIn(f"in: {self.box.project}\n", run.stdout.read())

    def test_ctrl_c_in_the_build_says_that_the_same_command_goes_on(self):
        file = self.box.project / "CMakeLists.txt"
        file.write_text(file.read_text(encoding="utf-8").replace(
            "    COMMAND", "    COMMAND touch ${PROJECT_BINARY_DIR}/started COMMAND sleep 30\n    COMMAND", 1), encoding="utf-8")
        with subprocess.Popen([self.box.project / "run_training.sh"], env=self.box.environment, text=True,
                              start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
            while not (self.box.project / "build/release/started").exists() and run.poll() is None:
                time.sleep(0.02)
            os.killpg(run.pid, signal.SIGINT)
            _, said = run.communicate(timeout=20)
        self.assertEqual((run.returncode, said), (130, "\nInterrupted. The same command goes on from here.\n"))

    def test_a_build_directory_of_someone_else_is_explained(self):
        self.box.write("build", "in the way")
        self.refuses("Cannot write to", "chown -R")


class Testing(ScriptTest):
    def test_passes_options_on_and_ends_with_the_words_of_ctest(self):
        result = self.box.run(".ci/run", "-E", "fails")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        passes, closing = result.stdout.split("\n\nSkipped on this machine, and why:\n")
        self.assertIn("passes", passes)
        self.assertTrue(closing.startswith("  skips: needs a moon\n  Suite.skips: needs a loop device\n\n"), closing)
        self.assertIn("100% tests passed, 0 tests failed out of 3\n", closing)
        self.assertTrue(closing.endswith("Suite.skips (Skipped)\n"), closing)

    def test_the_exit_status_is_that_of_ctest(self):
        result = self.box.run("run_tests.sh")
        self.assertEqual(result.returncode, 8)
        self.assertIn("the reason\n", result.stdout)
        self.assertTrue(result.stdout.rstrip().endswith("Errors while running CTest"), result.stdout)
        self.assertIn("75% tests passed, 1 tests failed out of 4\n", result.stdout)

    def test_no_test_at_all_is_a_failure(self):
        self.assertNotEqual(self.box.run("run_tests.sh", "-L", "no-such-label").returncode, 0)

    def test_both_work_with_standard_input_closed(self):
        for script in ("run_tests.sh -R passes", "run_training.sh"):
            command = ["bash", "-c", f"exec ./{script} <&-"]
            result = subprocess.run(command, cwd=self.box.project, env=self.box.environment, capture_output=True, text=True,
                                    check=False)
            self.assertEqual((result.returncode, result.stderr), (0, ""), result.stdout)
            self.assertNotIn("no standard input", result.stdout)


if __name__ == "__main__":
    unittest.main()
