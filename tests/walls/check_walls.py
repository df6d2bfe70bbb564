#!/usr/bin/python3
"""Checks the walls of the house (docs/ARCHITECTURE.md): who may include what, and who may link libtorch.

    check_walls.py --root DIR [--torch-free PROGRAM]...

Prints `file:line: [rule] what is wrong` for each violation. Exit: 0 none, 1 some, 2 could not check.
Its own test, which plants a violation of every rule, is check_walls_test.py beside it.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
from typing import NamedTuple

# Which rooms each room may include from, besides itself. "dir/" is every room of that directory, "dir" alone are the
# files that lie directly in it (the programs' main functions).
MAY_INCLUDE = {
    "common/base": [],
    "common/checkpoint": ["common/base"],
    "common/cli": ["common/base"],
    "common/protocol": ["common/base"],
    "common/config": ["common/base"],
    "supervisor/core": ["common/base", "common/protocol"],
    "supervisor/shell": ["common/", "supervisor/core", "supervisor/api"],
    "supervisor/api": ["common/", "supervisor/core"],
    "supervisor/ctl": ["common/", "supervisor/api"],
    "supervisor": ["common/", "supervisor/"],
    "worker/session": ["common/"],
    "worker/trading": ["common/base"],
    "worker/dqn": ["common/", "worker/session", "worker/trading"],
    "worker": ["common/", "worker/"],
    "bench": ["common/", "supervisor/", "worker/", "tests/"],
    "tests": ["common/", "supervisor/", "worker/", "tests/"],
}
# Rooms that are one, however deep their folders go.
UNDIVIDED = ("tests", "bench")
SOURCE_FOLDERS = ("common", "supervisor", "worker", "tests", "bench")

MAX_LINES = 400
CODE = (".h", ".hpp", ".cpp", ".cc")
COUNTED = CODE + (".py", ".sh", ".cmake", "CMakeLists.txt")
SKIPPED_FOLDERS = {"build", "models", "data", "logs", "__pycache__"}

TORCH = re.compile(r"^(torch|ATen|c10|caffe2)(/|$)")
ASIO = re.compile(r"^(asio|boost/asio|boost/beast|boost/process)([/.]|$)")
# What supervisor/core may not have, itself or by way of a header of ours that it includes: it is given the time and the
# facts as values, and returns what to do.
IMPURE_INCLUDE = re.compile(
    r"^(fstream|iostream|filesystem|thread|mutex|shared_mutex|condition_variable|future|semaphore|latch|barrier|random"
    r"|cstdio|stdio\.h|ctime|time\.h|unistd\.h|fcntl\.h|poll\.h|pthread\.h|syslog\.h|netdb\.h"
    r"|(sys|netinet|arpa|linux|systemd|spdlog|yaml-cpp|CLI)/.*)$")
IMPURE_TOKEN = re.compile(r"_clock\s*::\s*now|\bsystem_clock\b|\bsteady_clock\b|\bstd\s*::\s*time\s*\(|\bgetenv\b")

FIND_TORCH = re.compile(r"\bfind_(?:package|dependency)\s*\(\s*(?:Torch|Caffe2)\b|\bTORCH_LIBRARIES\b", re.IGNORECASE)
TORCH_LIBRARY = re.compile(r"\[(lib(?:torch|c10|caffe2|cuda|cudart|cudnn|nvrtc)[^\]]*)\]")

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]*)"|<([^>]*)>)')
# Longest alternatives first: raw strings, comments, strings, characters (but not the ' in 1'000).
LITERALS = re.compile(
    r'R"(?P<delimiter>[^()\\\s]{0,16})\(.*?\)(?P=delimiter)"|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])*'", re.DOTALL)


class Violation(NamedTuple):
    path: str
    line: int
    rule: str
    message: str

    def __str__(self):
        return f"{self.path}:{self.line}: [{self.rule}] {self.message}"


class Include(NamedTuple):
    line: int
    target: str
    quoted: bool


def blank(match):
    """The same number of lines with nothing on them."""
    return "\n" * match.group().count("\n") or " "


def without_comments(text):
    return LITERALS.sub(lambda m: blank(m) if m.group().startswith(("//", "/*")) else m.group(), text)


def includes_of(text):
    found = []
    for number, line in enumerate(without_comments(text).split("\n"), 1):
        match = INCLUDE.match(line)
        if match:
            found.append(Include(number, match[1] if match[1] is not None else match[2], match[1] is not None))
    return found


def room_of(path):
    parts = path.split("/")
    if parts[0] in UNDIVIDED or len(parts) < 3:
        return parts[0]
    return "/".join(parts[:2])


def may_include(room, other):
    if room == other:
        return True
    return any(other == allowed.rstrip("/") or (allowed.endswith("/") and other.startswith(allowed))
               for allowed in MAY_INCLUDE[room])


class Checker:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.violations = []
        self.texts = {}
        for folder, folders, files in os.walk(self.root):
            folders[:] = sorted(f for f in folders if f not in SKIPPED_FOLDERS and not f.startswith("."))
            for name in sorted(files):
                if name.endswith(COUNTED):
                    path = pathlib.Path(folder, name)
                    self.texts[path.relative_to(self.root).as_posix()] = path.read_text(encoding="utf-8")
        self.includes = {path: includes_of(text) for path, text in self.texts.items() if path.endswith(CODE)}

    def report(self, path, line, rule, message):
        self.violations.append(Violation(path, line, rule, message))

    def check(self):
        for path, text in self.texts.items():
            lines = text.count("\n") + (not text.endswith("\n"))
            if lines > MAX_LINES:
                self.report(path, MAX_LINES + 1, "length", f"{lines} lines; the limit is {MAX_LINES}")
            if path.endswith((".cmake", "CMakeLists.txt")):
                self.check_cmake(path, text)
            elif path.endswith(CODE) and path.startswith(tuple(f + "/" for f in SOURCE_FOLDERS)):
                self.check_code(path, text)

    def check_cmake(self, path, text):
        if path.startswith("worker/"):
            return
        for number, line in enumerate(text.split("\n"), 1):
            if FIND_TORCH.search(line.split("#")[0]):
                self.report(path, number, "torch-build", "only worker/ may look for or link libtorch")

    def check_code(self, path, text):
        room = room_of(path)
        if room not in MAY_INCLUDE:
            self.report(path, 1, "room", f"{room} is not in the table of rooms (tests/walls/check_walls.py)")
            return
        if path.endswith((".h", ".hpp")):
            self.check_header(path, text)
        for include in self.includes[path]:
            self.check_include(path, room, include)
        if room == "supervisor/core":
            self.check_pure(path, text)

    def check_header(self, path, text):
        if not re.search(r"^#pragma once$", without_comments(text), re.MULTILINE):
            self.report(path, 1, "pragma-once", "a header needs #pragma once")
        if not text.lstrip().startswith(("//", "/*")):
            self.report(path, 1, "header-comment", "a header begins with a comment that says what it is for")

    def check_include(self, path, room, include):
        line, target, quoted = include
        ours = target.startswith(tuple(f + "/" for f in SOURCE_FOLDERS))
        if quoted or ours:
            if not quoted:
                self.report(path, line, "root-relative", f"our own <{target}> is included in quotes")
            if ".." in target.split("/") or not ours or target not in self.texts:
                self.report(path, line, "root-relative", f'"{target}" is not a file, counted from the project\'s root')
            elif room_of(target) not in MAY_INCLUDE or not may_include(room, room_of(target)):
                self.report(path, line, "rooms", f"{room} may not include from {room_of(target)}")
        if TORCH.match(target) and not self.may_use_torch(path):
            self.report(path, line, "torch-include", f"<{target}>: libtorch is for worker/ only")
        if ASIO.match(target) and (path.startswith("common/") or room == "supervisor/core"):
            self.report(path, line, "asio-include", f"<{target}>: no Asio, Beast or Boost.Process in {room}")

    def may_use_torch(self, path):
        """worker/, and the tests and benchmarks that are about something in worker/."""
        return path.startswith("worker/") or (
            path.startswith(("tests/", "bench/")) and
            any(include.target.startswith("worker/") for include in self.includes[path]))

    def check_pure(self, path, text):
        code = LITERALS.sub(blank, text)
        for number, line in enumerate(code.split("\n"), 1):
            match = IMPURE_TOKEN.search(line)
            if match:
                self.report(path, number, "pure-core", f"{match.group()}: the core is told the time and the settings")
        for include in self.includes[path]:
            trail = self.impure_trail(include, {path})
            if trail:
                self.report(path, include.line, "pure-core", " -> ".join(f"<{t}>" for t in trail) +
                            ": the core has no clock, file, socket, thread, YAML or log")

    def impure_trail(self, include, seen):
        """From this include to a forbidden one, through headers of ours outside the core (which has its own turn)."""
        target = include.target
        if IMPURE_INCLUDE.match(target):
            return [target]
        if target in seen or target not in self.includes or room_of(target) == "supervisor/core":
            return None
        seen.add(target)
        for inner in self.includes[target]:
            trail = self.impure_trail(inner, seen)
            if trail:
                return [target] + trail
        return None

    def check_program(self, program):
        shown = subprocess.run(["readelf", "--dynamic", "--wide", program], capture_output=True, text=True, check=False,
                               env={**os.environ, "LC_ALL": "C"})
        if shown.returncode != 0 or "(NEEDED)" not in shown.stdout:
            self.report(program, 1, "torch-free", "not a dynamically linked program; is it built? " + shown.stderr.strip())
        for line in shown.stdout.splitlines():
            match = TORCH_LIBRARY.search(line)
            if "(NEEDED)" in line and match:
                self.report(program, 1, "torch-free", f"links {match[1]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="the project's root")
    parser.add_argument("--torch-free", action="append", default=[], metavar="PROGRAM", help="a program without libtorch")
    arguments = parser.parse_args()

    checker = Checker(arguments.root)
    if not checker.includes:
        print(f"check_walls.py: no C++ files below {arguments.root}", file=sys.stderr)
        return 2
    checker.check()
    for program in arguments.torch_free:
        checker.check_program(program)
    for violation in checker.violations:
        print(violation)
    print(f"{len(checker.texts)} files, {len(arguments.torch_free)} programs, {len(checker.violations)} violations")
    return 1 if checker.violations else 0


if __name__ == "__main__":
    sys.exit(main())
