#!/usr/bin/python3
"""A disk that remembers what it was asked to do: a FUSE file system of two files, spoken to the kernel directly.

    recorder.py IMAGE LOG FOLDER

FOLDER/disk is the image; a loop device on it is the disk of the file system under test. It is opened for direct I/O, so
each write and each flush of that file system arrives here, and none has been answered before it is in LOG. One request
is dealt with at a time: what is logged before a flush had been answered before it. FOLDER/marks takes notes: a number
written to it stands in LOG at its place between the writes. Says "serving" when it does, and ends with its mount, or
with the process that started it.

Source: include/uapi/linux/fuse.h, fuse(4) in Documentation/filesystems/fuse.
"""

import ctypes
import errno
import os
import pathlib
import signal
import stat
import struct
import sys

sys.dont_write_bytecode = True
import block_log  # noqa: E402

PR_SET_PDEATHSIG = 1
MS_NOSUID, MS_NODEV = 2, 4
LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS = 1, 2, 3, 4, 14, 15, 16, 17
RELEASE, FSYNC, FLUSH, INIT, INTERRUPT, DESTROY, BATCH_FORGET, FALLOCATE = 18, 20, 25, 26, 36, 38, 42, 43
SILENT = (FORGET, INTERRUPT, BATCH_FORGET)
ROOT, DISK, MARKS = 1, 2, 3
NAMES = {b"disk": DISK, b"marks": MARKS}
FOPEN_DIRECT_IO = 1
BIG_WRITES, MAX_PAGES = 1 << 5, 1 << 22
LARGEST = 1 << 20
FOR_EVER = 1 << 30
REQUEST = struct.Struct("<IIQQIIII")  # length, opcode, unique, node, uid, gid, pid, padding
RW = struct.Struct("<QQIIQII")        # handle, offset, size, flags, lock owner, flags, padding
PROTOCOL = (7, 31)


def attributes(node, size):
    kind = stat.S_IFDIR | 0o700 if node == ROOT else stat.S_IFREG | 0o600
    return struct.pack("<QQQQQQIIIIIIIIII", node, size, size // 512, 0, 0, 0, 0, 0, 0, kind, 1, 0, 0, 0, 4096, 0)


class Recorder:
    def __init__(self, image, log, folder):
        self.image = os.open(image, os.O_RDWR)
        self.size = os.fstat(self.image).st_size
        self.log = open(log, "wb")  # pylint: disable=consider-using-with
        try:
            self.fuse = os.open("/dev/fuse", os.O_RDWR)
        except OSError as error:
            sys.exit(str(error))
        options = f"fd={self.fuse},rootmode=40000,user_id=0,group_id=0".encode()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"recorder", os.fsencode(folder), b"fuse", MS_NOSUID | MS_NODEV, options) != 0:
            sys.exit(f"it cannot be mounted: {os.strerror(ctypes.get_errno())}")

    def serve(self):
        request = bytearray(LARGEST + 8192)
        while True:
            try:
                length = os.readv(self.fuse, [request])
            except OSError as error:
                if error.errno == errno.ENODEV:  # unmounted
                    break
                if error.errno in (errno.EINTR, errno.ENOENT):  # the request was given up
                    continue
                raise
            _, opcode, unique, node, *_ = REQUEST.unpack_from(request)
            if opcode in SILENT:
                continue
            try:
                answer, status = self.answer(opcode, node, memoryview(request)[REQUEST.size:length]), 0
            except OSError as error:
                answer, status = b"", -error.errno
            os.writev(self.fuse, [struct.pack("<IiQ", 16 + len(answer), status, unique), answer])
            if opcode == DESTROY:
                break
        self.log.close()

    def answer(self, opcode, node, body):
        # What is not known is refused, and the kernel then does without.
        method = {INIT: self.init, LOOKUP: self.lookup, GETATTR: self.getattr, SETATTR: self.getattr, OPEN: self.open,
                  READ: self.read, WRITE: self.write, STATFS: self.statfs, FSYNC: self.flush,
                  FALLOCATE: self.fallocate, FLUSH: self.nothing, RELEASE: self.nothing,
                  DESTROY: self.nothing}.get(opcode)
        if method is None:
            raise OSError(errno.ENOSYS, "")
        return method(node, body)

    def init(self, _, __):
        return struct.pack("<IIIIHHIIHHII24x", *PROTOCOL, 0, BIG_WRITES | MAX_PAGES, 16, 16, LARGEST, 1, LARGEST // 4096,
                           0, 0, 0)

    def size_of(self, node):
        return self.size if node == DISK else 0

    def lookup(self, _, name):
        node = NAMES.get(bytes(name).rstrip(b"\0"))
        if node is None:
            raise OSError(errno.ENOENT, "")
        return struct.pack("<QQQQII", node, 0, FOR_EVER, FOR_EVER, 0, 0) + attributes(node, self.size_of(node))

    def getattr(self, node, _):
        return struct.pack("<QII", FOR_EVER, 0, 0) + attributes(node, self.size_of(node))

    def open(self, _, __):
        return struct.pack("<QII", 0, FOPEN_DIRECT_IO, 0)

    def statfs(self, _, __):
        return struct.pack("<QQQQQIIII24x", 0, 0, 0, 3, 0, 4096, 255, 4096, 0)

    def nothing(self, _, __):
        return b""

    def read(self, node, body):
        _, offset, size, *_ = RW.unpack_from(body)
        return os.pread(self.image, size, offset) if node == DISK else b""

    def write(self, node, body):
        _, offset, size, *_ = RW.unpack_from(body)
        data = body[RW.size:RW.size + size]
        if node == MARKS:
            block_log.append(self.log, block_log.MARK, int(bytes(data)))
        else:
            os.pwrite(self.image, data, offset)
            block_log.append(self.log, block_log.WRITE, offset, size, data)
        return struct.pack("<II", size, 0)

    def fallocate(self, _, body):
        """The disk's zeroing, and its discard: after it, zeros."""
        _, offset, length = struct.unpack_from("<QQQ", body)
        block_log.zero(self.image, offset, length)
        block_log.append(self.log, block_log.ZERO, offset, length)
        return b""

    def flush(self, node, _):
        if node == DISK:
            block_log.append(self.log, block_log.FLUSH)
        return b""


def main():
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the test is gone")
    recorder = Recorder(*map(pathlib.Path, sys.argv[1:4]))
    print("serving", flush=True)
    recorder.serve()


if __name__ == "__main__":
    main()
