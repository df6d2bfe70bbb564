"""Logs of trainers that do it wrong, made from the log of the one that does it right: the negative controls.

Each takes a list of operations and returns another one, in which it has changed something, or raises. Pure.
"""

import re

SIDECAR = re.compile(r"models/model_ep(\d+)\.json")
ARCHIVE = re.compile(r"models/model_ep(\d+)\.pt")
BEST = "models/best_model.pt"
INTENT = "models/.intent.json"
ASIDE = "models/superseded/"


def renumbered(operations):
    """The order of the list is the order of time again."""
    return [operation._replace(begun=2 * at, ended=2 * at + 1) for at, operation in enumerate(operations)]


def changed(before, after):
    if [o[:8] for o in before] == [o[:8] for o in after]:
        raise AssertionError("the log has nothing that this control could change")
    return renumbered(after)


def no_directory_sync(operations):
    return changed(operations, [o for o in operations if o.kind != "sync_directory"])


def no_file_sync(operations):
    return changed(operations, [o for o in operations if o.kind != "sync"])


def no_history_sync(operations):
    """The history is written, and left to the kernel."""
    return changed(operations, [o for o in operations if (o.kind, o.path) != ("sync", "models/metrics.jsonl")])


def next_index(operations, start, holds):
    return next((at for at in range(start, len(operations)) if holds(operations[at])), None)


def sidecar_first(operations):
    """The archive gets its name, and that its sync, only after the sidecar has both."""
    out = list(operations)
    at = 0
    while (at := next_index(out, at, lambda o: o.kind == "rename" and ARCHIVE.fullmatch(o.to))) is not None:
        archive = out[at]
        sync = next_index(out, at, lambda o: o.kind == "sync_directory")
        sidecar = next_index(out, at, lambda o, to=archive.to: o.kind == "rename" and o.to == to[:-3] + ".json")
        last = None if sidecar is None else next_index(out, sidecar, lambda o: o.kind == "sync_directory")
        if last is not None:
            moved = [out[at], out[sync]]
            out = out[:at] + out[at + 1:sync] + out[sync + 1:last + 1] + moved + out[last + 1:]
            at = last
        at += 1
    return changed(operations, out)


def acknowledged_before_the_sync(operations):
    """The sync of the directory after an episode's sidecar got its name comes after the acknowledgement."""
    out = list(operations)
    at = 0
    while (at := next_index(out, at, lambda o: o.kind == "rename" and SIDECAR.fullmatch(o.to))) is not None:
        sync = next_index(out, at, lambda o: o.kind == "sync_directory")
        said = next_index(out, at, lambda o: o.kind == "say" and b"X_TRAINER_CHECKPOINT" in o.data)
        if sync is not None and said is not None and sync < said:
            out.insert(said, out.pop(sync))
        at += 1
    return changed(operations, out)


def prune_reversed(operations):
    """Archives go first and durably, then the sidecars."""
    def other(path):
        return path[:-3] + ".json" if path.endswith(".pt") else path[:-5] + ".pt"

    return changed(operations, [o._replace(path=other(o.path)) if o.kind == "unlink" and
                                (ARCHIVE.fullmatch(o.path) or SIDECAR.fullmatch(o.path)) else o for o in operations])


def best_unlinked_first(operations):
    """The old best model makes way before the new one comes."""
    out, seen = [], False
    for operation in operations:
        if operation.kind == "rename" and operation.to == BEST:
            if seen:
                out += [operation._replace(kind="unlink", path=path, to="")
                        for path in ("models/best_model.json", BEST)]
            seen = True
        if operation.kind == "run":
            seen = operation.run.back_to is None and seen
        out.append(operation)
    return changed(operations, out)


def step_back_without_a_journal(operations):
    return changed(operations, [o for o in operations if INTENT not in (o.path, o.to)])


def step_back_that_deletes(operations):
    """What is stepped behind is removed instead of moved."""
    return changed(operations, [o._replace(kind="unlink", to="") if o.kind == "rename" and o.to.startswith(ASIDE) else o
                                for o in operations])
