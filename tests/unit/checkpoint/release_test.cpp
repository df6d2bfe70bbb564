// Out of quarantine again: whatever interrupts it, the pair is whole in one place or the other, and nothing is lost.
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "common/checkpoint/pins.h"
#include "common/checkpoint/resume_choice.h"
#include "common/checkpoint/set_aside.h"
#include "tests/support/fake_file_system.h"
#include "tests/unit/checkpoint/shadow_disk.h"
#include "tests/unit/checkpoint/support.h"

namespace ts::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWhy = "2 workers in a row died of it.";

// The folders bear the time in milliseconds, and which is newer is told by that; no two deaths of workers are so close.
void condemn(Models& models, Episode episode, const std::string& why = kWhy) {
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  ASSERT_TRUE(models.writer.quarantine(std::vector<Rejection>{{episode, why, Damage::proven}}));
}

// Episodes 10 and 20; 20 is pinned and in quarantine.
void fill(const fs::path& path) {
  Models models(path);
  ASSERT_TRUE(models.writer.recover());
  commit(models, 10);
  commit(models, 20);
  ASSERT_EQ(*pin(models.directory, 20), PinChange::made);
  condemn(models, 20);
  write_text(path / "notes.txt", "mine");
}

// The folders of quarantine/ in which episode 20 verifies, and "." where it stands in its place.
std::set<std::string> places_of_20(const fs::path& path) {
  std::set<std::string> places;
  const auto look = [&](const fs::path& folder, const std::string& name) {
    const auto directory = Directory::open(folder, Directory::Create::no);
    if (directory && Store(*directory).verify(20)) places.insert(name);
  };
  look(path, ".");
  if (!fs::exists(path / kQuarantineDirectory)) return places;
  for (const auto& entry : fs::directory_iterator(path / kQuarantineDirectory)) {
    look(entry.path(), entry.path().filename().string());
  }
  return places;
}

class Release : public testing::Test {
 protected:
  void SetUp() override { fill(path_); }

  fs::path folder() const { return fs::directory_iterator(path_ / kQuarantineDirectory)->path(); }
  Result<StoreWriter::Released> release(Episode episode = 20) { return Models(path_).writer.release(episode); }
  void is_refused(Episode episode, ErrorKind kind, const std::string& part) {
    const auto before = snapshot(path_);
    const auto refused = release(episode);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, kind) << refused.error().message;
    EXPECT_TRUE(contains(refused.error().message, part)) << refused.error().message;
    EXPECT_EQ(snapshot(path_), before);
  }

  TemporaryDirectory temporary_;
  fs::path path_ = temporary_.path() / "models";
};

TEST_F(Release, P11_PutsThePairAndItsPinBackAndTellsWhyItWasAway) {
  const auto aside = folder();
  EXPECT_EQ(read_text(aside / kReasonFile), std::string(kWhy) + "\n");
  const auto record = read_text(aside / sidecar_name(20));
  const auto released = release();
  ASSERT_TRUE(released) << released.error().message;
  EXPECT_EQ(released->why, kWhy);
  EXPECT_EQ(released->from, aside);
  EXPECT_TRUE(released->pinned);
  EXPECT_EQ(places_of_20(path_), std::set<std::string>{"."});
  EXPECT_EQ(read_text(path_ / sidecar_name(20)), record);
  EXPECT_TRUE(fs::exists(path_ / pin_name(20)));
  EXPECT_EQ(names_below(aside), std::set<std::string>{std::string(kReasonFile)});
  EXPECT_EQ(read_text(path_ / "notes.txt"), "mine");
}

TEST_F(Release, TakesTheNewestThatVerifiesAndLeavesTheOthers) {
  Models models(path_);
  const auto first = folder();
  ASSERT_TRUE(models.writer.commit(small_archive(21), sidecar_for(20, 2.0)));
  condemn(models, 20, "the second time.");
  ASSERT_TRUE(models.writer.commit(small_archive(22), sidecar_for(20, 3.0)));
  write_text(path_ / archive_name(20), "damaged");
  condemn(models, 20, "damaged.");
  const auto released = models.writer.release(20);
  ASSERT_TRUE(released) << released.error().message;
  EXPECT_EQ(released->why, "the second time.");
  EXPECT_EQ(released->sidecar.metrics.at("profit").as_double(), 2.0);
  EXPECT_EQ(places_of_20(path_), (std::set<std::string>{".", first.filename().string()}));
}

TEST_F(Release, P7_RefusesADamagedOneWithItsReasonAndChangesNothing) {
  write_text(folder() / archive_name(20), "damaged");
  is_refused(20, ErrorKind::checkpoint, "it is cut short");
}

TEST_F(Release, RefusesWhatIsNotThereAndSaysWhatIs) {
  is_refused(30, ErrorKind::not_found, "quarantine holds nothing of episode 30; ep20 can be put back.");
  fs::remove_all(path_ / kQuarantineDirectory);
  is_refused(20, ErrorKind::not_found, "nothing lies there");
}

TEST_F(Release, LeavesAFolderThatIsNoLongerOffered) {
  {
    Models models(path_);
    condemn(models, 10);
    ASSERT_TRUE(models.writer.release(20));
  }
  is_refused(30, ErrorKind::not_found, "holds nothing of episode 30; ep10 can be put back.");
  fs::remove(path_ / archive_name(20));
  fs::remove(path_ / sidecar_name(20));
  is_refused(20, ErrorKind::not_found, "holds nothing of episode 20; ep10 can be put back.");
}

TEST_F(Release, P2_RefusesToTakeThePlaceOfAnother) {
  {
    Models models(path_);
    ASSERT_TRUE(models.writer.commit(small_archive(21), sidecar_for(20, 2.0)));
  }
  is_refused(20, ErrorKind::cannot_write, "there is a " + (path_ / sidecar_name(20)).string() + " already");
  fs::remove(path_ / sidecar_name(20));
  is_refused(20, ErrorKind::cannot_write, "there is a " + (path_ / archive_name(20)).string() + " already");
}

TEST_F(Release, P7_FollowsNoLinkOutOfTheDirectory) {
  const auto elsewhere = temporary_.path() / "elsewhere";
  fs::rename(path_ / kQuarantineDirectory, elsewhere);
  fs::create_directory_symlink(elsewhere, path_ / kQuarantineDirectory);
  const auto refused = release();
  ASSERT_FALSE(refused);
  EXPECT_TRUE(contains(refused.error().message, "not followed") || contains(refused.error().message, "directory"))
      << refused.error().message;
  EXPECT_EQ(places_of_20(elsewhere.parent_path()), std::set<std::string>{});
}

TEST_F(Release, WorksWhereTheFileSystemHasNoHardLinks) {
  // The first link is that of the archive; the calls before it are counted by looking for the one that is a link.
  bool copied = false;
  for (std::size_t at = 1; !copied && at < 60; ++at) {
    const TemporaryDirectory temporary;
    const auto path = temporary.path() / "models";
    fill(path);
    FakeFileSystem fake;
    Models models(path, fake);
    fake.plan({Fault::Kind::error, Fault::Calls::all, EPERM, at, false});
    if (!models.writer.release(20)) continue;
    const bool whole = places_of_20(path) == std::set<std::string>{"."};
    copied = whole && fake.fired() && fs::hard_link_count(path / archive_name(20)) == 1;
  }
  EXPECT_TRUE(copied);
}

// What the next start does: recovery, choosing, and moving what was rejected.
void start(const fs::path& path) {
  Models models(path);
  ASSERT_TRUE(models.writer.recover());
  const auto choice = choose_resume_point(models.store, kRun);
  ASSERT_TRUE(choice) << choice.error().message;
  ASSERT_TRUE(models.writer.quarantine(choice->rejected));
  ASSERT_TRUE(models.writer.quarantine_uncommitted_before(choice->chosen->sidecar.episode));
}

// Before and after the next start the pair is whole somewhere, and it can still be put back.
void check_kept(const fs::path& path, bool acknowledged) {
  const auto whole = places_of_20(path);
  ASSERT_FALSE(whole.empty()) << "lost";
  EXPECT_TRUE(!acknowledged || whole.contains(".")) << "it was said to be back";
  const bool pinned = fs::exists(path / pin_name(20));
  EXPECT_TRUE(!whole.contains(".") || pinned) << "it is back without its pin";
  start(path);
  EXPECT_EQ(places_of_20(path), whole);
  for (const std::string& name : names_below(path)) EXPECT_FALSE(contains(name, ".tmp-")) << name;
  EXPECT_EQ(read_text(path / "notes.txt"), "mine");
  Models models(path);
  EXPECT_TRUE(models.store.verify(10));
  if (!whole.contains(".")) {
    EXPECT_FALSE(fs::exists(path / archive_name(20))) << "a leftover was not swept";
    const auto again = models.writer.release(20);
    EXPECT_TRUE(again) << again.error().message;
  }
  EXPECT_TRUE(models.store.verify(20));
}

void interrupt_everywhere(Fault fault) {
  for (fault.at = 1;; ++fault.at) {
    SCOPED_TRACE("fault at call " + std::to_string(fault.at));
    const TemporaryDirectory temporary;
    const auto path = temporary.path() / "models";
    fill(path);
    FakeFileSystem fake;
    bool acknowledged = false;
    try {
      Models models(path, fake);
      fake.plan(fault);
      acknowledged = models.writer.release(20).has_value();
    } catch (const ProcessDied&) {
    }
    EXPECT_TRUE(fake.violations().empty());
    check_kept(path, acknowledged);
    if (fake.counted_calls() < fault.at || testing::Test::HasFailure()) return;
  }
}

TEST(ReleaseInterrupted, P1_LosesNothingWhereverTheProcessDies) {
  interrupt_everywhere({Fault::Kind::death, Fault::Calls::changes, 0, 1, false});
}

TEST(ReleaseInterrupted, P8_LosesNothingWhereverACallFails) {
  for (const int error : {EIO, EPERM}) {
    interrupt_everywhere({Fault::Kind::error, Fault::Calls::all, error, 1, false});
    interrupt_everywhere({Fault::Kind::error, Fault::Calls::all, error, 1, true});
  }
}

TEST(ReleaseInterrupted, P8_LosesNothingWhenTheDiskFillsUpForGood) {
  interrupt_everywhere({Fault::Kind::error, Fault::Calls::changes, ENOSPC, 1, true});
}

TEST(ReleaseInterrupted, P1_LosesNothingWheneverThePowerGoes) {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "models";
  fill(path);
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
    acknowledged = models.writer.release(20).has_value();
  }
  disk.after_change = {};
  look();
  EXPECT_TRUE(acknowledged);
  EXPECT_GT(states.size(), 5U);
  for (const auto& [image, promised] : states) {
    const auto after_cut = temporary.path() / "after-cut";
    write_image(image, after_cut);
    check_kept(after_cut, promised);
    fs::remove_all(after_cut);
    if (HasFailure()) return;
  }
}

TEST(Quarantined, P8_MovesAlsoWhenTheReasonCannotBeWritten) {
  const TemporaryDirectory temporary;
  const auto path = temporary.path() / "models";
  for (std::size_t at = 1; at < 40; ++at) {
    fs::remove_all(path);
    FakeFileSystem fake;
    Models models(path, fake);
    commit(models, 20);
    fake.plan({Fault::Kind::error, Fault::Calls::changes, ENOSPC, at, false});
    const auto notes = models.writer.quarantine(std::vector<Rejection>{{20, kWhy, Damage::proven}});
    fake.plan({});
    EXPECT_FALSE(places_of_20(path).empty()) << at;
    const bool unexplained = notes && notes->size() == 2 && contains(notes->front(), "could not be written down");
    if (unexplained) {
      EXPECT_FALSE(fs::exists(path / archive_name(20)));
      return;
    }
  }
  FAIL() << "no fault fell on the reason";
}

TEST(Quarantined, FoldersAreKnownByTheirEpisode) {
  EXPECT_EQ(episode_of_folder(set_aside_name("ep20")), 20);
  for (const auto* name : {"", "ep20", "2026-01-31T12-34-56.789Z-ep-3fa9", "2026-01-31T12-34-56.789Z-epx-3fa9",
                           "2026-01-31T12-34-56.789Z-fresh-3fa9", "2026-01-31T12-34-56.789Z-newer-than-ep20-3fa9",
                           "2026-01-31T12-34-56.789Z-ep../../x-3fa9", "2026-01-31T12-34-56.789Z-ep020-3fa9"}) {
    EXPECT_EQ(episode_of_folder(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace ts::checkpoint
