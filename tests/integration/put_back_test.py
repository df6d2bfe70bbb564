#!/usr/bin/python3
"""supervisorctl checkpoints release: out of quarantine again, with the real programs."""

import json
import re
import shutil
import sys

sys.dont_write_bytecode = True
from control_test import FAILED, OK, USAGE, ControlTest  # noqa: E402
from harness import main  # noqa: E402


class PutBack(ControlTest):
    def quarantined(self, episode):
        return sorted((self.models / "quarantine").glob(f"*-ep{episode}-*"))

    def test_p10_p11_what_the_ladder_set_aside_can_be_put_back_and_gone_on_from(self):
        # Every worker dies when episode 41 is about to begin, until the program is mended. What it left in memory is
        # episode 40, or 39 while the other one was still being announced.
        self.configure(worker={"command": self.toy("--step-ms", 1, "--crash-at-episode", 41)})
        supervisor = self.supervise()
        advice = re.compile(r"To put it back: supervisorctl checkpoints release ep(\d+)")
        supervisor.says(advice)
        self.end(supervisor)
        episode = int(advice.search(supervisor.output())[1])
        name = f"ep{episode}"
        # The next workers may have come as far, and further, meanwhile.
        later = [path for n in range(episode, 42) for path in self.pair(n)]
        for path in (*later, *self.quarantined(episode)[1:]):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

        [folder] = self.quarantined(episode)
        why = (folder / "why.txt").read_text(encoding="utf-8").strip()
        self.assertRegex(why, rf"2 workers in a row that were started from .*model_{name}\.pt ended before")
        before = {file: (folder / file).read_bytes() for file in (f"model_{name}.pt", f"model_{name}.json")}
        released = json.loads(self.ask(OK, "checkpoints", "release", name, "--json"))
        self.assertEqual(released, {"format": 1, "directory": "models", "name": name, "path": f"models/model_{name}.pt",
                                    "from": str(folder.relative_to(self.folder)), "why": why, "pinned": False})
        self.assertEqual({path.name: path.read_bytes() for path in self.pair(episode)}, before)
        self.assertIn(f"{name}: valid", self.ask(OK, "checkpoints", "verify", name))
        self.assertIn("already", self.ask(FAILED, "checkpoints", "release", name))
        self.configure(training={"episodes": 60}, worker={"command": self.toy("--step-ms", 1)})
        self.assertIn(f"Auto-resuming from episode {episode}:", self.supervise("--exit-when-done").ends(0))

    def test_p4_is_refused_while_somebody_trains_there(self):
        supervisor = self.running()
        before = set(self.set_aside("quarantine"))
        refused = self.ask(FAILED, "checkpoints", "release", "ep10")
        self.assertIn("is in use by", refused)
        self.assertIn("supervisorctl stop", refused)
        self.assertEqual(set(self.set_aside("quarantine")), before)
        self.end(supervisor)

    def test_what_cannot_be_put_back_is_refused_with_the_reason(self):
        self.configure(training={"episodes": 30})
        self.supervise("--exit-when-done").ends(0)
        self.assertIn("nothing lies there", self.ask(USAGE, "checkpoints", "release", "ep7"))
        self.pair(20)[0].write_bytes(b"damaged")
        folder = self.models / "quarantine" / "2026-01-31T12-00-00.000Z-ep20-0000"
        folder.mkdir(parents=True)
        for path in self.pair(20):
            path.rename(folder / path.name)
        before = self.contents()
        self.assertIn("it is cut short", self.ask(USAGE, "checkpoints", "release", "20"))
        self.assertIn("ep20 can be put back", self.ask(USAGE, "checkpoints", "release", "ep7"))
        for selector in ("latest", "best", "models/model_ep30.pt", "sideways"):
            self.assertIn("names nothing in quarantine", self.ask(USAGE, "checkpoints", "release", selector))
        self.assertEqual(self.contents(), before)


if __name__ == "__main__":
    main()
