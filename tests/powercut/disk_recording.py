"""Records a trainer's life on a file system whose disk is recorder.py: its writes and flushes, and between them, as
marks, what the trainer said and when."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import unittest
from typing import NamedTuple

sys.dont_write_bytecode = True
TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[1:1] = [str(TESTS / "integration"), str(TESTS / "crash")]
import block_log  # noqa: E402
import life  # noqa: E402
from promises import ARCHIVE, hash_of, world_of  # noqa: E402
from small_disks import MIB, DiskTest, run  # noqa: E402

SIZE = 320 * MIB  # mkfs.xfs makes no smaller one


class FileSystem(NamedTuple):
    name: str
    package: str
    make: tuple
    mount: str = "loop"
    sector: int = 512      # what its disk writes whole


# Nothing is left to be initialised later, in the middle of the recording.
EXT4 = FileSystem("ext4", "e2fsprogs", ("mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "nodiscard,lazy_itable_init=0"))
XFS = FileSystem("xfs", "xfsprogs", ("mkfs.xfs", "-q", "-K"))
# Its superblock is 4096 bytes under one checksum: it asks for a disk that writes as much whole, as disks do today.
BTRFS = FileSystem("btrfs", "btrfs-progs", ("mkfs.btrfs", "-q", "-K"), "loop,nodiscard", 4096)


class Recording(NamedTuple):
    base: pathlib.Path     # the disk before all
    entries: list
    moments: list          # by the number of the mark
    contents: dict

    def positions(self, wanted):
        """How many entries there are up to each such mark."""
        return [at + 1 for at, entry in enumerate(self.entries)
                if entry.kind == block_log.MARK and wanted(self.moments[entry.offset])]


def tree_of(root):
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
            for path in root.rglob("*") if path.name != ".lock"}


class RecordingTest(DiskTest):
    needs = ("toy_trainer", "recover_states")

    def setUp(self):
        super().setUp()
        # In memory, and gone with this process however it ends.
        self.disks = self.folder / "disks"
        self.disks.mkdir()
        self.mount("-t", "tmpfs", "-o", "size=1g", "tmpfs", self.disks)
        # The same place each time: a file that names it still does after the cut.
        self.world = self.disks / "world"
        self.models = self.world / "models"
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(self.folder / "notify.sock"))
        self.addCleanup(self.notify.close)

    # ---- the disk

    def make(self, kind):
        """An image with a new file system."""
        if not shutil.which(kind.make[0]):
            raise unittest.SkipTest(f"{kind.make[0]} is not installed (package {kind.package})")
        image = self.disks / "disk.img"
        with open(image, "wb") as file:
            file.truncate(SIZE)
        self.assertEqual(run(*kind.make, image), "")
        return image

    def serve(self, image):
        """The image as a disk that remembers. Returns the folder and what ends it and gives the log's place."""
        folder, log, complaints = self.disks / "fuse", self.disks / "log", self.disks / "recorder.out"
        folder.mkdir()
        with open(complaints, "wb") as err:
            recorder = subprocess.Popen([sys.executable, "-B", str(TESTS / "powercut/recorder.py"), str(image), str(log),
                                         str(folder)], stdout=subprocess.PIPE, stderr=err, stdin=subprocess.DEVNULL)
        self.addCleanup(recorder.stdout.close)
        self.addCleanup(recorder.wait)
        self.addCleanup(recorder.kill)
        self.addCleanup(self.unmount, folder)
        if recorder.stdout.readline() != b"serving\n":
            raise unittest.SkipTest(f"a disk of our own needs FUSE: {complaints.read_text(encoding='utf-8').strip()[-200:]}")

        def end():
            self.unmount(folder)
            self.assertEqual(recorder.wait(60), 0, complaints.read_text(encoding="utf-8"))
            return log

        return folder, end

    def mount_image(self, kind, image, where):
        where.mkdir(exist_ok=True)
        return run("mount", "-t", kind.name, "-o", kind.mount, image, where)

    def unmount(self, where):
        """Where something is mounted."""
        self.kill_everything()
        self.until(lambda: not os.path.ismount(where) or not run("umount", where), f"{where} to be unmounted", 20)

    # ---- the life

    def record(self, kind, runs, *wrapper):
        """The runs, each with the trainer started through the wrapper, if there is one."""
        image = self.make(kind)
        base = self.disks / "base.img"
        block_log.copy(image, base)
        folder, end = self.serve(image)
        complaint = self.mount_image(kind, folder / "disk", self.world)
        if complaint:
            raise unittest.SkipTest(f"no {kind.name} can be mounted from an image here: {complaint}")
        self.addCleanup(self.unmount, self.world)
        events = []
        marks = os.open(folder / "marks", os.O_WRONLY)
        try:
            for episode_run in runs:
                self.live(episode_run, wrapper, lambda event: self.note(event, events, marks))
        finally:
            os.close(marks)
        self.unmount(self.world)
        entries = block_log.read(end())
        contents = self.contents_of_undisturbed_runs(events)
        ledger = life.Ledger(contents)
        return Recording(base, entries, [ledger.note(event) for event in events], contents)

    @staticmethod
    def note(event, events, marks):
        os.pwrite(marks, str(len(events)).encode(), 0)
        events.append(event)

    def live(self, episode_run, wrapper, note):
        """One run; `note` takes down the events."""
        story, start, target = episode_run.story, episode_run.start, None
        if start == "--fresh":
            target = -1
        elif start == "--resume":
            target = self.episodes()[-2]
        arguments = [start] if start else []
        if start == "--resume":
            arguments.append(f"ep{target}")
        note(life.Event(run=episode_run, target=target,
                        world=None if target is None else world_of(tree_of(self.world))))
        # Episodes longer than a save, so that most that are due are made.
        trainer = self.start_trainer(self.models, story, episode_run.episodes, *arguments, "--step-ms", 5, wrapper=wrapper)
        signalled = False
        while trainer.running() or self.heard(0):
            said = self.heard(0.02)
            if said is None or not life.matters(said):
                continue
            note(life.Event(said=said, best=self.best_episode()))
            acknowledged = life.acknowledged_episode(said)
            if episode_run.until and not signalled and acknowledged and acknowledged >= episode_run.until:
                signalled = True
                trainer.signal(signal.Signals[episode_run.signal])
        # Where this test was kept from reading for long, the trainer may have come to its end first.
        trainer.ends(0, *({"SIGTERM": [75], "SIGKILL": [-9]}.get(episode_run.signal, [])))

    def heard(self, seconds):
        """A datagram; None: there is none. With 0 it stays where it is."""
        self.notify.settimeout(seconds)
        try:
            return self.notify.recv(1 << 16, 0 if seconds else socket.MSG_PEEK)
        except (TimeoutError, BlockingIOError):
            return None

    def best_episode(self):
        try:
            return self.sidecar("best_model")["episode"]
        except OSError:
            return None

    def start_trainer(self, models, story, episodes, *arguments, wrapper=(), **checkpoints):
        self.configure(training={"episodes": episodes, "seed": story.seed}, dqn={"hidden": [1024]},
                       checkpoints={"directory": str(models), "save_frequency": life.SAVE_FREQUENCY,
                                    "max_keep": life.MAX_KEEP, "save_interval": "0s", **checkpoints})
        return self.start(*wrapper, self.program("toy_trainer"), "--config", self.config_file, "--steps", story.steps,
                          *arguments, NOTIFY_SOCKET=str(self.folder / "notify.sock"), TRAINER_RUN_ID=story.run_id,
                          # The leak checker is a debugger itself, and there can be only one.
                          ASAN_OPTIONS="detect_leaks=0")

    # ---- what each checkpoint has to hold

    def contents_of_undisturbed_runs(self, events):
        """Story -> episode -> hash. The archive is a function of the training alone (P3)."""
        contents = {}
        for event in (event for event in events if event.run):
            story = event.run.story
            if story in contents:
                continue
            models = self.disks / f"undisturbed-{story.name}"
            earlier = {}
            if event.target is not None and event.target >= 0:
                before = self.disks / f"undisturbed-{life.FIRST.name}"
                earlier = {episode: content for episode, content in contents[life.FIRST].items()
                           if episode <= event.target}
                models.mkdir()
                for suffix in ("pt", "json"):
                    shutil.copy(before / f"model_ep{event.target}.{suffix}", models)
            contents[story] = earlier | self.undisturbed(models, story, len(earlier))
        return contents

    def undisturbed(self, models, story, start):
        """Every episode's archive. One may be passed over where saving is slower than an episode, but not for ever."""
        found = {}
        for step_ms in (2, 5, 20, 100):
            folder = models.with_name(f"{models.name}-{step_ms}")
            if models.is_dir():
                shutil.copytree(models, folder)
            trainer = self.start_trainer(folder, story, story.episodes, *(["--auto-resume"] if start else []), "--step-ms",
                                         step_ms, save_frequency=1, max_keep=1000)
            while trainer.running():
                self.heard(0.02)
            trainer.ends(0)
            tree = {"models/" + path.name: path for path in folder.iterdir()}
            found |= {int(name[1]): hash_of(path.read_bytes()) for full, path in tree.items()
                      if (name := ARCHIVE.fullmatch(full))}
            if all(episode in found for episode in range(start + 1, story.episodes + 1)):
                models.mkdir(exist_ok=True)
                shutil.copytree(folder, models, dirs_exist_ok=True)
                return found
        self.fail(f"not every episode of the story {story.name} was saved: {sorted(found)}")
