"""What the calls of a log did to the files below one folder: descriptors resolved to paths and open files. Pure.

All threads of the recorded program share one table of descriptors; a program that starts another one is refused, and so
is every way of writing that does not show in the log (shared mappings, io_uring, copies inside the kernel).
"""

import os.path
from typing import NamedTuple

from strace_log import CannotFollow

# Its content means nothing (docs/FORMATS.md), it is never synced, and whoever comes next makes it again.
LOCK = ".lock"
REFUSED = {"truncate", "symlink", "symlinkat", "copy_file_range", "sendfile", "splice", "io_uring_setup"}


class Operation(NamedTuple):
    kind: str         # open, write, resize, extend, sync, sync_directory, make_directory, rename, link, unlink,
    path: str = ""    # say (a datagram); added by the recording: run, plant. Paths are relative to the folder.
    to: str = ""
    handle: int = 0   # of an open file: its descriptor may be used again for another one
    offset: int = 0   # None: at the end
    data: bytes = b""
    create: bool = False
    truncate: bool = False
    begun: int = 0
    ended: int = 0
    run: object = None


class OpenFile:
    def __init__(self, handle, path, directory, append):
        self.handle, self.path, self.directory, self.append = handle, path, directory, append
        self.position = 0


class Resolver:
    """Calls to operations, one at a time. `root` is the folder, absolute."""

    def __init__(self, root):
        self.root = str(root)
        self.table = {}
        self.handles = 0

    def operation(self, call):
        """The operation, or None for a call that failed or is about something else."""
        if call.name in ("fork", "vfork") or (call.name in ("clone", "clone3") and
                                              "CLONE_FILES" not in " ".join(call.arguments)):
            raise CannotFollow(f"the recorded program started another process ({call.name})")
        if call.result is None or call.result < 0:
            return None
        if call.name in REFUSED:
            return self.refuse_if_ours(call)
        method = getattr(self, "on_" + call.name, None)
        found = method(call) if method else None
        return found._replace(begun=call.begun, ended=call.ended) if found else None

    # ---- paths

    def relative(self, path):
        """Of an absolute path below the root; None of any other."""
        path = os.path.normpath(path)
        if path == self.root:
            return "."
        return path[len(self.root) + 1:] if path.startswith(self.root + "/") else None

    def at(self, call, directory, name):
        """The path of a *at() call, None when it is not ours."""
        name = call.text(name).decode()
        base = call.directory(directory)
        if name.startswith("/"):
            path = self.relative(name)
        elif isinstance(base, str):
            path = self.relative(os.path.join(base, name))
        else:
            opened = self.table.get(base)
            path = os.path.normpath(os.path.join(opened.path, name)) if opened else None
        return None if path is None or os.path.basename(path) == LOCK else path

    def plain(self, call, index):
        """The path of a call without a directory: the trainer uses absolute ones, and the *at() calls for the rest."""
        path = call.text(index).decode()
        if not path.startswith("/"):
            raise CannotFollow(f"{call.name} of a relative path, {path}")
        path = self.relative(path)
        return None if path is None or os.path.basename(path) == LOCK else path

    def file(self, call, index=0):
        return self.table.get(call.fd(index))

    def refuse_if_ours(self, call):
        ours = self.root.encode().hex()
        if ours in "".join(call.arguments).replace("\\x", "") or call.name == "io_uring_setup":
            raise CannotFollow(f"{call.name} is not modelled")

    # ---- descriptors

    def opened(self, call, path, flags):
        self.table.pop(call.result, None)
        if path is None:
            return None
        if "O_TMPFILE" in flags:
            raise CannotFollow("O_TMPFILE is not modelled")
        self.handles += 1
        directory = "O_DIRECTORY" in flags
        self.table[call.result] = OpenFile(self.handles, path, directory, "O_APPEND" in flags)
        if directory:
            return None
        return Operation("open", path, handle=self.handles, create="O_CREAT" in flags, truncate="O_TRUNC" in flags)

    def on_openat(self, call):
        return self.opened(call, self.at(call, 0, 1), call.arguments[2])

    def on_open(self, call):
        return self.opened(call, self.plain(call, 0), call.arguments[1])

    def on_creat(self, call):
        return self.opened(call, self.plain(call, 0), "O_CREAT|O_TRUNC")

    def on_close(self, call):
        self.table.pop(call.fd(0), None)

    def on_dup(self, call):
        copied = self.file(call)
        self.table.pop(call.result, None)
        if copied:
            self.table[call.result] = copied

    on_dup2 = on_dup3 = on_dup

    def on_fcntl(self, call):
        if call.arguments[1].startswith("F_DUPFD"):
            self.on_dup(call)

    def on_lseek(self, call):
        if self.file(call):
            self.file(call).position = call.result

    def on_mmap(self, call):
        if "MAP_SHARED" in call.arguments[3] and "PROT_WRITE" in call.arguments[2]:
            self.refuse_if_ours(call)

    # ---- contents

    def write(self, call, data, offset=None):
        file = self.file(call)
        if not file:
            return None
        data = data[:call.result]
        if offset is None:
            offset = None if file.append else file.position
            file.position += len(data)
        return Operation("write", file.path, handle=file.handle, offset=offset, data=data)

    def on_write(self, call):
        return self.write(call, call.text(1)) if self.file(call) else None

    def on_pwrite64(self, call):
        return self.write(call, call.text(1), call.number(3)) if self.file(call) else None

    def on_writev(self, call):
        return self.write(call, call.vector(1))

    def on_pwritev(self, call):
        return self.write(call, call.vector(1), call.number(3))

    on_pwritev2 = on_pwritev

    def on_fallocate(self, call):
        file = self.file(call)
        if not file or "KEEP_SIZE" in call.arguments[1]:
            return None
        if call.arguments[1] != "0":
            raise CannotFollow(f"fallocate with mode {call.arguments[1]} is not modelled")
        return Operation("extend", file.path, handle=file.handle, offset=call.number(2) + call.number(3))

    def on_ftruncate(self, call):
        file = self.file(call)
        return Operation("resize", file.path, handle=file.handle, offset=call.number(1)) if file else None

    def on_fsync(self, call):
        file = self.file(call)
        if not file:
            return None
        return Operation("sync_directory" if file.directory else "sync", file.path, handle=file.handle)

    on_fdatasync = on_fsync

    # ---- names

    def renamed(self, source, target):
        if (source is None) != (target is None):
            raise CannotFollow(f"a rename into or out of the watched folder: {source} to {target}")
        return Operation("rename", source, target) if source else None

    def on_renameat2(self, call):
        if "RENAME_EXCHANGE" in " ".join(call.arguments[4:]):
            raise CannotFollow("RENAME_EXCHANGE is not modelled")
        return self.renamed(self.at(call, 0, 1), self.at(call, 2, 3))

    on_renameat = on_renameat2

    def on_rename(self, call):
        return self.renamed(self.plain(call, 0), self.plain(call, 1))

    def on_linkat(self, call):
        path, to = self.at(call, 0, 1), self.at(call, 2, 3)
        return Operation("link", path, to) if path and to else None

    def on_link(self, call):
        path, to = self.plain(call, 0), self.plain(call, 1)
        return Operation("link", path, to) if path and to else None

    def on_unlinkat(self, call):
        path = self.at(call, 0, 1)
        return Operation("unlink", path) if path else None

    def on_unlink(self, call):
        path = self.plain(call, 0)
        return Operation("unlink", path) if path else None

    on_rmdir = on_unlink

    def on_mkdirat(self, call):
        path = self.at(call, 0, 1)
        return Operation("make_directory", path) if path else None

    def on_mkdir(self, call):
        path = self.plain(call, 0)
        return Operation("make_directory", path) if path else None

    # ---- what is said

    def on_sendto(self, call):
        return Operation("say", data=call.text(1)) if call.arguments[1].startswith('"') else None

    def on_sendmsg(self, call):
        return Operation("say", data=call.vector(1))


def operations_of(calls, root):
    resolver = Resolver(root)
    return [operation for operation in map(resolver.operation, calls) if operation]
