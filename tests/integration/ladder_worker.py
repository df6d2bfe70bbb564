#!/usr/bin/python3
"""The toy trainer behind a door: it is let in, unless it is told to resume from one particular checkpoint.

    ladder_worker.py EPISODE HOW PROGRAM [ARGUMENT...]

With `--resume …/model_ep<EPISODE>.pt` among the arguments it does what HOW says, and the program is not run:
  crash    ends by SIGSEGV, as a worker that this checkpoint is too much for
  late     the same, after it has said that it is ready
  wait     says that it is ready, and beats until it is killed
  lie      says that it has resumed from another episode, and beats until it is ended
A file EPISODE.mended in the working directory opens the door for good.
"""

import os
import signal
import sys
import time

sys.dont_write_bytecode = True
from foreign_worker import notify  # noqa: E402


def main():
    episode, how, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    poisonous = any(word.endswith(f"/model_ep{episode}.pt") for word in command) and not os.path.exists(f"{episode}.mended")
    if not poisonous:
        os.execv(command[0], command)
    said = int(episode) - 10 if how == "lie" else episode
    if how != "crash":
        notify("READY=1", f"X_TRAINER_RESUMED={said}", f"X_TRAINER_EPISODE={said}")
    if how in ("crash", "late"):
        os.kill(os.getpid(), signal.SIGSEGV)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    while True:
        notify("WATCHDOG=1")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
