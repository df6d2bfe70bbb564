"""The recorded life of a training, and what was promised at each moment of it. The promises, and whether they are kept,
are those of tests/crash (promises.py); here they are followed from what the trainer said alone, and what a checkpoint
has to hold comes from a run that nothing disturbed. Pure.

A mark of something said is younger than the saying: what it promises had been promised before it, and maybe more.
"""

import pathlib
import re
import sys
from typing import NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "crash"))
from operations import Operation  # noqa: E402
from promises import ARCHIVE, BEST, History, Promises, broken  # noqa: E402

MAX_KEEP = 3
SAVE_FREQUENCY = 2


class Story(NamedTuple):
    """What a sequence of episodes is made with. Another one has no content in common with it."""
    name: str
    run_id: str
    seed: int
    steps: int
    episodes: int


FIRST = Story("first", "run-1", 1, 5, 24)
BACK = Story("back", "run-1", 1, 6, 30)
FRESH = Story("fresh", "run-2", 2, 5, 10)


class Run(NamedTuple):
    label: str
    story: Story
    episodes: int
    start: str = "--auto-resume"
    until: int = None      # it gets a signal when it has acknowledged this episode or a later one
    signal: str = ""


LIFE = (
    Run("first run", FIRST, 8, start=""),
    Run("stopped", FIRST, 22, until=12, signal="SIGTERM"),
    Run("killed", FIRST, 22, until=16, signal="SIGKILL"),
    Run("killed again", FIRST, 22, until=18, signal="SIGKILL"),
    Run("resumed", FIRST, FIRST.episodes),
    Run("back to an older one", BACK, 28, start="--resume"),
    Run("resumed after that", BACK, BACK.episodes),
    Run("fresh start", FRESH, FRESH.episodes, start="--fresh"),
)
UNDISTURBED = Run("undisturbed", FIRST, FIRST.episodes, start="")


class Event(NamedTuple):
    """What the test noted down: a run is about to begin, or the trainer has said something."""
    run: Run = None
    target: int = None     # the run steps back: to this episode, -1 for a fresh start
    world: object = None   # and this is what there was
    said: bytes = b""
    best: int = None       # the best model's episode, a moment after that was said


class Step(NamedTuple):
    """A run, as promises.History knows it."""
    run_id: str
    back_to: int


class Moment(NamedTuple):
    promises: Promises
    story: Story
    said: str


class Ledger(History):
    """Follows the events. `contents`: story -> episode -> hash of its archive, of undisturbed runs."""

    def __init__(self, contents):
        super().__init__(MAX_KEEP)
        self.contents = contents
        self.story = None
        self.next_story = FIRST
        self.best_since = 0
        self.best_seen = None
        self.world = None

    def note(self, event):
        """What is promised from this mark on."""
        if event.run:
            self.next_story, self.world = event.run.story, event.world
            step = Step(event.run.story.run_id, event.target)
            self.perform(Operation("run", run=step), self)
            if event.target is None:
                self.begin_story()
        else:
            self.best_seen = event.best
            self.perform(Operation("say", data=event.said), self)
        what = event.run.label if event.run else event.said.decode(errors="replace").strip()
        return Moment(self.now, self.story, what)

    def begin_story(self):
        self.story = self.next_story
        self.now = self.now._replace(written=self.now.written | frozenset(self.contents[self.story].items()))
        if not self.now.best_must:
            self.now = self.now._replace(best=self.best_models_since(0))

    def best_models_since(self, episode):
        return frozenset(content for at, content in self.now.written if at >= episode)

    def live_tree(self):
        """What promises.History asks a disk for; what matters of it comes with the events."""
        return {}

    def on_run(self, operation, disk):
        super().on_run(operation, disk)
        if operation.run.back_to is not None:
            self.now = self.now._replace(before=self.world)

    def stepped_back(self, disk):
        if self.now.back_to is None:
            return
        target, before = self.now.back_to, self.now.before
        super().stepped_back(disk)
        self.begin_story()
        self.best_since = 0
        # It is recomputed from what remains, whatever that comes to.
        remains = any(episode <= target for episode, _ in before.pairs)
        self.now = self.now._replace(best=self.best_models_since(0), best_must=remains)

    def acknowledged(self, path, disk):
        contents = self.contents[self.story]
        archive = ARCHIVE.fullmatch(path)
        if archive:
            pair = (int(archive[1]), contents[int(archive[1])])
            older = [kept for kept in self.now.must if kept[0] != pair[0]]
            self.now = self.now._replace(must=tuple(sorted([*older, pair])[-self.max_keep:]))
        elif path == BEST:
            # This one is newer than the last one acknowledged, so no older than the best that was seen after that one.
            self.now = self.now._replace(best=self.best_models_since(self.best_since), best_must=True)
            self.best_since = max(self.best_since, self.best_seen or 0)


def verdict(moments, number, look):
    """The promises broken by this state of a disk, cut between this mark and the next one."""
    promises = moments[number].promises
    sentences = broken(still_owed(promises, look), look)
    if sentences and promises.back_to is not None and number + 1 < len(moments):
        # The step back may have been done, and not yet been marked.
        done = moments[number + 1].promises
        if not broken(still_owed(done, look), look):
            return []
    return sentences


def still_owed(promises, look):
    """A newer checkpoint, not yet acknowledged, may have had the oldest one pruned."""
    valid = look.first.get("valid", ())
    newest = sorted({episode for episode, _ in promises.must} | set(valid))[-MAX_KEEP:]
    return promises._replace(must=tuple(pair for pair in promises.must if pair[0] in newest))


def acknowledged_episode(said):
    """The episode whose checkpoint is durable, by this datagram; None: it is about something else."""
    found = re.search(rb"^X_TRAINER_CHECKPOINT=\S*/model_ep(\d+)\.pt$", said, re.MULTILINE)
    return int(found[1]) if found else None


def is_acknowledgement(said):
    return any(line.startswith(b"X_TRAINER_CHECKPOINT=") for line in said.splitlines())


def matters(said):
    return is_acknowledgement(said) or b"READY=1" in said.splitlines()

