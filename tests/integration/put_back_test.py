#!/usr/bin/python3
"""supervisorctl checkpoints release: out of quarantine again, with the real programs."""

import json
import shutil
import sys

sys.dont_write_bytecode = True
from control_test import FAILED, OK, USAGE, ControlTest  # noqa: E402
from harness import main  # noqa: E402


class PutBack(ControlTest):
    def quarantined(self):
        return sorted((self.models / "quarantine").glob("*-ep40-*"))

    def test_p10_p11_what_the_ladder_set_aside_can_be_put_back_and_gone_on_from(self):
        # Every worker dies when episode 41 is about to begin, until the program is mended.
        self.configure(worker={"command": self.toy("--step-ms", 1, "--crash-at-episode", 41)})
        supervisor = self.supervise()
        supervisor.says("To put it back: supervisorctl checkpoints release ep40")
        self.end(supervisor)
        for path in (*self.pair(40), *self.quarantined()[1:]):  # the next worker may have come as far meanwhile
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

        [folder] = self.quarantined()
        why = (folder / "why.txt").read_text(encoding="utf-8").strip()
        self.assertRegex(why, r"2 workers in a row that were started from .*model_ep40\.pt ended before")
        before = {name: (folder / name).read_bytes() for name in ("model_ep40.pt", "model_ep40.json")}
        released = json.loads(self.ask(OK, "checkpoints", "release", "ep40", "--json"))
        self.assertEqual(released, {"format": 1, "directory": "models", "name": "ep40", "path": "models/model_ep40.pt",
                                    "from": str(folder.relative_to(self.folder)), "why": why, "pinned": False})
        self.assertEqual({path.name: path.read_bytes() for path in self.pair(40)}, before)
        self.assertIn("ep40: valid", self.ask(OK, "checkpoints", "verify", "ep40"))
        self.assertIn("already", self.ask(FAILED, "checkpoints", "release", "ep40"))
        self.configure(training={"episodes": 60}, worker={"command": self.toy("--step-ms", 1)})
        self.assertIn("Auto-resuming from episode 40", self.supervise("--exit-when-done").ends(0))

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
        self.assertIn("ep20 can be", self.ask(USAGE, "checkpoints", "release", "ep7"))
        for selector in ("latest", "best", "models/model_ep30.pt", "sideways"):
            self.assertIn("names nothing in quarantine", self.ask(USAGE, "checkpoints", "release", selector))
        self.assertEqual(self.contents(), before)


if __name__ == "__main__":
    main()
