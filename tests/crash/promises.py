"""What the trainer has promised at each moment of a log, and whether a start after a power cut finds it kept. Pure.

The acknowledgement of a checkpoint is the datagram X_TRAINER_CHECKPOINT=<path>, that of a step back (--resume of an
older one, --fresh) is READY=1. Contents are compared by hash with what the log says was written, not with what the
sidecar claims.
"""

import hashlib
import json
import os.path
import re
from typing import NamedTuple

ARCHIVE = re.compile(r"models/model_ep(\d+)\.pt")
BEST = "models/best_model.pt"
HISTORY = "models/metrics.jsonl"
LITTER = re.compile(r"models/(\.(model_ep\d+|best_model|\.intent)\.(pt|json)\.tmp-.*|\.best_model\.json\.next"
                    r"|\.intent\.json)")
INTENT = "models/.intent.json"


def hash_of(content):
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def hashes_of(tree):
    return {path: None if content is None else hash_of(content) for path, content in tree.items()}


def history_of(tree):
    """The episodes that the history tells of."""
    episodes = set()
    for line in (tree.get(HISTORY) or b"").split(b"\n"):
        try:
            episodes.add(json.loads(line)["episode"])
        except (ValueError, KeyError, TypeError):
            pass  # torn, or zeros
    return frozenset(episodes)


class World(NamedTuple):
    """The checkpoints that count, before a step back."""
    pairs: frozenset      # (episode, hash)
    best: str             # hash or None
    best_episode: int


class Promises(NamedTuple):
    run_id: str = ""
    must: tuple = ()                  # (episode, hash): acknowledged and within max_keep, ascending
    written: frozenset = frozenset()  # (episode, hash): handed to the disk under their final names, in this history
    best: frozenset = frozenset()     # hashes that the best model may have: the acknowledged one and later ones
    best_must: bool = False
    back_to: int = None               # a step back is under way: its target, -1 for a fresh start
    before: World = None              # what counted when it began
    aside: frozenset = frozenset()    # hashes of what was stepped behind, never deleted
    foreign: frozenset = frozenset()  # (path, hash)


class History:
    """Follows the operations; `now` is what is promised after the last one."""

    def __init__(self, max_keep):
        self.max_keep = max_keep
        self.now = Promises()

    def perform(self, operation, disk):
        """To be called after the disk has performed it."""
        method = getattr(self, "on_" + operation.kind, None)
        if method:
            method(operation, disk)

    def on_run(self, operation, disk):
        run = operation.run
        self.now = self.now._replace(run_id=run.run_id)
        if run.back_to is not None:
            self.now = self.now._replace(back_to=run.back_to, before=world_of(disk.live_tree()))

    def on_plant(self, operation, _):
        self.now = self.now._replace(foreign=self.now.foreign | {(operation.path, hash_of(operation.data))})

    def on_rename(self, operation, disk):
        archive = ARCHIVE.fullmatch(operation.to)
        if archive or operation.to == BEST:
            content = hash_of(disk.live_tree()[operation.to])
        if archive:
            self.now = self.now._replace(written=self.now.written | {(int(archive[1]), content)})
        elif operation.to == BEST:
            self.now = self.now._replace(best=self.now.best | {content})

    on_link = on_rename

    def on_say(self, operation, disk):
        for line in operation.data.decode(errors="replace").splitlines():
            key, _, value = line.partition("=")
            if line == "READY=1":
                self.stepped_back(disk)
            elif key == "X_TRAINER_CHECKPOINT":
                self.stepped_back(disk)
                self.acknowledged("models/" + os.path.basename(value), disk)

    def acknowledged(self, path, disk):
        # No such file can only be in a log that was changed on purpose; then nothing the disk leaves keeps the promise.
        content = hash_of(disk.live_tree().get(path) or b"")
        archive = ARCHIVE.fullmatch(path)
        if archive:
            pair = (int(archive[1]), content)
            older = [kept for kept in self.now.must if kept[0] != pair[0]]
            self.now = self.now._replace(must=tuple(sorted([*older, pair])[-self.max_keep:]))
        elif path == BEST:
            self.now = self.now._replace(best=frozenset({content}), best_must=True)

    def stepped_back(self, disk):
        target, before = self.now.back_to, self.now.before
        if target is None:
            return
        aside = {content for episode, content in before.pairs if episode > target}
        if before.best and before.best_episode > target:
            aside.add(before.best)
        must = tuple(pair for pair in self.now.must if pair[0] <= target)
        best = disk.live_tree().get(BEST)
        self.now = self.now._replace(must=must, written=frozenset(kept_pairs(before, target)),
                                     aside=self.now.aside | aside, best=frozenset({hash_of(best)} if best else ()),
                                     best_must=best is not None, back_to=None, before=None)


def kept_pairs(world, target):
    return {pair for pair in world.pairs if pair[0] <= target}


def world_of(tree):
    pairs = {(int(found[1]), hash_of(content)) for path, content in tree.items()
             if (found := ARCHIVE.fullmatch(path)) and path[:-3] + ".json" in tree}
    best = tree.get(BEST)
    record = tree.get("models/best_model.json") or b""
    episode = re.search(rb'"episode": (\d+)', record)
    return World(frozenset(pairs), hash_of(best) if best else None, int(episode[1]) if episode else -1)


class Look(NamedTuple):
    """A crash state, and two starts after it. Trees are hashed."""
    cut: dict
    first: dict    # answers of recover_states
    after: dict
    second: dict
    after_second: dict
    history: frozenset = frozenset()  # the episodes in the history that the cut has left


def broken(promises, look):
    """The promises that are not kept, as sentences."""
    if "error" in look.first:
        nothing_promised = not promises.must and not promises.best_must and promises.back_to is None
        return [] if nothing_promised else ["the next start is refused: " + look.first["error"]]
    sentences = [*idempotence(look), *foreign(promises, look)]
    sentences += ["after recovery a sidecar stands without its content: " + said for said in look.first["broken"]]
    if INTENT not in look.cut:
        sentences += ["a sidecar stands without its content: " + said for said in look.first["broken_before"]]
    sentences += [f"{path} is left behind" for path in look.after if LITTER.fullmatch(path)]
    pairs = {(episode, look.after[f"models/model_ep{episode}.pt"]) for episode in look.first["valid"]}
    best = look.after.get(BEST) if look.first["best"] else None
    if promises.back_to is None:
        sentences += going_on(promises, look, pairs, best)
    else:
        sentences += stepping_back(promises, look, pairs, best)
    return sentences


def idempotence(look):
    if "error" in look.second:
        yield "a second start is refused: " + look.second["error"]
        return
    if look.second["notes"]:
        yield f"a second recovery found work: {look.second['notes'][0]}"
    for key in ("chosen", "best", "valid", "broken"):
        if look.second[key] != look.first[key]:
            yield f"a second start finds another {key}: {look.first[key]}, then {look.second[key]}"
    if look.after_second != look.after:
        yield "a second recovery changed files"


def foreign(promises, look):
    for path, content in promises.foreign:
        if look.after.get(path) != content:
            yield f"the foreign file {path} was touched"


def aside_is_there(hashes, look):
    there = {content for path, content in look.after.items() if path.startswith("models/superseded/")}
    return hashes <= there


def going_on(promises, look, pairs, best):
    known = promises.written | set(promises.must)
    chosen = look.first["chosen"]
    for episode, _ in sorted(set(promises.must) - pairs):
        yield f"the acknowledged checkpoint of episode {episode} is lost or has other content"
    for episode, _ in sorted(pairs - known):
        yield f"episode {episode} has content that was not written for it in this history"
    if promises.must and promises.must[-1][0] not in look.history:
        yield f"the history does not reach episode {promises.must[-1][0]}, whose checkpoint is acknowledged"
    if promises.best_must and best is None:
        yield "the acknowledged best model is lost"
    if best is not None and best not in promises.best:
        yield "the best model is older than the acknowledged one, or nobody's"
    if not aside_is_there(promises.aside, look):
        yield "something that was stepped behind is gone"
    if chosen is None:
        if promises.must or promises.best_must:
            yield "nothing is left to resume from"
        return
    content = look.after["models/" + chosen["file"]]
    if promises.must and chosen["episode"] < promises.must[-1][0]:
        yield f"episode {chosen['episode']} is chosen, {promises.must[-1][0]} is acknowledged"
    if (chosen["episode"], content) not in known and content not in promises.best:
        yield f"episode {chosen['episode']} is chosen with content that nobody saved"


def stepping_back(promises, look, pairs, best):
    """Either everything as before, or everything as after: never a mix."""
    before, target = promises.before, promises.back_to
    chosen = look.first["chosen"]
    if chosen and pairs and (chosen["episode"], look.after["models/" + chosen["file"]]) != max(pairs):
        yield f"episode {chosen['episode']} is chosen, {max(pairs)[0]} is the newest"
    if pairs and not chosen:
        yield "nothing is chosen, though there are valid checkpoints"
    if pairs == before.pairs and best == before.best:
        return
    kept = kept_pairs(before, target)
    aside = {content for _, content in before.pairs - kept}
    best_is_newer = before.best_episode > target
    if best_is_newer and before.best:
        aside.add(before.best)
    good_best = best == before.best if not best_is_newer else (best is not None) == bool(kept)
    if pairs == kept and good_best and aside_is_there(aside, look):
        return
    yield (f"a mix of before and after the step back to {target}: episodes {sorted(e for e, _ in pairs)}, "
           f"best {look.first['best']}")
