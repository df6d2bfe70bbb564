#!/usr/bin/python3
"""What the table says of samples made up for the case."""

import sys
import unittest

sys.dont_write_bytecode = True
from table import MIB, Samples, comparisons, duration, parts, render  # noqa: E402


def samples_of(**seconds):
    samples = Samples()
    for what, values in seconds.items():
        for value in values:
            samples.add("durable", 64 * MIB, {"peer": "dd conv=fsync", "ours": "ours", "part": "ours: write"}[what], value)
    return samples


class Table(unittest.TestCase):
    def test_judges_by_the_ratio_of_the_medians(self):
        near = comparisons(samples_of(ours=[1.2, 9.0, 1.3], peer=[1.0]))
        far = comparisons(samples_of(ours=[1.31, 0.1, 9.0], peer=[1.0]))
        self.assertEqual([(c["ratio"], c["reached"]) for c in near + far], [(1.3, True), (1.31, False)])

    def test_leaves_out_what_has_no_peer_to_be_compared_with(self):
        self.assertEqual(comparisons(samples_of(ours=[1.0])), [])
        self.assertEqual(comparisons(samples_of(peer=[1.0])), [])

    def test_judges_what_has_no_peer_by_its_time(self):
        samples = Samples()
        samples.add("scan", 10, "ours", 0.099)
        samples.add("scan", 10, "ours: newest 100 damaged", 0.101)
        self.assertEqual([c["reached"] for c in comparisons(samples)], [True, False])

    def test_shows_parts_apart_from_what_is_judged(self):
        samples = samples_of(ours=[1.0], peer=[1.0], part=[0.25, 0.5, 0.75])
        self.assertEqual([(p["what"], p["median"], p["max"]) for p in parts(samples)], [("write", 0.5, 0.75)])
        self.assertIn("| durable: write | 64 MiB | 500 ms (250 ms … 750 ms) |", render(samples, {}, 1, 3))

    def test_reads_the_programs_lines_and_passes_over_others(self):
        samples = Samples()
        samples.add_lines('episode 1/9 saved (schedule): x.pt\n'
                          '{"figure":"verify","bytes":5,"what":"ours","seconds":2.5E-1}\n')
        self.assertEqual(samples.get("verify", 5, "ours"), [0.25])

    def test_writes_durations_for_people(self):
        self.assertEqual([duration(s) for s in (2.0, 0.9994, 0.0123, 0.0000456, 0.00000002)],
                         ["2.00 s", "999 ms", "12.3 ms", "45.6 µs", "20 ns"])


if __name__ == "__main__":
    unittest.main()
