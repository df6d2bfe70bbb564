#!/usr/bin/python3
"""What the exploration stands on: reading a log of several threads, and the rules of what a power cut may leave."""

import re
import sys
import unittest

sys.dont_write_bytecode = True
from disk_model import Disk, subsets  # noqa: E402
from operations import operations_of  # noqa: E402
from strace_log import CannotFollow, parse  # noqa: E402

ROOT = "/w"
OPEN = "7 openat(AT_FDCWD<{/w}>, \"{/w/a}\", O_WRONLY|O_CREAT|O_EXCL, 0644) = 3<{/w/a}>"
FOLDER = "7 openat(AT_FDCWD<{/w}>, \"{/w}\", O_RDONLY|O_DIRECTORY) = 4<{/w}>"
SYNC_FILE = "7 fsync(3<{/w/a}>) = 0"
SYNC_FOLDER = "7 fsync(4<{/w}>) = 0"


def log(*lines):
    """A log as strace writes it: {text} stands for its hexadecimal form."""
    def hexadecimal(found):
        return "".join(f"\\x{byte:02x}" for byte in found[1].encode())

    return "".join(re.sub(r"\{([^}]*)\}", hexadecimal, line) + "\n" for line in lines)


def operations(*lines):
    return operations_of(parse(log(*lines)), ROOT)


def disk_after(steps):
    disk = Disk()
    for step in steps:
        disk.perform(step)
    return disk


def crash_trees(*lines):
    found = []
    for tree in disk_after(operations(*lines)).crash_trees():
        if tree not in found:
            found.append(tree)
    return found


def written(text, task=7):
    return f"{task} write(3<{{/w/a}}>, \"{{{text}}}\", {len(text)}) = {len(text)}"


class TheLog(unittest.TestCase):
    def test_a_call_cut_in_two_is_one_call_that_ends_where_it_is_resumed(self):
        calls = parse(log("7 write(3<{/w/a}>, \"{hello}\", 5 <unfinished ...>", "8 fsync(3<{/w/a}>) = 0",
                          "7 <... write resumed>)     = 5"))
        self.assertEqual([(call.name, call.begun, call.ended, call.result) for call in calls],
                         [("fsync", 2, 2, 0), ("write", 1, 3, 5)])
        self.assertEqual(calls[1].text(1), b"hello")

    def test_a_descriptor_is_free_from_the_moment_its_close_begins(self):
        steps = operations(OPEN, "8 close(3<{/w/a}> <unfinished ...>",
                           "7 openat(AT_FDCWD<{/w}>, \"{/w/b}\", O_WRONLY|O_CREAT, 0644) = 3<{/w/b}>",
                           "8 <... close resumed>) = 0", "7 write(3<{/w/b}>, \"{x}\", 1) = 1")
        self.assertEqual([(step.kind, step.path) for step in steps], [("open", "a"), ("open", "b"), ("write", "b")])

    def test_a_message_counts_from_the_moment_its_sending_begins(self):
        steps = operations(OPEN, FOLDER, "8 sendto(5<{socket}>, \"{READY=1}\", 7, 0, NULL, 0 <unfinished ...>",
                           SYNC_FOLDER, "8 <... sendto resumed>) = 7")
        self.assertEqual([step.kind for step in steps], ["open", "say", "sync_directory"])

    def test_several_threads_share_their_descriptors(self):
        steps = operations(OPEN, written("one", task=8), written("two", task=9))
        self.assertEqual(disk_after(steps).live_tree(), {"a": b"onetwo"})

    def test_what_did_not_happen_is_left_out(self):
        self.assertEqual(operations("7 unlinkat(AT_FDCWD<{/w}>, \"{/w/a}\", 0) = -1 ENOENT (No such file or directory)",
                                    "7 openat(AT_FDCWD<{/}>, \"{/etc/x}\", O_RDONLY) = 3<{/etc/x}>",
                                    "7 renameat(4<{/w}>, \"{a}\", 4<{/w}>, \"{b}\") = ?",
                                    "7 +++ killed by SIGKILL +++"), [])

    def test_what_cannot_be_followed_is_refused(self):
        for line in ("7 vfork() = 9", "7 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 9",
                     "7 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3<{/w/a}>, 0) = 0x7f0000000000",
                     "7 renameat2(4<{/w}>, \"{a}\", 4<{/w}>, \"{b}\", RENAME_EXCHANGE) = 0",
                     "7 write(3<{/w/a}>, \"{h}\"..., 5) = 5", "nonsense"):
            with self.assertRaises(CannotFollow, msg=line):
                operations(FOLDER, OPEN, line)


class TheDisk(unittest.TestCase):
    def test_a_synced_file_without_a_synced_name_may_be_gone(self):
        self.assertCountEqual(crash_trees(OPEN, written("hello"), SYNC_FILE), [{}, {"a": b"hello"}])

    def test_a_synced_name_without_a_synced_content_may_hold_anything(self):
        self.assertCountEqual(crash_trees(OPEN, written("hello!"), FOLDER, SYNC_FOLDER),
                              [{"a": b"hello!"}, {"a": b"hel"}, {"a": bytes(6)}, {"a": b""}])

    def test_what_is_synced_in_both_ways_is_there(self):
        self.assertEqual(crash_trees(OPEN, written("hello!"), FOLDER, SYNC_FILE, SYNC_FOLDER), [{"a": b"hello!"}])

    def test_a_sync_does_not_cover_what_came_back_after_it_began(self):
        trees = crash_trees(OPEN, FOLDER, SYNC_FOLDER, "8 fsync(3<{/w/a}> <unfinished ...>", written("hi"),
                            "8 <... fsync resumed>) = 0")
        self.assertIn({"a": b""}, trees)

    def test_a_hint_is_no_sync(self):
        trees = crash_trees(OPEN, FOLDER, SYNC_FOLDER, written("hi"),
                            "7 sync_file_range(3<{/w/a}>, 0, 2, SYNC_FILE_RANGE_WRITE) = 0")
        self.assertIn({"a": b""}, trees)

    def test_a_rename_is_one_step_across_folders_too(self):
        trees = crash_trees(FOLDER, "7 mkdirat(4<{/w}>, \"{d}\", 0755) = 0", OPEN, SYNC_FOLDER,
                            "7 renameat2(4<{/w}>, \"{a}\", AT_FDCWD<{/w}>, \"{/w/d/b}\", RENAME_NOREPLACE) = 0")
        self.assertCountEqual(trees, [{"d": None, "a": b""}, {"d": None, "d/b": b""}])

    def test_a_file_of_many_writes_may_end_in_the_middle_of_one(self):
        trees = crash_trees(OPEN, FOLDER, SYNC_FOLDER, "7 fallocate(3<{/w/a}>, 0, 0, 6) = 0",
                            *(written(part) for part in ("ab", "cd", "ef")))
        self.assertIn({"a": b"abc"}, trees)

    def test_few_pending_changes_are_tried_in_every_combination(self):
        self.assertEqual(len(subsets(4)), 16)
        self.assertIn([True] * 19 + [False] + [True] * 10, subsets(30))
        self.assertLess(len(subsets(30)), 100)


if __name__ == "__main__":
    unittest.main(verbosity=2)
