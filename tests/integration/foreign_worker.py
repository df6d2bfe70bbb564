#!/usr/bin/python3
"""A worker in another language: all it takes to be supervised (the worker contract), without a line of ours.

    foreign_worker.py [--episodes N] [--rubbish] [--fail-first STATUS] [ARGUMENT...]
"""

import argparse
import json
import os
import signal
import socket
import sys
import time


def notify(*lines):
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto("\n".join(lines).encode(), address)
        except (ConnectionRefusedError, FileNotFoundError):
            pass  # a supervisor that was killed; the next one listens on the same address


def send_rubbish():
    """What a receiver must pass over."""
    for line in ("", "\0", "X_TRAINER_EPISODE=999999\0X", "A" * 5000, "X_TRAINER_EPISODE=many", "X_TRAINER_TOTAL=-1",
                 'X_TRAINER_METRICS={"profit":', "NO_SUCH_KEY=1", "=", "WATCHDOG_USEC=1", "X_TRAINER_METRICS=" + "[" * 2000):
        notify(line)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--rubbish", action="store_true")
    parser.add_argument("--fail-first", type=int, default=0)
    options, rest = parser.parse_known_args()
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    with open("seen.json", "w", encoding="utf-8") as out:
        json.dump({"arguments": rest, "environment": dict(os.environ), "stdin": os.readlink("/proc/self/fd/0"),
                   "group": os.getpgrp() == os.getpid()}, out)
    print("a foreign worker speaks")
    notify("READY=1", f"X_TRAINER_TOTAL={options.episodes}", "X_TRAINER_RESUMED=0", "STATUS=warming up")
    if options.rubbish:
        send_rubbish()
    for episode in range(1, options.episodes + 1):
        time.sleep(0.03)
        if stop:
            sys.exit(75)
        if episode > 5 and options.fail_first and os.environ["TRAINER_ATTEMPT"] == "1":
            sys.exit(options.fail_first)
        notify("WATCHDOG=1", f"X_TRAINER_EPISODE={episode}", 'X_TRAINER_METRICS={"profit": 12.5}')


if __name__ == "__main__":
    main()
