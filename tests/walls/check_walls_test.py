#!/usr/bin/python3
"""The test of check_walls.py: a clean tree passes, and every rule reports the violation planted for it (a checker that
reports nothing looks just like a clean house)."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import check_walls  # noqa: E402

CHECKER = pathlib.Path(__file__).resolve().parent / "check_walls.py"
HEADER = "// What it is for.\n#pragma once\n"

# A small house in which everything is in its place, with the near misses that must not be reported.
CLEAN = {
    "CMakeLists.txt": "# find_package(Torch) is for worker/ only\nadd_subdirectory(worker)\n",
    "worker/CMakeLists.txt": "find_package(Torch REQUIRED)\ntarget_link_libraries(trainer ${TORCH_LIBRARIES})\n",
    "worker/main.cpp": '#include "worker/dqn/agent.h"\n#include "common/config/config.h"\n',
    "worker/dqn/agent.h": HEADER + '#include <torch/torch.h>\n#include "worker/session/task.h"\n',
    "worker/session/task.h": HEADER + '#include "common/protocol/beat.h"\n',
    "worker/trading/market.cpp": '#include <fstream>\n#include "common/base/text.h"\n',
    "common/base/text.h": HEADER + "#include <string>\n",
    "common/base/file.h": HEADER + "#include <unistd.h>\n",
    "common/protocol/beat.h": HEADER + '#include "common/base/text.h"\n',
    "common/config/config.h": HEADER + '#include "common/base/text.h"\n',
    "common/checkpoint/store.h": HEADER + '#include "common/base/file.h"\n',
    "supervisor/main.cpp": '#include "supervisor/shell/loop.h"\n#include "common/config/config.h"\n',
    "supervisor/core/step.h": HEADER + '#include <chrono>\n#include "common/protocol/beat.h"\n',
    "supervisor/core/step.cpp":
        '#include "supervisor/core/step.h"\n// not steady_clock::now(), and no #include <thread>\n'
        'const char* kText = "getenv system_clock";\nint kMany = 1\'000\'000;\n/*\n#include <fstream>\n*/\n'
        'const char* kRaw = R"x(\n"steady_clock)x";\n',
    "supervisor/shell/loop.h": HEADER + '#include <boost/asio.hpp>\n#include "supervisor/core/step.h"\n',
    "supervisor/ctl/main.cpp": '#include "supervisor/api/client.h"\n#include "common/checkpoint/store.h"\n',
    "supervisor/api/client.h": HEADER + "#include <boost/beast/http.hpp>\n",
    "tests/unit/agent_test.cpp": '#include <torch/torch.h>\n#include "worker/dqn/agent.h"\n',
    "bench/save.cpp": '#include <torch/torch.h>\n#include "worker/dqn/agent.h"\n',
    "build/CMakeLists.txt": "find_package(Torch)\n",
}

# rule, file, its text, the line that must be named.
PLANTED = [
    ("torch-build", "CMakeLists.txt", "project(x)\nfind_package( Torch REQUIRED)\n", 2),
    ("torch-build", "cmake/Extra.cmake", "target_link_libraries(x ${TORCH_LIBRARIES})\n", 1),
    ("torch-build", "supervisor/CMakeLists.txt", "find_dependency(Caffe2)\n", 1),
    ("torch-include", "supervisor/shell/a.cpp", "\n#include <torch/torch.h>\n", 2),
    ("torch-include", "supervisor/shell/a.cpp", "#  include <ATen/ATen.h>\n", 1),
    ("torch-include", "common/base/a.h", HEADER + "#include <c10/util/Half.h>\n", 3),
    ("torch-include", "tests/unit/a.cpp", "#include <torch/torch.h>\n", 1),
    ("asio-include", "common/base/a.cpp", "#include <boost/asio/ip/tcp.hpp>\n", 1),
    ("asio-include", "common/config/a.cpp", "#include <boost/process/v2.hpp>\n", 1),
    ("asio-include", "common/protocol/a.cpp", "#include <boost/beast.hpp>\n", 1),
    ("asio-include", "supervisor/core/a.cpp", "#include <boost/asio.hpp>\n", 1),
    ("pure-core", "supervisor/core/a.cpp", "auto t = std::chrono::steady_clock::now();\n", 1),
    ("pure-core", "supervisor/core/a.cpp", "using Clock = std::chrono::system_clock;\n", 1),
    ("pure-core", "supervisor/core/a.cpp", "/* why\n*/ auto t = Clock_clock::now();\n", 2),
    ("pure-core", "supervisor/core/a.cpp", "long t = std::time(nullptr);\n", 1),
    ("pure-core", "supervisor/core/a.cpp", 'auto* home = std::getenv("HOME");\n', 1),
    ("pure-core", "supervisor/core/a.cpp", '\n#include "common/base/file.h"\n', 2),  # by way of <unistd.h> in there
    ("rooms", "common/base/a.h", HEADER + '#include "common/protocol/beat.h"\n', 3),
    ("rooms", "common/checkpoint/a.cpp", '#include "common/config/config.h"\n', 1),
    ("rooms", "common/config/a.cpp", '#include "supervisor/core/step.h"\n', 1),
    ("rooms", "supervisor/core/a.cpp", '#include "supervisor/shell/loop.h"\n', 1),
    ("rooms", "supervisor/core/a.cpp", '#include "common/config/config.h"\n', 1),
    ("rooms", "supervisor/api/a.cpp", '#include "supervisor/shell/loop.h"\n', 1),
    ("rooms", "supervisor/ctl/a.cpp", '#include "supervisor/core/step.h"\n', 1),
    ("rooms", "supervisor/main.cpp", '#include "worker/session/task.h"\n', 1),
    ("rooms", "worker/session/a.cpp", '#include "worker/dqn/agent.h"\n', 1),
    ("rooms", "worker/trading/a.cpp", '#include "worker/session/task.h"\n', 1),
    ("rooms", "worker/main.cpp", '#include "supervisor/core/step.h"\n', 1),
    ("rooms", "common/base/a.cpp", '#include "tests/unit/agent_test.cpp"\n', 1),
    ("room", "supervisor/attic/a.cpp", "int x;\n", 1),
    ("root-relative", "supervisor/core/a.cpp", '#include "step.h"\n', 1),
    ("root-relative", "supervisor/core/a.cpp", '#include "supervisor/core/../core/step.h"\n', 1),
    ("root-relative", "supervisor/core/a.cpp", '#include "supervisor/core/gone.h"\n', 1),
    ("root-relative", "supervisor/core/a.cpp", "#include <supervisor/core/step.h>\n", 1),
    ("length", "supervisor/core/a.cpp", "int x();\n" * 401, 401),
    ("length", "scripts/a.sh", ":\n" * 401, 401),
    ("pragma-once", "common/base/a.h", "// Comment. #pragma once\nint x();\n", 1),
    ("header-comment", "common/base/a.h", "#pragma once\n// Too late.\n", 1),
]
PLANTED += [("pure-core", "supervisor/core/a.cpp", f"#include <{header}>\n", 1) for header in (
    "fstream", "iostream", "filesystem", "thread", "mutex", "shared_mutex", "condition_variable", "future", "random",
    "cstdio", "ctime", "unistd.h", "fcntl.h", "poll.h", "sys/socket.h", "netinet/in.h", "systemd/sd-daemon.h",
    "spdlog/spdlog.h", "yaml-cpp/yaml.h", "CLI/CLI.hpp")]


def write(root, files):
    for name, text in files.items():
        path = pathlib.Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def violations(files):
    with tempfile.TemporaryDirectory(prefix="walls ") as root:
        write(root, files)
        checker = check_walls.Checker(root)
        checker.check()
        return checker.violations


def check(files, *options):
    """The whole program, with what it prints and how it exits."""
    with tempfile.TemporaryDirectory(prefix="walls ") as root:
        write(root, files)
        return subprocess.run([sys.executable, CHECKER, "--root", root, *options], capture_output=True, text=True,
                              check=False)


class Walls(unittest.TestCase):
    def test_a_clean_tree_passes(self):
        result = check(CLEAN)
        self.assertEqual((result.returncode, result.stderr), (0, ""), result.stdout)

    def test_each_planted_violation_is_reported_alone_with_its_line_and_rule(self):
        for rule, name, text, line in PLANTED:
            with self.subTest(rule=rule, file=name, text=text[:60]):
                found = [(violation.rule, violation.path, violation.line) for violation in violations({**CLEAN, name: text})]
                self.assertEqual(found, [(rule, name, line)])

    def test_the_program_prints_file_line_and_rule_and_exits_with_1(self):
        result = check({**CLEAN, "common/base/a.cpp": "\n#include <boost/asio.hpp>\n"})
        self.assertEqual(result.returncode, 1)
        self.assertIn("common/base/a.cpp:2: [asio-include] <boost/asio.hpp>:", result.stdout)

    def test_an_empty_tree_is_not_a_clean_one(self):
        self.assertEqual(check({"README.md": "x"}).returncode, 2)


class TorchFree(unittest.TestCase):
    """Real programs, linked with an empty library of the forbidden name."""

    def setUp(self):
        compiler = shutil.which("c++")
        if not compiler:
            self.skipTest("no c++ in PATH")
        folder = tempfile.TemporaryDirectory(prefix="walls ")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "main.c").write_text("int main(void) { return 0; }\n", encoding="utf-8")
        self.compiler = compiler

    def build(self, name, *options):
        program = self.folder / name
        subprocess.run([self.compiler, "-x", "c", self.folder / "main.c", "-x", "none", "-o", program, *options], check=True)
        return program

    def test_a_program_without_libtorch_passes(self):
        result = check(CLEAN, "--torch-free", str(self.build("plain")))
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_a_program_with_a_forbidden_library_is_reported(self):
        for library in ("libtorch_cpu.so.1.13", "libc10.so", "libcuda.so.1"):
            with self.subTest(library=library):
                shared = self.build(library, "-shared", "-fPIC", f"-Wl,-soname,{library}")
                program = self.build("linked", "-Wl,--no-as-needed", shared)
                result = check(CLEAN, "--torch-free", str(program))
                self.assertEqual(result.returncode, 1, result.stdout)
                self.assertIn(f"[torch-free] links {library}", result.stdout)

    def test_a_program_that_is_not_there_is_reported(self):
        result = check(CLEAN, "--torch-free", str(self.folder / "gone"))
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("[torch-free] not a dynamically linked program", result.stdout)


if __name__ == "__main__":
    unittest.main()
