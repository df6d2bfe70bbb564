// P1, P2, P8: every call that a saving run makes fails once, or from then on, or is the last one of its process. After
// each of these runs every promise is looked at, before recovery, after it, and after a power cut on top.
#include <cerrno>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/fake_file_system.h"
#include "tests/unit/checkpoint/crash_rig.h"
#include "tests/unit/checkpoint/shadow_disk.h"
#include "tests/unit/checkpoint/support.h"

namespace ts::checkpoint {
namespace {

std::string listed(const std::vector<std::string>& sentences) {
  std::string out;
  for (const std::string& sentence : sentences) out += "\n  " + sentence;
  return out;
}

struct Outcome {
  std::size_t calls = 0;
  bool fired = false;
  Promises promises;
};

// One run with one fault, and all the looks at what it left.
Outcome run_with(const Fault& fault) {
  const TemporaryDirectory temporary;
  const auto models = temporary.path() / "models";
  std::filesystem::create_directory(models);
  plant_foreign_files(models);

  Outcome outcome;
  FakeFileSystem fake(fault);
  ShadowDisk disk(models, fake);
  try {
    train(models, disk, outcome.promises);
  } catch (const ProcessDied&) {
  }
  outcome.calls = fake.counted_calls();
  outcome.fired = fake.fired();
  EXPECT_TRUE(fake.violations().empty()) << listed(fake.violations());

  // A power cut right after the trouble may take only what was never acknowledged.
  const auto after_cut = temporary.path() / "after-cut";
  write_image(disk.images().front(), after_cut);
  const auto lost = broken_after_recovery(after_cut, outcome.promises);
  EXPECT_TRUE(lost.empty()) << "after a power cut:" << listed(lost);

  const auto left = broken_after_recovery(models, outcome.promises);
  EXPECT_TRUE(left.empty()) << listed(left);

  // The trouble is over: the same directory serves the next process.
  FakeFileSystem healthy;
  train(models, healthy, outcome.promises);
  EXPECT_EQ(outcome.promises.must.size(), 2U);
  const auto later = broken_after_recovery(models, outcome.promises);
  EXPECT_TRUE(later.empty()) << "in the next process:" << listed(later);
  return outcome;
}

struct Trouble {
  const char* name;
  Fault fault;
};

std::ostream& operator<<(std::ostream& out, const Trouble& trouble) {
  return out << trouble.name;
}

std::string name_of(const testing::TestParamInfo<Trouble>& test) {
  return test.param.name;
}

class Faults : public testing::TestWithParam<Trouble> {};

TEST_P(Faults, P1P2P8_AtAnyCallCostNoAcknowledgedCheckpoint) {
  Fault fault = GetParam().fault;
  std::size_t runs = 0;
  for (fault.at = 1;; ++fault.at) {
    SCOPED_TRACE(std::string(GetParam().name) + " at call " + std::to_string(fault.at));
    const Outcome outcome = run_with(fault);
    if (outcome.calls < fault.at) break;
    ++runs;
    // P8: training goes on and saving is retried, so one hiccup costs no save at all.
    if (!fault.for_ever && fault.kind != Fault::Kind::death) {
      EXPECT_TRUE(outcome.promises.must.contains(100));
      EXPECT_TRUE(outcome.promises.best_must);
    }
    if (HasFailure()) break;  // one position is enough to read
  }
  EXPECT_GT(runs, 50U) << "the rig has hardly done anything";
  RecordProperty("positions", static_cast<int>(runs));
}

constexpr Fault error_at_any_call(int error, bool for_ever) {
  return {Fault::Kind::error, Fault::Calls::all, error, 1, for_ever};
}

constexpr Fault error_at_any_change(int error, bool for_ever) {
  return {Fault::Kind::error, Fault::Calls::changes, error, 1, for_ever};
}

INSTANTIATE_TEST_SUITE_P(
    Once, Faults,
    testing::Values(Trouble{"EIO", error_at_any_call(EIO, false)}, Trouble{"EINTR", error_at_any_call(EINTR, false)},
                    Trouble{"ENOSPC", error_at_any_change(ENOSPC, false)},
                    Trouble{"EDQUOT", error_at_any_change(EDQUOT, false)},
                    Trouble{"EFBIG", error_at_any_change(EFBIG, false)},
                    Trouble{"EROFS", error_at_any_change(EROFS, false)},
                    Trouble{"EMFILE", error_at_any_call(EMFILE, false)},
                    Trouble{"ShortWrite", {Fault::Kind::short_write, Fault::Calls::changes, 0, 1, false}},
                    Trouble{"Death", {Fault::Kind::death, Fault::Calls::changes, 0, 1, false}}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    ForEverAfter, Faults,
    testing::Values(Trouble{"EIO", error_at_any_call(EIO, true)}, Trouble{"ENOSPC", error_at_any_change(ENOSPC, true)},
                    Trouble{"EROFS", error_at_any_change(EROFS, true)},
                    Trouble{"ShortWrites", {Fault::Kind::short_write, Fault::Calls::changes, 0, 1, true}}),
    name_of);

// A disk on which save after save is refused half-way must not fill up with what those leave.
TEST(ARefusedSave, P8_LeavesNothingBehindWhateverCallFailed) {
  for (const int error : {ENOSPC, EIO}) {
    for (std::size_t at = 1;; ++at) {
      SCOPED_TRACE("errno " + std::to_string(error) + " at change " + std::to_string(at));
      const TemporaryDirectory temporary;
      FakeFileSystem fake;
      Models models(temporary.path() / "models", fake);
      commit(models, 10);
      const auto before = names_below(temporary.path());
      fake.plan({Fault::Kind::error, Fault::Calls::changes, error, at, false});
      const auto committed = models.writer.commit(small_archive(20), sidecar_for(20, 1.0));
      if (fake.counted_calls() < at) {
        EXPECT_TRUE(committed);
        EXPECT_GT(at, 6U) << "the rig has hardly done anything";
        break;
      }
      if (committed) continue;
      // After the sidecar has its name only the proof is missing that it will last: the pair is kept.
      if (!models.store.verify(20)) {
        EXPECT_EQ(names_below(temporary.path()), before);
      }
    }
  }
}

// P2: another state under an episode that exists (a run taken back to where it began): if it is refused, the old pair
// stands again.
TEST(ARefusedSave, P2_OverAValidPairLeavesAValidPair) {
  for (std::size_t at = 1;; ++at) {
    SCOPED_TRACE("change " + std::to_string(at));
    const TemporaryDirectory temporary;
    FakeFileSystem fake;
    Models models(temporary.path() / "models", fake);
    commit(models, 10);
    fake.plan({Fault::Kind::error, Fault::Calls::changes, EIO, at, false});
    const auto committed = models.writer.commit(small_archive(77), sidecar_for(10, 1.0));
    if (fake.counted_calls() < at) {
      EXPECT_TRUE(committed);
      EXPECT_GT(at, 10U) << "the rig has hardly done anything";
      break;
    }
    const auto there = models.store.verify(10);
    EXPECT_TRUE(there) << there.error().message;
  }
}

// P1: what the next process finds and goes on from must not vanish in a later power cut, although its writer died
// before it could sync the name.
TEST(ADeath, P1_LeavesNothingToChooseThatALaterPowerCutTakes) {
  for (std::size_t at = 1;; ++at) {
    SCOPED_TRACE("death at change " + std::to_string(at));
    const TemporaryDirectory temporary;
    const auto models = temporary.path() / "models";
    std::filesystem::create_directory(models);
    FakeFileSystem fake({Fault::Kind::death, Fault::Calls::changes, 0, at, false});
    ShadowDisk disk(models, fake);
    Promises promises;
    try {
      train(models, disk, promises);
    } catch (const ProcessDied&) {
    }
    if (!fake.fired()) break;
    fake.plan({});
    std::optional<Choice> before;
    {
      Models next(models, disk);
      ASSERT_TRUE(next.writer.recover());
      before = *next.store.choose_newest(kRun);
    }
    const auto after_cut = temporary.path() / "after-cut";
    write_image(disk.images().front(), after_cut);
    Models later(after_cut);
    const auto after = later.store.choose_newest(kRun);
    ASSERT_EQ(before->newest.has_value(), after->newest.has_value());
    if (before->newest) {
      EXPECT_EQ(before->newest->sidecar.episode, after->newest->sidecar.episode);
    }
  }
}

}  // namespace
}  // namespace ts::checkpoint
