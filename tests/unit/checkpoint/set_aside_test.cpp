// Going back and starting fresh: everything newer is moved, nothing is deleted, and whatever interrupts it, the next
// recovery ends in one state or the other.
#include "common/checkpoint/set_aside.h"

#include <cerrno>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "common/checkpoint/digest.h"
#include "tests/support/fake_file_system.h"
#include "tests/unit/checkpoint/shadow_disk.h"
#include "tests/unit/checkpoint/support.h"

namespace ts::checkpoint {
namespace {

namespace fs = std::filesystem;

const StoreWriter::BestBy kByProfit{"profit", true};

// Episodes 9 (profit 5), 10 (profit 2) and 100 (profit 8), and the best of them.
void fill(const fs::path& path) {
  Models models(path);
  ASSERT_TRUE(models.writer.recover());
  commit(models, 9, 5.0);
  commit(models, 10, 2.0);
  commit(models, 100, 8.0);
  ASSERT_TRUE(models.writer.commit_best(small_archive(100), sidecar_for(100, 8.0)));
  write_text(path / "notes.txt", "mine");
}

std::string usable(const fs::path& path) {
  const auto directory = Directory::open(path, Directory::Create::no);
  std::string out;
  const Store store(*directory);
  const auto listing = store.list();
  for (const auto& [episode, files] : listing->episodes) {
    if (store.verify(episode)) out += "ep" + std::to_string(episode) + " ";
  }
  const auto best = store.verify_best();
  return out + "best " + (best ? std::to_string(best->sidecar.episode) : "none");
}

// Digests of every archive, wherever it lies.
std::set<std::string> archives_below(const fs::path& path) {
  std::set<std::string> digests;
  for (const auto& [name, content] : snapshot(path)) {
    if (name.ends_with(".pt")) digests.insert(digest_of(bytes_of(content)));
  }
  return digests;
}

TEST(GoingBack, MovesWhatIsNewerAndRemakesTheBestOfWhatRemains) {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "models";
  fill(path);
  const auto before = archives_below(path);
  {
    Models models(path);
    const auto notes = models.writer.set_aside_newer_than(10, kByProfit);
    ASSERT_TRUE(notes) << notes.error().message;
    EXPECT_EQ(notes->size(), 2U);
    EXPECT_TRUE(contains(notes->front(), "nothing was deleted")) << notes->front();
  }
  EXPECT_EQ(usable(path), "ep9 ep10 best 9");
  EXPECT_EQ(archives_below(path), before);
  EXPECT_FALSE(fs::exists(path / kIntentFile));
  std::size_t moved = 0;
  for (const std::string& name : names_below(path / kSupersededDirectory)) {
    EXPECT_TRUE(contains(name, "newer-than-ep10")) << name;
    moved += name.ends_with('/') ? 0 : 1;
  }
  EXPECT_EQ(moved, 4U);  // both files of episode 100 and of the best model
  EXPECT_EQ(read_text(path / "notes.txt"), "mine");
}

TEST(GoingBack, KeepsABestModelThatIsNotNewer) {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "models";
  {
    Models models(path);
    commit(models, 9, 9.0);
    ASSERT_TRUE(models.writer.commit_best(small_archive(9), sidecar_for(9, 9.0)));
    commit(models, 10, 1.0);
    ASSERT_TRUE(models.writer.set_aside_newer_than(9, kByProfit));
  }
  EXPECT_EQ(usable(path), "ep9 best 9");
}

TEST(GoingBack, ChoosesTheBestByItsMetricAndDirectionAmongThoseThatVerify) {
  for (const bool maximize : {true, false}) {
    const TemporaryDirectory temporary;
    const auto path = temporary.path() / "models";
    fill(path);
    Models models(path);
    commit(models, 8, maximize ? 7.0 : 1.0);  // would be the best, but is damaged
    write_text(path / archive_name(8), "damaged");
    ASSERT_TRUE(models.writer.set_aside_newer_than(10, {"profit", maximize}));
    EXPECT_EQ(usable(path), maximize ? "ep9 ep10 best 9" : "ep9 ep10 best 10");  // and not 8
  }
}

TEST(GoingBack, MovesNothingWhenNothingIsNewer) {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "models";
  fill(path);
  const auto before = snapshot(path);
  Models models(path);
  const auto notes = models.writer.set_aside_newer_than(100, kByProfit);
  ASSERT_TRUE(notes);
  EXPECT_TRUE(notes->empty());
  EXPECT_EQ(snapshot(path), before);
}

TEST(AFreshStart, MovesEverythingAndDeletesNothing) {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "models";
  fill(path);
  const auto before = archives_below(path);
  Models models(path);
  ASSERT_TRUE(models.writer.set_aside_newer_than(-1, kByProfit));
  EXPECT_EQ(usable(path), "best none");
  EXPECT_FALSE(models.store.list()->holds_checkpoint_files());
  EXPECT_EQ(archives_below(path), before);
  commit(models, 9, 1.0);  // and the way is free
  EXPECT_EQ(usable(path), "ep9 best none");
}

TEST(AFreshStart, TwiceKeepsBothGenerations) {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "models";
  Models models(path);
  for (int generation = 0; generation < 2; ++generation) {
    commit(models, 9, generation);
    ASSERT_TRUE(models.writer.set_aside_newer_than(-1, kByProfit));
  }
  std::size_t archives = 0;
  for (const std::string& name : names_below(path)) archives += name.ends_with("model_ep9.pt") ? 1 : 0;
  EXPECT_EQ(archives, 2U);
}

struct Goal {
  Episode newer_than;
  const char* before;
  const char* after;
};
constexpr Goal kGoals[] = {{9, "ep9 ep10 ep100 best 100", "ep9 best 9"},
                           {10, "ep9 ep10 ep100 best 100", "ep9 ep10 best 9"},
                           {-1, "ep9 ep10 ep100 best 100", "best none"}};

// After recovery: one state or the other, nothing deleted, nothing left to do.
// `passed_over` says that a checkpoint could not be read when the best model was made anew.
void check_one_or_the_other(const fs::path& path, const Goal& goal, bool acknowledged,
                            const std::set<std::string>& archives, bool passed_over = false) {
  {
    FakeFileSystem healthy;
    Models models(path, healthy);
    const auto recovered = models.writer.recover();
    ASSERT_TRUE(recovered) << recovered.error().message;
    const auto again = models.writer.recover();
    ASSERT_TRUE(again);
    EXPECT_TRUE(again->empty()) << again->front();
  }
  const std::string state = usable(path);
  if (passed_over) {
    EXPECT_TRUE(std::string_view(goal.after).starts_with(state.substr(0, state.find("best")))) << state;
  } else if (acknowledged) {
    EXPECT_EQ(state, goal.after);
  } else {
    EXPECT_TRUE(state == goal.after || state == goal.before) << state;
  }
  EXPECT_EQ(archives_below(path), archives);
  EXPECT_EQ(read_text(path / "notes.txt"), "mine");
  for (const std::string& name : names_below(path)) {
    EXPECT_FALSE(contains(name, ".tmp-") || contains(name, "intent") || contains(name, ".next")) << name;
  }
}

void interrupt_everywhere(const Goal& goal, Fault fault) {
  for (fault.at = 1;; ++fault.at) {
    SCOPED_TRACE("newer than " + std::to_string(goal.newer_than) + ", fault at call " + std::to_string(fault.at));
    const TemporaryDirectory temporary;
    const auto path = temporary.path() / "models";
    fill(path);
    const auto archives = archives_below(path);
    FakeFileSystem fake(fault);
    bool acknowledged = false;
    bool passed_over = false;
    std::string refusal;
    try {
      fake.plan({});
      Models models(path, fake);
      fake.plan(fault);
      for (int attempt = 0; attempt < 2 && !acknowledged; ++attempt) {  // the one who asked may ask again
        const auto notes = models.writer.set_aside_newer_than(goal.newer_than, kByProfit);
        acknowledged = notes.has_value();
        if (!notes) refusal = notes.error().message;
        for (const std::string& note : notes ? *notes : Notes()) passed_over = passed_over || note.starts_with("not ");
      }
      if (!fault.for_ever) {
        EXPECT_TRUE(acknowledged) << refusal;
      }
    } catch (const ProcessDied&) {
    }
    EXPECT_TRUE(fake.violations().empty());
    check_one_or_the_other(path, goal, acknowledged, archives, passed_over);
    if (fake.counted_calls() < fault.at || testing::Test::HasFailure()) return;
  }
}

TEST(GoingBack, P1_EndsInOneStateOrTheOtherWhereverTheProcessDies) {
  for (const Goal& goal : kGoals) interrupt_everywhere(goal, {Fault::Kind::death, Fault::Calls::changes, 0, 1, false});
}

TEST(GoingBack, P8_EndsInOneStateOrTheOtherWhereverACallFails) {
  for (const Goal& goal : kGoals) interrupt_everywhere(goal, {Fault::Kind::error, Fault::Calls::all, EIO, 1, false});
}

TEST(GoingBack, P8_EndsInOneStateOrTheOtherWhenTheDiskFillsUpForGood) {
  for (const Goal& goal : kGoals) {
    interrupt_everywhere(goal, {Fault::Kind::error, Fault::Calls::changes, ENOSPC, 1, true});
  }
}

TEST(GoingBack, P1_EndsInOneStateOrTheOtherWheneverThePowerGoes) {
  for (const Goal& goal : kGoals) {
    const TemporaryDirectory temporary;
    const auto path = temporary.path() / "models";
    fill(path);
    const auto archives = archives_below(path);
    FakeFileSystem fake;
    ShadowDisk disk(path, fake);
    std::set<std::pair<DiskImage, bool>> states;
    bool acknowledged = false;
    const auto look = [&] {
      for (DiskImage& image : disk.images()) states.emplace(std::move(image), acknowledged);
    };
    disk.after_change = look;
    {
      Models models(path, disk);
      acknowledged = models.writer.set_aside_newer_than(goal.newer_than, kByProfit).has_value();
    }
    disk.after_change = {};
    look();
    EXPECT_TRUE(acknowledged);
    EXPECT_GT(states.size(), 20U);
    for (const auto& [image, promised] : states) {
      const auto after_cut = temporary.path() / "after-cut";
      write_image(image, after_cut);
      check_one_or_the_other(after_cut, goal, promised, archives);
      fs::remove_all(after_cut);
      if (HasFailure()) return;
    }
  }
}

TEST(GoingBack, TakesThePinsAlongWhereverTheProcessDies) {
  for (std::size_t at = 1;; ++at) {
    SCOPED_TRACE("death at change " + std::to_string(at));
    const TemporaryDirectory temporary;
    const auto path = temporary.path() / "models";
    fill(path);
    write_text(path / pin_name(9), "");
    write_text(path / pin_name(100), "");
    FakeFileSystem fake;
    try {
      Models models(path, fake);
      fake.plan({Fault::Kind::death, Fault::Calls::changes, 0, at, false});
      ASSERT_TRUE(models.writer.set_aside_newer_than(10, kByProfit));
    } catch (const ProcessDied&) {
    }
    const bool pair_stands = fs::exists(path / sidecar_name(100)) || fs::exists(path / archive_name(100));
    EXPECT_TRUE(!pair_stands || fs::exists(path / pin_name(100))) << "a pinned pair stands without its pin";
    const bool under_way = fs::exists(path / kIntentFile) || !pair_stands;
    Models models(path);
    ASSERT_TRUE(models.writer.recover());
    EXPECT_TRUE(fs::exists(path / pin_name(9)));
    EXPECT_EQ(fs::exists(path / pin_name(100)), !under_way);
    bool moved = false;
    for (const std::string& name : names_below(path)) moved = moved || name.ends_with("/model_ep100.pin");
    EXPECT_EQ(moved, under_way);
    if (!fake.fired()) break;
  }
}

TEST(AnIntent, IsRefusedWhenItWouldMoveAnythingElsewhere) {
  const std::string right = to_json(Intent{10, "2026-newer-than-ep10", "profit", true});
  ASSERT_EQ(*parse_intent(right, "i"), (Intent{10, "2026-newer-than-ep10", "profit", true}));
  for (const std::string destination : {"../elsewhere", "/etc", "..", ".", "", "a/b", ".hidden"}) {
    const auto parsed = parse_intent(to_json(Intent{10, destination, "profit", true}), "i");
    ASSERT_FALSE(parsed) << destination;
    EXPECT_EQ(parsed.error().kind, ErrorKind::checkpoint);
  }
  for (const std::string_view text :
       {"", "{}", "[]", R"({"format": 2, "newer_than": 1, "destination": "d", "metric": "m", "maximize": true})",
        R"({"format": 1, "newer_than": -2, "destination": "d", "metric": "m", "maximize": true})",
        R"({"format": 1, "newer_than": 1.5, "destination": "d", "metric": "m", "maximize": true})",
        R"({"format": 1, "newer_than": 1, "destination": "d", "metric": "m", "maximize": 1})"}) {
    EXPECT_FALSE(parse_intent(text, "i")) << text;
  }
}

TEST(AnIntent, ThatIsDamagedStopsRecoveryWithASentenceAndTouchesNothing) {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "models";
  fill(path);
  write_text(path / kIntentFile, "{\"format\": 1, \"destination\": \"../../x\"}");
  const auto before = snapshot(path);
  Models models(path);
  const auto recovered = models.writer.recover();
  ASSERT_FALSE(recovered);
  EXPECT_TRUE(contains(recovered.error().message, "then remove this file")) << recovered.error().message;
  EXPECT_EQ(snapshot(path), before);
}

TEST(Quarantine, TakesOnlyWhatIsProvenDamagedAndDeletesNothing) {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "models";
  fill(path);
  fs::remove(path / archive_name(100));  // the best model is another name of the same file
  write_text(path / archive_name(100), "damaged");
  write_text(path / pin_name(100), "");
  Models models(path);
  const Rejection rejected[] = {
      {100, "damaged", Damage::proven}, {10, "unreadable", Damage::unproven}, {77, "vanished", Damage::proven}};
  const auto notes = models.writer.quarantine(rejected);
  ASSERT_TRUE(notes);
  EXPECT_EQ(notes->size(), 1U);
  EXPECT_EQ(usable(path), "ep9 ep10 best 100");
  bool kept = false;
  for (const auto& [name, content] : snapshot(path / kQuarantineDirectory)) {
    if (name.ends_with("model_ep100.pt")) kept = content == "damaged";
  }
  EXPECT_TRUE(kept);
  EXPECT_TRUE(models.store.list()->pinned.empty()) << "its pin goes along";
}

}  // namespace
}  // namespace ts::checkpoint
