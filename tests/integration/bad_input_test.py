#!/usr/bin/python3
"""Bad data, configurations and checkpoints, at the programs: a sentence that names the place, the worker contract's exit
status, nothing lost. The supervisor repeats the sentence, since that is what a person has in front of them."""

import re
import shutil
import sys

sys.dont_write_bytecode = True
from harness import DATA, ProgramTest, main  # noqa: E402

ROWS = DATA.read_text(encoding="utf-8").splitlines()


class BadInput(ProgramTest):
    needs = ("trainer-supervisor", "supervisorctl", "trainer")

    def both_refuse(self, status, *sentences):
        """The trainer says why and exits so, and the supervisor too, without trying again."""
        before = self.contents()
        for output in (self.train("--auto-resume").ends(status), self.supervise("--exit-when-done").ends(status)):
            for sentence in sentences:
                self.assertRegex(output, sentence)
        self.assertEqual(self.contents(), before)
        self.assert_nothing_left()
        return output


class Data(BadInput):
    def refused(self, rows, *sentences):
        file = self.folder / "prices.csv"
        if rows is not None:
            file.write_text(rows if isinstance(rows, str) else "\n".join(rows) + "\n", encoding="utf-8")
        self.configure(data={"path": "prices.csv"})
        output = self.both_refuse(65, r"prices\.csv", *sentences)
        self.assertIn("bad_data", output)

    @staticmethod
    def with_cell(row, column, text):
        cells = ROWS[row - 1].split(",")
        cells[ROWS[0].lower().split(",").index(column)] = text
        return [*ROWS[:row - 1], ",".join(cells), *ROWS[row:]]

    def test_missing(self):
        self.refused(None, "there is no such file")

    def test_empty(self):
        self.refused("", "empty")

    def test_a_header_and_no_rows(self):
        self.refused(ROWS[:1], "row")

    def test_too_short(self):
        self.refused(ROWS[:4], r"\d+ rows")

    def test_cut_short_in_the_middle_of_a_row(self):
        self.refused("\n".join(ROWS[:3000])[:-15], "3000")

    def test_a_price_that_is_no_number(self):
        self.refused(self.with_cell(1234, "close", "nan"), "1234", "close", "nan")

    def test_a_price_of_zero(self):
        self.refused(self.with_cell(77, "close", "0"), "77", "close")

    def test_a_negative_price(self):
        self.refused(self.with_cell(78, "low", "-12.5"), "78", "low")

    def test_a_cell_of_text(self):
        self.refused(self.with_cell(500, "volume", "many"), "500", "volume", "many")

    def test_dates_out_of_order(self):
        rows = list(ROWS)
        rows[99], rows[100] = rows[100], rows[99]
        self.refused(rows, "101", "date")

    def test_the_same_date_twice(self):
        self.refused([*ROWS[:100], ROWS[99], *ROWS[100:]], "101", "date")

    def test_a_column_that_is_missing(self):
        self.refused([",".join(row.split(",")[:-1]) for row in ROWS], "volume")

    def test_a_directory(self):
        (self.folder / "prices.csv").mkdir()
        self.refused(None, "directory")


class Configuration(BadInput):
    def refused(self, text, *sentences):
        self.config_file.write_text(text, encoding="utf-8")
        self.both_refuse(78, r"config\.yaml", *sentences)
        said = self.ctl("checkpoints")
        self.assertEqual(said.returncode, 2, said.stdout)
        self.assertRegex(said.stderr, sentences[0])
        self.assertFalse(self.models.exists())

    def test_an_unknown_key(self):
        self.refused("training:\n  episodes: 5\n  sed: 7\n", r":3:", r"sed", r"seed")

    def test_an_unknown_section(self):
        self.refused("training:\n  episodes: 5\ncheckpoint:\n  max_keep: 3\n", r":3:", r"checkpoints")

    def test_a_number_that_is_text(self):
        self.refused("training:\n  episodes: five\n", r":2:", r"training\.episodes", r"five")

    def test_a_duration_without_a_unit(self):
        self.refused("supervisor:\n  stop_timeout: 60\n", r":2:", r"stop_timeout", r"unit|60s")

    def test_a_value_out_of_range(self):
        self.refused("checkpoints:\n  max_keep: 0\n", r":2:", r"max_keep", r"1")

    def test_no_yaml(self):
        self.refused("training: {episodes: 5\n", r":\d+:")

    def test_a_file_that_is_not_there(self):
        self.config_file.unlink()
        self.both_refuse(78, r"config\.yaml")

    def test_an_unknown_option(self):
        for program in ("trainer", "trainer-supervisor"):
            result = self.run_program(program, "--confg", "x")
            self.assertEqual(result.returncode, 78, result.stdout + result.stderr)
            self.assertIn("--confg", result.stdout + result.stderr)


class Checkpoint(BadInput):
    def setUp(self):
        super().setUp()
        self.configure(training={"episodes": 30})
        self.train().ends(0)
        self.configure(training={"episodes": 60})

    def test_another_architecture(self):
        self.configure(dqn={"hidden": [16]})
        output = self.both_refuse(65, r"model_ep30\.pt does not fit this training", r"model\.\S+", r"\[8", r"\[16")
        self.assertEqual(self.episodes(), [10, 20, 30])
        self.assertIn("--fresh", output)

    def test_another_window(self):
        self.configure(trading={"window": 9})
        self.both_refuse(65, r"does not fit this training", r"model\.\S+")

    def test_by_hand_with_resume(self):
        self.configure(dqn={"hidden": [8, 8]})
        before = self.contents()
        output = self.train("--resume", "ep20").ends(65)
        self.assertRegex(output, r"model_ep20\.pt does not fit this training")
        self.assertEqual(self.contents(), before)

    def test_a_checkpoint_that_is_not_there(self):
        before = self.contents()
        for target, why in (("ep25", "there is no checkpoint"), ("sideways", "does not name a checkpoint"),
                            ("models/model_ep77.pt", "model_ep77")):
            output = self.train("--resume", target).ends(65)
            self.assertRegex(output, why)
            if why != "does not name a checkpoint":
                self.assertIn("ep30, ep20, ep10", output)
        self.assertEqual(self.contents(), before)

    def test_none_is_valid(self):
        for n in self.episodes():
            self.pair(n)[0].write_bytes(b"PK\x05\x06" + b"\0" * 18)
        (self.models / "best_model.pt").unlink()
        output = self.both_refuse(65, "none can be resumed from", "Nothing was changed", "--fresh")
        self.assertNotIn("Starting from the beginning", output)

    def test_none_is_valid_and_fresh_is_allowed(self):
        for n in self.episodes():
            self.pair(n)[0].write_bytes(b"damaged")
        (self.models / "best_model.pt").unlink()
        self.configure(restart={"allow_fresh": True})
        output = self.supervise("--exit-when-done").ends(0)
        self.assertIn("as restart.allow_fresh permits", output)
        self.assertIn("model_ep30.pt", self.set_aside("superseded"))
        self.assertEqual(self.episodes()[-1], 60)

    def test_a_sidecar_of_a_later_format(self):
        record = self.pair(30)[1]
        text = record.read_text(encoding="utf-8")
        record.write_text(re.sub(r'"format": 1', '"format": 2', text), encoding="utf-8")
        output = self.supervise("--exit-when-done").ends(0)
        self.assertRegex(output, r"rejected episode 30: .*format")
        self.assertIn("Auto-resuming from episode 20: models/model_ep20.pt", output)

    def test_sidecars_of_rubbish(self):
        for n, text in ((30, "{"), (20, "[" * 5000)):
            self.pair(n)[1].write_text(text, encoding="utf-8")
        output = self.supervise("--exit-when-done").ends(0)
        self.assertIn("Auto-resuming from episode 10: models/model_ep10.pt", output)
        self.assertEqual([n for n in self.set_aside("quarantine") if n.endswith(".pt")], ["model_ep20.pt", "model_ep30.pt"])

    def test_the_checkpoint_of_another_run_is_not_mistaken_for_ours(self):
        shutil.copytree(self.models, self.folder / "other")
        self.supervise("--fresh", "--exit-when-done").ends(0)
        for kind in ("pt", "json"):
            shutil.copy(self.folder / f"other/model_ep30.{kind}", self.models / f"model_ep90.{kind}")
        record = self.models / "model_ep90.json"
        record.write_text(record.read_text(encoding="utf-8").replace('"episode": 30', '"episode": 90')
                          .replace("model_ep30.pt", "model_ep90.pt"), encoding="utf-8")
        self.configure(training={"episodes": 80})
        output = self.supervise("--exit-when-done").ends(0)
        self.assertRegex(output, r"rejected episode 90: .*belongs to another run")
        self.assertIn("Auto-resuming from episode 60: models/model_ep60.pt", output)


class State(BadInput):
    def test_a_broken_state_file_is_passed_over_and_the_training_goes_on(self):
        self.supervise("--exit-when-done")
        self.saved(50)
        self.kill_everything()
        newest = self.episodes()[-1]
        for name in ("state.json", "state.json.bak"):
            (self.models / ".supervisor" / name).write_bytes(b"\0\xff{")
        output = self.supervise("--exit-when-done").ends(0)
        self.assertIn("passing over models/.supervisor/state.json", output)
        self.assertIn(f"Auto-resuming from episode {newest}: models/model_ep{newest}.pt", output)


if __name__ == "__main__":
    main()
