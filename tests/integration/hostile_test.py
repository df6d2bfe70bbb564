#!/usr/bin/python3
"""Promise P7 at the programs: a models directory full of traps. Nobody hangs or crashes, each trap is named in a
sentence, exit statuses are the documented ones, no terminal escape gets through, and what is good is found."""

import json
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import zipfile

sys.dont_write_bytecode = True
from harness import ProgramTest, main  # noqa: E402

ESCAPE = "\x1b[2J\x1b]0;owned\x07"
GOOD = [20, 30]
TRAPS = [40, 50, 60, 70, 80, 90, 100, 110, 120]


class Hostile(ProgramTest):
    needs = ("supervisorctl", "toy_trainer")

    def setUp(self):
        super().setUp()
        # One checkpoint for each training: 20, 30 … 60.
        for episodes in range(10, 70, 10):
            self.configure(training={"episodes": episodes}, checkpoints={"save_frequency": 1000})
            self.toy_trainer("--auto-resume").ends(0)
        self.assertEqual(self.episodes(), [20, 30, 40, 50, 60])

    def toy_trainer(self, *options):
        return self.start("toy_trainer", "--config", self.config_file, *options)

    def edit(self, n, **members):
        record = self.pair(n)[1]
        record.write_text(json.dumps({**self.read_json(record), **members}), encoding="utf-8")

    def lay_traps(self):
        """Above the good checkpoints of 20 and 30, and beside them."""
        archive, record = self.pair(60)
        content = bytearray(archive.read_bytes())
        content[len(content) // 2] ^= 1
        archive.write_bytes(content)
        self.pair(50)[1].write_text('{"a":' * 50_000, encoding="utf-8")
        self.pair(40)[0].unlink()
        os.mkfifo(self.pair(40)[0])
        for n in TRAPS[3:]:
            shutil.copy(self.pair(30)[0], self.pair(n)[0])
            shutil.copy(self.pair(30)[1], self.pair(n)[1])
            self.edit(n, episode=n, file=f"model_ep{n}.pt")
        os.truncate(self.pair(70)[1], 1 << 30)
        self.pair(80)[1].unlink()
        self.listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.listener.close)
        self.listener.bind(str(self.pair(80)[1]))
        self.pair(90)[0].unlink()
        self.pair(90)[0].mkdir()
        self.pair(100)[0].rename(self.folder / "elsewhere.pt")
        self.pair(100)[0].symlink_to("../elsewhere.pt")
        self.edit(110, format=2)
        self.pair(120)[1].write_bytes(record.read_bytes() + b"\0\xff")
        # Good ones that try to paint the terminal.
        self.edit(20, created=ESCAPE, metrics={**self.sidecar("model_ep20")["metrics"], ESCAPE: 1.5, "profit": 2},
                  config={ESCAPE: ESCAPE}, best={"metric": ESCAPE, "episode": 1, "value": 1e308}, surprise=[ESCAPE])
        for name in (f"model_ep{ESCAPE}.pt", "model_ep31\n.pt", "model_ep031.pt", "model_ep-1.json", b"model_ep\xff\xfe.pt",
                     "model_ep99999999999999999999.pt", "-rf", "--json"):
            with open(os.path.join(os.fsencode(self.models), os.fsencode(name)), "wb") as file:
                file.write(self.pair(30)[0].read_bytes())
        if os.geteuid() == 0:
            os.mknod(self.models / "model_ep130.pt", stat.S_IFCHR | 0o600, os.makedev(1, 5))

    def checkpoints(self, *arguments, status):
        """Output and errors of `supervisorctl checkpoints`, with nothing in them that a terminal would obey."""
        result = self.ctl("checkpoints", *arguments)
        said = result.stdout + result.stderr
        self.assertEqual(result.returncode, status, f"{arguments}: {said}")
        self.assertNotRegex(said, r"[\x00-\x08\x0b-\x1f\x7f\ufffd]", arguments)
        if status == 2:
            self.assertEqual(result.stdout, "", arguments)
            self.assertRegex(result.stderr, r"^supervisorctl: .*\. \(.*\)\n$", arguments)
        return said

    def test_p7_supervisorctl_names_every_trap_and_falls_into_none(self):
        self.lay_traps()
        listed = self.checkpoints("list", status=0)
        verified = self.checkpoints("verify", status=1)
        document = {c["name"]: c for c in json.loads(self.checkpoints("verify", "--json", status=1))["checkpoints"]}
        for n in GOOD:
            self.assertTrue(document[f"ep{n}"]["valid"])
            self.checkpoints("verify", f"ep{n}", status=0)
            self.assertIn("model.weight", self.checkpoints("show", f"ep{n}", status=0))
        for n in TRAPS:
            self.assertFalse(document[f"ep{n}"]["valid"])
            self.assertRegex(document[f"ep{n}"]["problem"], rf"model_ep{n}\.(pt|json).*\.$")
            self.assertRegex(verified, rf"model_ep{n}\.(pt|json)")
            self.assertIn(f"ep{n}", listed)
            for arguments in (("show", f"ep{n}"), ("diff", f"ep{n}", "ep30"), ("diff", "ep30", f"ep{n}")):
                self.assertRegex(self.checkpoints(*arguments, status=2), rf"model_ep{n}\.(pt|json)")
        json.loads(self.checkpoints("list", "--json", status=0))
        json.loads(self.checkpoints("show", "ep20", "--json", status=0))
        self.assertIn(r"\x1b", self.checkpoints("diff", "ep20", "ep30", status=0))

    def test_p7_hostile_selectors(self):
        self.lay_traps()
        for selector in (ESCAPE, f"models/model_ep{ESCAPE}x.pt", "models", "models/model_ep40.pt", "/dev/zero", "/dev/stdin",
                         "ep99999999999999999999", "ep-1", "../../../../etc/passwd", "", "models/model_ep80.json", "x" * 5000):
            self.checkpoints("show", "--", selector, status=2)
            self.checkpoints("diff", "--", "ep30", selector, status=2)

    def test_p7_a_trainer_resumes_from_what_is_good_and_moves_away_what_is_proven_bad(self):
        self.lay_traps()
        self.configure(training={"episodes": 62})
        good = self.sidecar("model_ep30")["digest"]
        output = self.toy_trainer("--auto-resume").ends(0)
        for n in TRAPS:
            self.assertRegex(output, rf"rejected episode {n}: .*model_ep{n}\.(pt|json).*\.")
        self.assertIn("Auto-resuming from episode 30: models/model_ep30.pt", output)
        self.assertNotIn("\x1b", output)
        self.assertEqual(self.sidecar("model_ep30")["digest"], good)
        self.assertTrue((self.folder / "elsewhere.pt").exists())
        self.assertIn("model_ep60.pt", self.set_aside("quarantine"))
        self.assertTrue(self.pair(110)[1].exists(), "of a newer format, so not damaged")
        self.assertIn(62, self.episodes())

    def test_p7_a_forged_archive_with_a_right_sidecar_is_refused_by_name(self):
        """The digest vouches for the bytes, not for their meaning."""
        if not shutil.which("xxhsum"):
            self.skipTest("xxhsum is not installed")
        for n in self.episodes():
            if n != 60:
                for path in self.pair(n):
                    path.unlink()
        archive = self.pair(60)[0]
        for why, content in (("compressed", self.zip_bomb()), (r"posix\.system", self.pickle_that_runs("posix", "system")),
                             ("zip|archive", b"\0" * 4096), ("shape|elements|bytes", self.absurd_shape())):
            archive.write_bytes(content)
            self.vouch(archive)
            self.checkpoints("verify", "ep60", status=0)
            self.assertRegex(self.checkpoints("show", "ep60", status=1), r"model_ep60\.pt.*(" + why + ")")
            self.configure(training={"episodes": 80})
            before = self.contents()
            output = self.toy_trainer("--auto-resume").ends(65)
            self.assertRegex(output, r"model_ep60\.pt.*(" + why + ")")
            self.assertEqual(self.contents(), before)
        self.assertFalse((self.folder / "pwned").exists())

    def vouch(self, archive):
        """Writes a sidecar that fits."""
        said = subprocess.run(["xxhsum", "-H2", str(archive)], capture_output=True, text=True, check=True).stdout
        self.edit(60, bytes=archive.stat().st_size, digest=f"xxh3-128:{said.split()[0]}")

    def archive_of(self, pickle, storage=b"", compression=zipfile.ZIP_STORED):
        path = self.folder / "forged.zip"
        with zipfile.ZipFile(path, "w", compression) as file:
            file.writestr("archive/data.pkl", pickle)
            file.writestr("archive/data/0", storage)
            file.writestr("archive/version", "3\n")
        return path.read_bytes()

    def zip_bomb(self):
        return self.archive_of(b"\x80\x02}.", b"\0" * (64 << 20), zipfile.ZIP_DEFLATED)

    def pickle_that_runs(self, module, name):
        called = f"\x80\x02c{module}\n{name}\n".encode("latin-1")
        return self.archive_of(called + b"X" + struct.pack("<I", 11) + b"touch pwned\x85R.")

    def absurd_shape(self):
        def text(word):
            return b"X" + struct.pack("<I", len(word)) + word
        huge = b"\x8a\x08" + struct.pack("<q", 1 << 62)
        storage = b"(" + text(b"storage") + b"ctorch\nFloatStorage\n" + text(b"0") + text(b"cpu") + b"K\x04tQ"
        tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00(" + huge * 3 + b"t(" + huge + huge + b"K\x01t" \
            + b"\x89ccollections\nOrderedDict\n(tRtR"
        return self.archive_of(b"\x80\x02}(" + text(b"w") + tensor + b"u.", b"\0" * 16)


if __name__ == "__main__":
    main()
