#!/usr/bin/python3
"""The toy trainer behind a door: it is let in, unless it is told to resume from one particular checkpoint.

    ladder_worker.py EPISODE HOW PROGRAM [ARGUMENT...]

With `--resume …/model_ep<EPISODE>.pt` among the arguments it does what HOW says, and the program is not run:
  crash    ends by SIGSEGV, as a worker that this checkpoint is too much for
  late     the same, after it has said that it is ready
  wait     says that it is ready, and beats until it is killed
  lie      says that it has resumed from another episode, announces a state that is newer than all there is, and beats
           until it is ended
A file EPISODE.mended in the working directory opens the door for good.
"""

import fcntl
import json
import os
import pathlib
import signal
import socket
import sys
import time

sys.dont_write_bytecode = True
from foreign_worker import notify  # noqa: E402


def announce(checkpoint, episode):
    """A checkpoint's bytes, in memory and under another number: a snapshot with nothing wrong about it."""
    content = checkpoint.read_bytes()
    memory = os.memfd_create("snapshot", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(memory, content)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    digest = json.loads(checkpoint.with_suffix(".json").read_text(encoding="utf-8"))["digest"]
    record = json.dumps({"episode": episode, "bytes": len(content), "digest": digest})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(os.environ["NOTIFY_SOCKET"])
        lines = ("FDSTORE=1", f"X_TRAINER_EPISODE={episode}", f"X_TRAINER_SNAPSHOT={record}")
        socket.send_fds(sender, ["\n".join(lines).encode()], [memory])


def main():
    episode, how, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    poison = [word for word in command if word.endswith(f"/model_ep{episode}.pt")]
    if not poison or os.path.exists(f"{episode}.mended"):
        os.execv(command[0], command)
    said = int(episode) - 10 if how == "lie" else episode
    if how != "crash":
        notify("READY=1", f"X_TRAINER_RESUMED={said}", f"X_TRAINER_EPISODE={said}")
    if how == "lie":
        announce(pathlib.Path(poison[0]), int(episode) + 5)
    if how in ("crash", "late"):
        os.kill(os.getpid(), signal.SIGSEGV)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    while True:
        notify("WATCHDOG=1")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
