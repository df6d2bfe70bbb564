"""Checkpoints that trainer-supervisor verifies, resumes from and keeps: model_epN.pt + model_epN.json (docs/FORMATS.md).

What is in the .pt is your affair: any bytes, such as those that torch.save() writes into an io.BytesIO. Standard library,
and for the digest either python3-xxhash or the program xxhsum (package xxhash). Copy it; it needs nothing beside it.
"""

import datetime
import fcntl
import json
import os
import pathlib
import re
import subprocess
import sys


def digest_of(state):
    """xxh3-128, as `xxhsum -H2` prints it."""
    try:
        import xxhash
        return "xxh3-128:" + xxhash.xxh3_128_hexdigest(state)
    except ImportError:
        done = subprocess.run(["xxhsum", "-H2", "-"], input=state, capture_output=True, check=True)
        return "xxh3-128:" + done.stdout.split()[0].decode()


class Models:
    """A models directory, held (`.lock`) for as long as this process lives: one writer at a time."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.mkdir(exist_ok=True)
        self._directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        self._lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: somebody else trains here
        stat = pathlib.Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace")
        start_time = stat.rpartition(")")[2].split()[19]
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()} {start_time} {os.path.basename(sys.argv[0])}\n".encode(), 0)

    def _place(self, name, content):
        """Written under another name, synced, renamed, and the name synced: whatever is unplugged when, the file is
        there as a whole or not at all."""
        temporary = self.path / f".{name}.tmp-{os.getpid()}-0"  # the pattern that the supervisor sweeps
        try:
            with open(temporary, "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            os.rename(temporary, self.path / name)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        os.fsync(self._directory)

    def commit(self, episode, state, **more):
        """Saves the state (bytes) after this episode. `more` is for people, such as metrics={"loss": 0.1} and
        total_episodes=300. Does nothing where the episode has been saved already. Returns the path of the .pt."""
        archive, sidecar = f"model_ep{episode}.pt", f"model_ep{episode}.json"
        if not (self.path / sidecar).exists():
            record = {"format": 1, "episode": episode, "reason": "schedule", **more,
                      "run_id": os.environ.get("TRAINER_RUN_ID", "by-hand"),
                      "attempt": int(os.environ.get("TRAINER_ATTEMPT", "0")),
                      "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
                      .replace("+00:00", "Z"),
                      "file": archive, "bytes": len(state), "digest": digest_of(state)}
            self._place(archive, state)
            self._place(sidecar, json.dumps(record, indent=2).encode())  # the commit: before this there is no checkpoint
        return self.path / archive

    def prune(self, keep):
        """Removes all but the newest `keep` and those that are pinned, the sidecars first."""
        fcntl.flock(self._directory, fcntl.LOCK_EX)  # `supervisorctl checkpoints pin` waits meanwhile
        try:
            found = (re.fullmatch(r"model_ep([1-9]\d*)\.json", name) for name in os.listdir(self.path))
            episodes = sorted(int(match[1]) for match in found if match)
            victims = [n for n in episodes[:-keep] if not (self.path / f"model_ep{n}.pin").exists()]
            for suffix in ("json", "pt"):
                for episode in victims:
                    (self.path / f"model_ep{episode}.{suffix}").unlink(missing_ok=True)
                os.fsync(self._directory)
        finally:
            fcntl.flock(self._directory, fcntl.LOCK_UN)
