"""From the samples of bench/supervision.py to its tables: every figure beside its target, and everybody beside us. Pure."""

import statistics
from typing import NamedTuple

from table import MIB, duration, spread, summary

FIGURES = ["restart", "recovery", "daemon", "beat", "overhead"]
FASTEST = "the fastest"
OURS = "ours"


class Target(NamedTuple):
    figure: str
    what: str  # of ours
    peer: str  # FASTEST: of all that there are; "": there is none, and the limit is in the figure's own unit
    limit: float
    words: str
    at_least: bool = False


TARGETS = [
    Target("restart", OURS, FASTEST, 1.2, "≤ 1.2"),
    Target("recovery", OURS, "trainer --resume", 1.05, "≤ 1.05"),
    Target("resident memory", OURS, "", 8 * MIB, "≤ 8 MiB"),
    Target("resident memory", "ours: beats at 1 Hz", "", 8 * MIB, "≤ 8 MiB"),
    Target("resident memory", "ours: stopped", "", 8 * MIB, "≤ 8 MiB"),
    Target("wake-ups", OURS, "", 3, "≤ 3/s"),
    Target("wake-ups", "ours: beats at 1 Hz", "", 3, "≤ 3/s"),
    Target("wake-ups", "ours: stopped", "", 0, "0"),
    Target("beat", "ours: held back by the rate", "", 50e-9, "≤ 50 ns"),
    Target("beat", "ours: sent", "", 5e-6, "≤ 5 µs"),
    Target("overhead", OURS, "bare loop", 0.99, "≥ 0.99", at_least=True),
]
# The plain name stands for a worker that is silent in these figures.
SILENT = ("resident memory", "wake-ups")


def peers_of(samples, figure):
    return [what for f, _, what in samples.seconds if f == figure and not what.startswith(OURS)]


def peer_of(samples, target):
    if target.peer != FASTEST:
        return target.peer
    peers = peers_of(samples, target.figure)
    return min(peers, key=lambda peer: summary(samples.get(target.figure, 0, peer))["median"]) if peers else FASTEST


def comparisons(samples):
    found = []
    for target in TARGETS:
        peer = peer_of(samples, target)
        ours = samples.get(target.figure, 0, target.what)
        theirs = samples.get(target.figure, 0, peer)
        if not ours or (target.peer and not theirs):
            continue
        mine = summary(ours)
        other = summary(theirs) if target.peer else None
        value = mine["median"] / other["median"] if other else mine["median"]
        found.append({"figure": target.figure, "what": target.what, "ours": mine, "peer": peer, "theirs": other,
                      "ratio": value if other else None, "target": target.words,
                      "reached": value >= target.limit if target.at_least else value <= target.limit})
    return found


def amount(figure, value):
    if figure in ("resident memory", "proportional memory"):
        return f"{value / MIB:.1f} MiB"
    if figure == "wake-ups":
        return f"{value:.3g}/s"
    if figure == "overhead":
        return f"{value:.4g} episodes/s"
    return duration(value)


def amounts(figure, side):
    if figure in ("restart", "recovery", "beat"):
        return spread(side)
    if side["min"] == side["max"]:
        return amount(figure, side["median"])
    return f"{amount(figure, side['median'])} ({amount(figure, side['min'])} … {amount(figure, side['max'])})"


def row(found):
    figure = found["figure"]
    what = found["what"].removeprefix("ours: ")
    name = figure + (f", {what}" if what != OURS else ", silent worker" if figure in SILENT else "")
    peer = f"{found['peer']}: {amounts(figure, found['theirs'])}" if found["theirs"] else "–"
    ratio = f"{found['ratio']:.3g}" if found["ratio"] is not None else "–"
    cells = [name, amounts(figure, found["ours"]), peer, ratio, found["target"], "yes" if found["reached"] else "**no**"]
    return "| " + " | ".join(cells) + " |"


def everybody(samples, paces):
    """One line for each supervisor, the quickest first; nothing where nobody was measured."""
    names = [name for name in paces if any(samples.get(f, 0, name) for f in ("restart", "resident memory"))]
    names.sort(key=lambda name: statistics.median(samples.get("restart", 0, name) or [0]))
    if not names:
        return []

    def cell(figure, name):
        values = samples.get(figure, 0, name)
        return amounts(figure, summary(values)) if values else "–"

    columns = ("restart", "resident memory", "proportional memory", "wake-ups")
    lines = ["", "| supervisor, worker silent | restart | resident | proportional | wake-ups | how often it restarts |",
             "|---|---|---|---|---|---|"]
    return lines + ["| " + " | ".join([name, *(cell(figure, name) for figure in columns), paces[name]]) + " |" for name in names]


def render(samples, machine, paces):
    lines = [f"- {name}: {words}" for name, words in machine.items()]
    lines += ["", "| figure | ours | peer | ratio | target | reached |", "|---|---|---|---|---|---|"]
    lines += [row(found) for found in comparisons(samples)]
    lines += everybody(samples, paces)
    processor = [(what, samples.get("processor time", 0, what)) for what in (OURS, "bare loop")]
    if all(values for _, values in processor):
        told = ", ".join(f"{what} {spread(summary(values))}" for what, values in processor)
        lines += ["", f"Processor time of a whole run of *overhead*, start and supervisor included: {told}."]
    return "\n".join(lines)
