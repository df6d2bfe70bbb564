"""From samples to the table: medians, spreads, ratios, and whether a target is reached. Pure."""

import json
import statistics
from typing import NamedTuple

MIB = 1 << 20


class Target(NamedTuple):
    figure: str
    what: str  # of ours
    peer: str  # "": there is none, and the limit is in seconds
    limit: float  # of ours / peer, both as times
    words: str


TARGETS = [
    Target("stall", "ours", "memcpy", 1.3, "≤ 1.3"),
    Target("stall", "ours", "torch::save + fsync", 1 / 20, "≤ 0.05"),
    Target("durable", "ours", "dd conv=fsync", 1.3, "≤ 1.3"),
    Target("load", "ours", "torch::load", 1 / 3, "≤ 0.33"),
    Target("verify", "ours", "xxhsum -H2", 1 / 0.9, "≤ 1.11"),
    Target("scan", "ours", "", 0.100, "≤ 100 ms"),
    Target("scan", "ours: newest 100 damaged", "", 0.100, "≤ 100 ms"),
    Target("scan", "ours: newest 100 of another run", "", 0.100, "≤ 100 ms"),
    Target("scan", "ours: all but the oldest of another run", "", 0.100, "≤ 100 ms"),
]
FIGURES = ["stall", "durable", "load", "verify", "scan"]


class Samples:
    """Seconds by (figure, bytes or count, what), in the order in which they came first."""

    def __init__(self):
        self.seconds = {}

    def add(self, figure, size, what, seconds):
        self.seconds.setdefault((figure, size, what), []).append(seconds)

    def add_lines(self, output):
        for line in output.splitlines():
            if line.startswith("{"):
                said = json.loads(line)
                self.add(said["figure"], said["bytes"], said["what"], said["seconds"])

    def get(self, figure, size, what):
        return self.seconds.get((figure, size, what), [])

    def sizes(self, figure):
        return sorted({size for f, size, _ in self.seconds if f == figure})

    def as_list(self):
        return [{"figure": f, "size": s, "what": w, "seconds": seconds} for (f, s, w), seconds in self.seconds.items()]


def summary(seconds):
    return {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds), "samples": len(seconds)}


def comparisons(samples):
    """One for each target and size that has samples of both sides."""
    found = []
    for target in TARGETS:
        for size in samples.sizes(target.figure):
            ours = samples.get(target.figure, size, target.what)
            peer = samples.get(target.figure, size, target.peer) if target.peer else []
            if not ours or (target.peer and not peer):
                continue
            mine = summary(ours)
            theirs = summary(peer) if peer else None
            value = mine["median"] / theirs["median"] if theirs else mine["median"]
            found.append({"figure": target.figure, "size": size, "what": target.what, "ours": mine, "peer": target.peer,
                          "theirs": theirs, "ratio": value if theirs else None, "target": target.words,
                          "reached": value <= target.limit})
    return found


def parts(samples):
    """What of ours is told apart, and the sides that no target compares."""
    judged = {(t.figure, t.what) for t in TARGETS} | {(t.figure, t.peer) for t in TARGETS}
    return [{"figure": f, "size": s, "what": w.removeprefix("ours: "), **summary(seconds)}
            for (f, s, w), seconds in sorted(samples.seconds.items(), key=lambda item: FIGURES.index(item[0][0]))
            if (f, w) not in judged]


def duration(seconds):
    if seconds >= 0.9995:
        return f"{seconds:.2f} s"
    for unit, factor in (("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 0.9995:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def spread(side):
    return f"{duration(side['median'])} ({duration(side['min'])} … {duration(side['max'])})"


def size_words(figure, size):
    return f"{size:,} pairs" if figure == "scan" else f"{size // MIB} MiB"


def rate(size, side):
    return f", {size / side['median'] / 1e9:.1f} GB/s"


def row(found):
    figure, size = found["figure"], found["size"]
    with_rate = figure == "verify"
    ours = spread(found["ours"]) + (rate(size, found["ours"]) if with_rate else "")
    peer = "–"
    if found["theirs"]:
        peer = f"{found['peer']}: {spread(found['theirs'])}" + (rate(size, found["theirs"]) if with_rate else "")
    name = figure + (", " + found["what"].removeprefix("ours: ") if found["what"] != "ours" else "")
    ratio = f"{found['ratio']:.3g}" if found["ratio"] is not None else "–"
    cells = [name, size_words(figure, size), ours, peer, ratio, found["target"], "yes" if found["reached"] else "**no**"]
    return "| " + " | ".join(cells) + " |"


def render(samples, machine, rounds, repeat):
    lines = [f"{name}: {words}" for name, words in machine.items()]
    lines += [f"samples: medians of {rounds} rounds × {repeat}, (fastest … slowest); ratio: our time / the peer's", "",
              "| figure | size | ours | peer | ratio | target | reached |", "|---|---|---|---|---|---|---|"]
    lines += [row(found) for found in comparisons(samples)]
    told = parts(samples)
    if told:
        lines += ["", "| part | size | time |", "|---|---|---|"]
        lines += [f"| {p['figure']}: {p['what']} | {size_words(p['figure'], p['size'])} | {spread(p)} |" for p in told]
    return "\n".join(lines)
