#!/usr/bin/python3
"""A worker that hands its state over after every episode, in memory: its death costs the episode in flight. The supervisor
writes the newest one as a checkpoint (a pair) when the worker has died, so this script writes none itself but at its end.
No sd_notify client: tell() is all it takes.
"""

import argparse
import fcntl
import json
import os
import pathlib
import signal
import socket
import sys
import time

from checkpoint_pair import Models, digest_of


def tell(text, *descriptors):
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect("\0" + address[1:] if address[0] == "@" else address)
            socket.send_fds(sender, [text.encode()], descriptors)


def hand_over(episode, state):
    """What the file would hold, in a memory file that can no longer change its size."""
    memory = os.memfd_create("snapshot", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(os.dup(memory), "wb") as out:
        out.write(state)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    snapshot = json.dumps({"episode": episode, "bytes": len(state), "digest": digest_of(state)})
    tell(f"FDSTORE=1\nFDNAME=snapshot\nX_TRAINER_EPISODE={episode}\nX_TRAINER_SNAPSHOT={snapshot}", memory)
    os.close(memory)  # the supervisor has it now


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", default="models")
    parser.add_argument("--episodes", type=int, default=60)
    parser.add_argument("--resume")
    options = parser.parse_args()
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))

    models = Models(options.models)
    state = {"episode": 0, "sum": 0}
    if options.resume:
        state = json.loads(pathlib.Path(options.resume).read_bytes())
    print(f"from episode {state['episode']}", flush=True)
    tell(f"READY=1\nX_TRAINER_TOTAL={options.episodes}\nX_TRAINER_RESUMED={state['episode']}")

    while state["episode"] < options.episodes and not stop:
        time.sleep(0.05)  # the work of an episode
        state["episode"] += 1
        state["sum"] += state["episode"]
        hand_over(state["episode"], json.dumps(state).encode())
    if state["episode"]:
        path = models.commit(state["episode"], json.dumps(state).encode(), total_episodes=options.episodes)
        tell(f"X_TRAINER_CHECKPOINT={path}")
    if state["episode"] < options.episodes:
        sys.exit(75)
    print(f"done: sum {state['sum']}", flush=True)


if __name__ == "__main__":
    main()
