"""Reads what `strace -f -y -xx` wrote: text to calls, nothing more. Pure.

Every string in such a log is hexadecimal, so a comma or a quote in it cannot be taken for one of the notation's. A call
that was cut in two because another thread came between (`<unfinished ...>`, `<... resumed>`) is put together again and
remembers where it began and where it ended: what had ended before another call began has surely happened before it.
"""

import re
from typing import NamedTuple

# Those that change files or directories, those that lead to a descriptor, and those that the explorer cannot follow and
# refuses. Only those that this machine has: hence the question marks.
TRACED = ("open openat creat close dup dup2 dup3 fcntl lseek write pwrite64 writev pwritev pwritev2 fallocate"
          " ftruncate truncate fsync fdatasync sync_file_range rename renameat renameat2 link linkat unlink unlinkat"
          " mkdir mkdirat rmdir symlink symlinkat sendto sendmsg clone clone3 fork vfork mmap copy_file_range sendfile"
          " splice io_uring_setup").split()
OPTIONS = ("-f", "-y", "-xx", "-qq", "-s", "100000000", "-e", "signal=none",
           "-e", "trace=" + ",".join("?" + name for name in TRACED))

LINE = re.compile(r"(\d+) +(.*)")
RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
UNFINISHED = " <unfinished ...>"
CALL = re.compile(r"(\w+)\((.*)\)\s+= (\?|-?\d+|0x[0-9a-f]+)(.*)")
HEX = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
PUNCTUATION = re.compile(r"[][(){},]")
ANNOTATION = re.compile(r"<((?:\\x[0-9a-f]{2})*)>")


class CannotFollow(Exception):
    """The log says something that this reader, or the model behind it, has no notion of."""


class Call(NamedTuple):
    name: str
    arguments: list  # as text
    result: int      # None: it never came back (the process was killed in it)
    begun: int       # numbers of lines
    ended: int

    def fd(self, index):
        return int(re.match(r"-?\d+", self.arguments[index])[0])

    def number(self, index):
        return int(self.arguments[index], 0)

    def text(self, index):
        """A path or the bytes of a write."""
        return one_string(self.arguments[index])

    def vector(self, index):
        """The bytes of an iovec, or of the message that has one."""
        return b"".join(unhex(found[1]) for found in re.finditer(r'iov_base=' + HEX.pattern, self.arguments[index]))

    def directory(self, index):
        """What a *at() call starts from: a descriptor, or the path of the working directory."""
        argument = self.arguments[index]
        if argument.startswith("AT_FDCWD"):
            return unhex(ANNOTATION.search(argument)[1]).decode()
        return self.fd(index)


def unhex(text):
    return bytes.fromhex(text.replace("\\x", ""))


def one_string(argument):
    found = HEX.fullmatch(argument)
    if not found:
        raise CannotFollow(f"this is no whole string: {argument[:80]}")
    return unhex(found[1])


def split_arguments(text):
    """At the commas that are in no bracket. Strings and paths hold none, being hexadecimal."""
    arguments, depth, start = [], 0, 0
    for found in PUNCTUATION.finditer(text):
        if found[0] in "[{(":
            depth += 1
        elif found[0] in "]})":
            depth -= 1
        elif depth == 0:
            arguments.append(text[start:found.start()].strip())
            start = found.end()
    rest = text[start:].strip()
    return arguments + [rest] if rest else arguments


def parse_call(text, begun, ended):
    found = CALL.fullmatch(text)
    if not found:
        raise CannotFollow(f"line {ended} of the log is not understood: {text[:200]}")
    name, arguments, result, _ = found.groups()
    return Call(name, split_arguments(arguments), None if result == "?" else int(result, 0), begun, ended)


def parse(text):
    """All calls, in the order in which they took effect as far as others can tell: a descriptor is free from the moment
    its close began, a message may have arrived from the moment its sending began; everything else has happened for sure
    only when it came back."""
    calls, unfinished = [], {}
    for number, line in enumerate(text.splitlines(), 1):
        found = LINE.fullmatch(line)
        if not found:
            raise CannotFollow(f"line {number} of the log is not understood: {line[:200]}")
        task, rest = found.groups()
        if rest.startswith(("+++", "---")):
            continue
        if rest.endswith(UNFINISHED):
            unfinished[task] = (number, rest[:-len(UNFINISHED)])
            continue
        resumed = RESUMED.fullmatch(rest)
        begun, text_of_call = number, rest
        if resumed:
            begun, head = unfinished.pop(task)
            text_of_call = head + resumed[2]
        calls.append(parse_call(text_of_call, begun, number))
    early = ("close", "sendto", "sendmsg")
    return sorted(calls, key=lambda call: call.begun if call.name in early else call.ended)
