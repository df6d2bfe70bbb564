#!/usr/bin/python3
"""A training in Python under trainer-supervisor, with checkpoints of its own. Everything that has to do with the supervisor
is marked (1) to (6); the training itself is a stand-in for yours.

The sd_notify client is Debian's python3-sdnotify (https://pypi.org/project/sdnotify/). With python3-systemd instead it is
systemd.daemon.notify(text); with neither it is the tell() of snapshot_worker.py.
"""

import argparse
import json
import pathlib
import random
import signal
import sys
import time

import sdnotify

from checkpoint_pair import Models

EXIT_INTERRUPTED = 75  # stopped, and everything is saved


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", default="models")
    parser.add_argument("--episodes", type=int, default=60)
    parser.add_argument("--resume")  # (1) worker.resume_args: a checkpoint that the supervisor has verified
    options = parser.parse_args()

    stop = []
    for number in (signal.SIGTERM, signal.SIGINT):  # (2) stop: at the next step, not in the handler
        signal.signal(number, lambda *_: stop.append(True))

    models = Models(options.models)
    state = {"episode": 0, "weight": 0.0, "random": None}
    if options.resume:
        state = json.loads(pathlib.Path(options.resume).read_bytes())
        version, words, gauss = state["random"]
        random.setstate((version, tuple(words), gauss))
    else:
        random.seed(42)
    print(f"from episode {state['episode']}", flush=True)

    supervisor = sdnotify.SystemdNotifier()  # does nothing when nobody supervises
    supervisor.notify(f"READY=1\nX_TRAINER_TOTAL={options.episodes}\nX_TRAINER_RESUMED={state['episode']}")  # (3)

    def save():
        state["random"] = random.getstate()
        path = models.commit(state["episode"], json.dumps(state).encode(), total_episodes=options.episodes,
                             metrics={"weight": state["weight"]})
        models.prune(keep=5)
        supervisor.notify(f"X_TRAINER_CHECKPOINT={path}")  # (4) durable from here on

    while state["episode"] < options.episodes:
        for _ in range(10):  # the steps of an episode
            time.sleep(0.005)
            state["weight"] = 0.9 * state["weight"] + random.random()
            supervisor.notify("WATCHDOG=1")  # (5) a beat, from the loop itself and never from a thread
        state["episode"] += 1
        metrics = json.dumps({"weight": state["weight"]})
        supervisor.notify(f"X_TRAINER_EPISODE={state['episode']}\nX_TRAINER_METRICS={metrics}")  # (6)
        if state["episode"] % 10 == 0 or state["episode"] == options.episodes or stop:
            save()
        if stop and state["episode"] < options.episodes:
            sys.exit(EXIT_INTERRUPTED)
    print(f"done: weight {state['weight']!r}", flush=True)


if __name__ == "__main__":
    main()
