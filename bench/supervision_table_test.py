#!/usr/bin/python3
"""What the supervision tables say of samples made up for the case."""

import sys
import unittest

sys.dont_write_bytecode = True
from supervision_table import comparisons, render  # noqa: E402
from table import MIB, Samples  # noqa: E402


def samples_of(figure, **values):
    samples = Samples()
    for what, several in values.items():
        for value in several:
            samples.add(figure, 0, {"bare": "bare loop", "stopped": "ours: stopped"}.get(what, what), value)
    return samples


class Table(unittest.TestCase):
    def test_judges_a_restart_by_the_fastest_that_is_there(self):
        found = comparisons(samples_of("restart", ours=[0.0024], runsv=[0.004, 0.002, 0.001], monit=[2.0]))
        self.assertEqual([(c["peer"], round(c["ratio"], 3), c["reached"]) for c in found], [("runsv", 1.2, True)])
        self.assertFalse(comparisons(samples_of("restart", ours=[0.0025], runsv=[0.002]))[0]["reached"])

    def test_judges_nothing_where_there_is_nobody_to_compare_with(self):
        self.assertEqual(comparisons(samples_of("restart", ours=[0.002])), [])
        self.assertEqual(comparisons(samples_of("overhead", ours=[10])), [])

    def test_wants_a_rate_to_be_at_least_so_much(self):
        judged = [comparisons(samples_of("overhead", ours=[ours], bare=[100]))[0]["reached"] for ours in (99.1, 98.9, 101)]
        self.assertEqual(judged, [True, False, True])

    def test_wants_no_wake_up_at_all_of_a_stopped_one(self):
        judged = [comparisons(samples_of("wake-ups", stopped=[value]))[0]["reached"] for value in (0, 0.05)]
        self.assertEqual(judged, [True, False])

    def test_shows_everybody_the_quickest_first(self):
        samples = samples_of("restart", monit=[2.0], ours=[0.0021])
        samples.add("resident memory", 0, "ours", 8.5 * MIB)
        text = render(samples, {"system": "this one"}, {"monit": "slowly", "ours": "at once", "absent": "never"})
        self.assertIn("- system: this one\n", text)
        self.assertIn("| resident memory, silent worker | 8.5 MiB | – | – | ≤ 8 MiB | **no** |", text)
        ours = "| ours | 2.1 ms (2.1 ms … 2.1 ms) | 8.5 MiB | – | – | at once |"
        self.assertLess(text.index(ours), text.index("| monit | 2.00 s (2.00 s … 2.00 s) | – | – | – | slowly |"))
        self.assertNotIn("absent", text)


if __name__ == "__main__":
    unittest.main()
