#!/usr/bin/python3
"""Promises P1 and P2, by the system calls of a real saving trainer: whatever a power cut leaves at any moment, the next
start finds what was acknowledged, whole. explorer.py says how, and what this does and does not cover.
"""

import collections
import re
import sys

sys.dont_write_bytecode = True
import mutations  # noqa: E402
from explorer import Explorer, Recoverer  # noqa: E402
from recording import FOREIGN, LIFE, MAX_KEEP, RecordingTest  # noqa: E402
from harness import main  # noqa: E402

# What the exploration says of each wrong log, in so many words.
EXPECTED = {
    mutations.no_directory_sync: "the acknowledged best model is lost",
    mutations.no_file_sync: "a sidecar stands without its content|is lost|the next start is refused",
    mutations.no_history_sync: "the history does not reach episode [0-9]+",
    mutations.sidecar_first: "a sidecar stands without its content",
    mutations.acknowledged_before_the_sync: "the acknowledged checkpoint of episode [0-9]+ is lost",
    mutations.prune_reversed: "a sidecar stands without its content",
    mutations.best_unlinked_first: "the acknowledged best model is lost",
    mutations.step_back_without_a_journal: "a mix of before and after the step back",
    mutations.step_back_that_deletes: "a mix of before and after the step back",
}
# Without syncs the possible states grow with the square of the log; that many violations prove the point.
ENOUGH = 100


def steps_back_of(life):
    """The runs that step back, and whether the best model was among what they set aside."""
    for at, step in enumerate(life):
        if step.kind == "run" and step.run.back_to is not None:
            until = next((i for i in range(at + 1, len(life)) if life[i].kind == "run"), len(life))
            yield step, any(moved.path == mutations.BEST and moved.kind == "rename" for moved in life[at:until])


class CrashTest(RecordingTest):
    def explore(self, life, **options):
        with Recoverer(self.program("recover_states")) as recoverer:
            return Explorer(recoverer, MAX_KEEP, options.pop("enough", None)).explore(life, **options)


class PowerCut(CrashTest):
    def test_p1_p2_after_any_call_of_a_real_trainer_leaves_what_was_acknowledged(self):
        life = self.record()
        self.assert_log_shows_a_whole_life(life)
        survey = self.explore(life)
        print(f"the real log: {survey}")
        self.assertEqual(survey.violations[:5], [], f"{len(survey.violations)} violations")
        self.assertEqual(survey.refused, 0, "starts were refused that nobody had to refuse")
        self.assertGreater(survey.crash_points, 300)
        self.assertGreater(survey.states, 300)

    def assert_log_shows_a_whole_life(self, life):
        """A log in which nothing happens would keep every promise."""
        kinds = collections.Counter(step.kind for step in life)
        said = b"".join(step.data for step in life if step.kind == "say")
        acknowledged = re.findall(rb"X_TRAINER_CHECKPOINT=\S*/(\w+\.pt)", said)
        print(f"recorded: {', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))}; "
              f"{len(acknowledged)} acknowledgements")
        self.assertGreaterEqual(kinds["run"], len(LIFE))
        self.assertGreater(kinds["sync"], 50)
        self.assertGreater(kinds["sync_directory"], 50)
        self.assertGreater(sum(name == b"best_model.pt" for name in acknowledged), 3)
        self.assertGreater(sum(name != b"best_model.pt" for name in acknowledged), 10)
        pruned = [step for step in life if step.kind == "unlink" and re.fullmatch(r"models/model_ep\d+\.pt", step.path)]
        aside = [step for step in life if step.kind == "rename" and step.to.startswith("models/superseded/")]
        self.assertGreater(len(pruned), 3)
        self.assertGreater(len(aside), 6)
        self.assertEqual(kinds["plant"], len(FOREIGN))
        steps_back = {run.run.label: best_goes for run, best_goes in steps_back_of(life)}
        self.assertEqual(set(steps_back.values()), {True, False}, f"the best model should go and stay: {steps_back}")


class NegativeControls(CrashTest):
    """The same exploration of logs that are wrong on purpose: it must complain, or its silence would mean nothing."""

    def test_each_wrong_order_of_calls_is_found(self):
        life = self.record()
        for mutation, expected in EXPECTED.items():
            with self.subTest(mutation.__name__):
                survey = self.explore(mutation(life), check_model=False, enough=ENOUGH)
                print(f"{mutation.__name__}: {survey}")
                self.assertGreater(len(survey.violations), 0, "the exploration did not notice")
                print(f"    first: {survey.violations[0]}")
                self.assertRegex("\n".join(survey.violations), expected)


if __name__ == "__main__":
    main()
