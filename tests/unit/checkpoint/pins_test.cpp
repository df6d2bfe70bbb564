// Pins: what pruning leaves alone. Made beside a running trainer, durable, and never left behind by a refusal.
#include "common/checkpoint/pins.h"

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <future>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/fake_file_system.h"
#include "tests/unit/checkpoint/shadow_disk.h"
#include "tests/unit/checkpoint/support.h"

namespace ts::checkpoint {
namespace {

namespace fs = std::filesystem;
using Episodes = std::vector<Episode>;

// A trainer holds the directory's `.lock` all the while.
class APin : public testing::Test {
 protected:
  fs::path path() const { return temporary_.path() / "models"; }
  bool marked(Episode episode) const { return fs::exists(path() / pin_name(episode)); }
  void commit_all(const Episodes& episodes) {
    for (const Episode episode : episodes) commit(models_, episode);
  }
  PinChange pinned(Episode episode) const {
    const auto change = pin(models_.directory, episode);
    EXPECT_TRUE(change) << change.error().message;
    return *change;
  }
  Episodes pruned(const RetentionPolicy& policy, Episode verified = 100) {
    const auto removed = models_.writer.prune(kRun, verified, policy);
    EXPECT_TRUE(removed);
    return *removed;
  }
  std::size_t calls_to_prune(const RetentionPolicy& policy) {
    FakeFileSystem counting;
    const auto directory = Directory::open(path(), Directory::Create::no, counting);
    auto lock = DirectoryLock::acquire(*directory, "test", ".other.lock");
    StoreWriter writer(*directory, std::move(*lock));
    counting.plan({});
    EXPECT_TRUE(writer.prune(kRun, 1000, policy)->empty());
    return counting.counted_calls();
  }

  TemporaryDirectory temporary_;
  Models models_{temporary_.path() / "models"};
};

TEST_F(APin, P2_KeepsAPairFromPruningUntilItIsTakenAway) {
  commit_all({10, 20, 30, 100});
  EXPECT_EQ(pinned(10), PinChange::made);
  EXPECT_EQ(pinned(10), PinChange::none);
  EXPECT_EQ(pruned({1, 0}), (Episodes{20, 30}));
  EXPECT_TRUE(models_.store.verify(10));
  EXPECT_EQ(*unpin(models_.directory, 10), PinChange::made);
  EXPECT_EQ(*unpin(models_.directory, 10), PinChange::none);
  EXPECT_FALSE(marked(10));
  EXPECT_EQ(pruned({1, 0}), Episodes{10});
}

TEST_F(APin, P2_TakesUpNoPlaceAmongThoseThatAreKept) {
  commit_all({10, 20, 30, 100});
  pinned(30);
  EXPECT_EQ(pruned({2, 0}), Episodes{10});
}

TEST_F(APin, OfWhatIsNoValidPairIsRefusedAndLeavesNothingBehind) {
  commit_all({10, 20, 30});
  fs::resize_file(path() / archive_name(10), 100);
  fs::remove(path() / sidecar_name(20));
  const auto before = names_below(path());
  for (const auto& [episode, why] :
       {std::pair<Episode, const char*>{10, "cut short"}, {20, "never committed"}, {77, "there is no checkpoint"}}) {
    const auto refused = pin(models_.directory, episode);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(contains(refused.error().message, why)) << refused.error().message;
  }
  EXPECT_EQ(names_below(path()), before);
  write_text(path() / pin_name(10), "");  // pinned when it was still whole
  EXPECT_FALSE(pin(models_.directory, 10));
  EXPECT_TRUE(marked(10)) << "this one was not made just now";
}

TEST_F(APin, P8_ThatFailsLeavesNothingBehindWhicheverCallFails) {
  commit_all({10});
  for (const int error : {EIO, ENOSPC, EROFS}) {
    int refused = 0;
    for (std::size_t at = 1;; ++at) {
      SCOPED_TRACE("errno " + std::to_string(error) + " at call " + std::to_string(at));
      FakeFileSystem fake;
      const auto directory = Directory::open(path(), Directory::Create::no, fake);
      fake.plan({Fault::Kind::error, Fault::Calls::all, error, at, false});
      const auto change = pin(*directory, 10);
      EXPECT_EQ(marked(10), change.has_value());
      EXPECT_TRUE(fake.violations().empty());
      if (!change) ++refused;
      if (!fake.fired()) break;
      fs::remove(path() / pin_name(10));
      EXPECT_EQ(names_below(path()), (std::set<std::string>{"model_ep10.json", "model_ep10.pt"}));
    }
    fs::remove(path() / pin_name(10));
    EXPECT_GT(refused, 5);
  }
}

TEST_F(APin, P8_ThatWasThereSurvivesAFailingSecondOne) {
  commit_all({10});
  pinned(10);
  for (std::size_t at = 1;; ++at) {
    FakeFileSystem fake;
    const auto directory = Directory::open(path(), Directory::Create::no, fake);
    fake.plan({Fault::Kind::error, Fault::Calls::all, EIO, at, false});
    (void)pin(*directory, 10);
    ASSERT_TRUE(marked(10)) << "EIO at call " << at;
    if (!fake.fired()) break;
  }
}

TEST_F(APin, P2_OutlastsAPowerCutOnceItIsAcknowledged) {
  commit_all({10});
  FakeFileSystem fake;
  ShadowDisk disk(path(), fake);
  const auto directory = Directory::open(path(), Directory::Create::no, disk);
  ASSERT_TRUE(pin(*directory, 10));
  for (const DiskImage& image : disk.images()) EXPECT_TRUE(image.contains(pin_name(10)));
  ASSERT_TRUE(unpin(*directory, 10));
  for (const DiskImage& image : disk.images()) EXPECT_FALSE(image.contains(pin_name(10)));
}

TEST_F(APin, P2_MadeWhilePruningWaitsForTheLockIsSeenByIt) {
  commit_all({10, 20, 100});
  std::future<Episodes> pruning;
  {
    const auto lock = PinLock::acquire(models_.directory);
    ASSERT_TRUE(lock);
    pruning = std::async(std::launch::async, [&] { return pruned({1, 0}); });
    // A pruning that did not wait would be over by then.
    EXPECT_EQ(pruning.wait_for(std::chrono::milliseconds(100)), std::future_status::timeout);
    write_text(path() / pin_name(10), "");
  }
  EXPECT_EQ(pruning.get(), Episodes{20});
}

TEST_F(APin, LockThatSomebodyKeepsIsRefusedWithASentenceInsteadOfWaitedForForEver) {
  const auto kept = PinLock::acquire(models_.directory);
  ASSERT_TRUE(kept);
  const auto refused = PinLock::acquire(models_.directory, std::chrono::milliseconds(1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::locked);
  EXPECT_TRUE(contains(refused.error().message, "is locked by another process")) << refused.error().message;
}

// With thousands of milestones a save must not read thousands of sidecars.
TEST_F(APin, PruningReadsNoSidecarThatDecidesNothing) {
  commit_all({1000, 990});
  const std::size_t few = calls_to_prune({2, 10});
  for (Episode episode = 10; episode <= 500; episode += 10) commit(models_, episode);
  EXPECT_EQ(calls_to_prune({2, 10}), few) << "milestones need not be read";
  for (Episode episode = 15; episode <= 95; episode += 10) {
    commit(models_, episode);
    pinned(episode);
  }
  EXPECT_EQ(calls_to_prune({2, 10}), few) << "nor pinned ones";
  commit(models_, 995);  // the control: now 990 is beyond the newest two, but a milestone
  EXPECT_GT(calls_to_prune({3, 10}), few) << "one more to keep is one more sidecar to read";
}

}  // namespace
}  // namespace ts::checkpoint
