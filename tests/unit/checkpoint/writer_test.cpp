// Committing, the best model, pruning and recovery, with nothing going wrong but what is planted.
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "common/checkpoint/digest.h"
#include "tests/support/fake_file_system.h"
#include "tests/unit/checkpoint/support.h"

namespace ts::checkpoint {
namespace {

namespace fs = std::filesystem;

ino_t inode_of(const fs::path& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_ino;
}

class AWriter : public testing::Test {
 protected:
  fs::path path() const { return temporary_.path() / "models"; }

  TemporaryDirectory temporary_;
  Models models_{temporary_.path() / "models"};
};

TEST_F(AWriter, CommitsAPairThatVerifies) {
  const Sidecar committed = commit(models_, 250, 12.4);
  EXPECT_EQ(committed.file, "model_ep250.pt");
  EXPECT_EQ(committed.digest, digest_of(small_archive(250)));
  for (const auto contents : {Store::Contents::keep, Store::Contents::map}) {
    const auto verified = Store(models_.directory, contents).verify(250);
    ASSERT_TRUE(verified) << verified.error().message;
    EXPECT_EQ(text_of(verified->archive.bytes()), text_of(small_archive(250)));
    EXPECT_EQ(verified->sidecar.metrics.at("profit").as_double(), 12.4);
  }
  EXPECT_EQ(names_below(path()), (std::set<std::string>{"model_ep250.pt", "model_ep250.json"}));
}

TEST_F(AWriter, FillsInWhatIsOnlyKnownOnceTheContentIsDurable) {
  const auto committed = models_.writer.commit(small_archive(1), sidecar_for(1, 0.0), [&](Sidecar& sidecar) {
    EXPECT_TRUE(fs::exists(path() / "model_ep1.pt"));
    EXPECT_FALSE(fs::exists(path() / "model_ep1.json"));
    sidecar.durable_ms = 42.5;
  });
  ASSERT_TRUE(committed);
  EXPECT_EQ(models_.store.read_sidecar(1)->durable_ms, 42.5);
}

TEST_F(AWriter, CommittingTheSameStateTwiceChangesNothing) {
  commit(models_, 10);
  const auto before = snapshot(path());
  const ino_t inode = inode_of(path() / "model_ep10.pt");
  commit(models_, 10);
  EXPECT_EQ(snapshot(path()), before);
  EXPECT_EQ(inode_of(path() / "model_ep10.pt"), inode);
}

TEST_F(AWriter, CommittingAnotherStateOfTheSameEpisodeKeepsTheOldOneAside) {
  commit(models_, 10);
  ASSERT_TRUE(models_.writer.commit(small_archive(11), sidecar_for(10, 1.0)));
  EXPECT_EQ(models_.store.verify(10)->sidecar.digest, digest_of(small_archive(11)));
  bool kept = false;
  for (const auto& [name, content] : snapshot(path() / kSupersededDirectory)) {
    kept = kept || (name.ends_with("model_ep10.pt") && content == text_of(small_archive(10)));
  }
  EXPECT_TRUE(kept);
}

TEST_F(AWriter, CommittingOverADamagedPairPutsItInQuarantine) {
  commit(models_, 10);
  write_text(path() / "model_ep10.pt", "damaged");
  commit(models_, 10);
  EXPECT_TRUE(models_.store.verify(10));
  bool kept = false;
  for (const auto& [name, content] : snapshot(path() / kQuarantineDirectory)) kept = kept || content == "damaged";
  EXPECT_TRUE(kept);
}

TEST_F(AWriter, P8_RetryingAfterItsSidecarFailedKeepsNoSecondCopy) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    write_text(path() / "model_ep10.pt", text_of(small_archive(10)));  // what such a failure leaves
    commit(models_, 10);
    EXPECT_TRUE(models_.store.verify(10));
    EXPECT_EQ(names_below(path()), (std::set<std::string>{"model_ep10.pt", "model_ep10.json"}));
    fs::remove(path() / "model_ep10.json");
  }
}

TEST_F(AWriter, KeepsAnOrphanOfOtherContentAside) {
  write_text(path() / "model_ep10.pt", "somebody's own model");
  commit(models_, 10);
  EXPECT_TRUE(models_.store.verify(10));
  bool kept = false;
  for (const auto& [name, content] : snapshot(path())) kept = kept || content == "somebody's own model";
  EXPECT_TRUE(kept);
}

TEST(Recovery, P1_SyncsWhatCanBeChosenAndTouchesNoDiskWhereNothingCan) {
  const TemporaryDirectory temporary;
  FakeFileSystem disk;
  Models models(temporary.path() / "models", disk);
  const auto changes_of_recovery = [&] {
    Fault none;
    none.calls = Fault::Calls::changes;
    disk.plan(none);
    EXPECT_TRUE(models.writer.recover());
    return disk.counted_calls();
  };
  EXPECT_EQ(changes_of_recovery(), 0U);
  commit(models, 10);
  EXPECT_EQ(changes_of_recovery(), 1U) << "the directory's sync";
}

TEST(AFullDisk, P8_IsSaidBeforeAnythingIsWrittenOrMoved) {
  class NearlyFull final : public FileSystem {
   public:
    int open(int d, const std::string& n, int f, mode_t m) override { return real_.open(d, n, f, m); }
    int close(int fd) override { return real_.close(fd); }
    std::int64_t write(int fd, const std::byte* p, std::size_t n) override { return real_.write(fd, p, n); }
    std::int64_t read(int fd, std::byte* p, std::size_t n) override { return real_.read(fd, p, n); }
    int fsync(int) override { return 0; }
    int reserve(int, std::uint64_t) override { return 0; }
    std::int64_t size(int fd) override { return real_.size(fd); }
    std::int64_t free_bytes(int) override { return free; }
    int rename_new(int d, const std::string& a, int e, const std::string& b) override {
      return real_.rename_new(d, a, e, b);
    }
    int rename_over(int d, const std::string& a, const std::string& b) override { return real_.rename_over(d, a, b); }
    int link(int d, const std::string& a, int e, const std::string& b) override { return real_.link(d, a, e, b); }
    int unlink(int d, const std::string& n) override { return real_.unlink(d, n); }
    int make_directory(int d, const std::string& n, mode_t m) override { return real_.make_directory(d, n, m); }

    std::int64_t free = std::int64_t{1} << 40;

   private:
    FileSystem& real_ = posix_file_system();
  };
  const TemporaryDirectory temporary;
  NearlyFull disk;
  Models models(temporary.path() / "models", disk);
  commit(models, 10);
  const auto before = snapshot(temporary.path());
  disk.free = 1000;
  const auto refused = models.writer.commit(small_archive(11), sidecar_for(10, 0.0));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::cannot_write);
  EXPECT_TRUE(contains(refused.error().message, "1000 B are free; free some space")) << refused.error().message;
  EXPECT_EQ(snapshot(temporary.path()), before);
  disk.free = std::int64_t{1} << 40;
  commit(models, 20);
}

TEST_F(AWriter, MakesTheBestModelALinkToItsEpisode) {
  commit(models_, 10, 5.0);
  ASSERT_TRUE(models_.writer.commit_best(small_archive(10), sidecar_for(10, 5.0)));
  EXPECT_EQ(inode_of(path() / kBestArchive), inode_of(path() / "model_ep10.pt"));
  EXPECT_EQ(models_.store.verify_best()->sidecar.episode, 10);
  // The same once more: two names of one file, over which a rename does nothing.
  ASSERT_TRUE(models_.writer.commit_best(small_archive(10), sidecar_for(10, 6.0)));
  EXPECT_EQ(models_.store.read_best_sidecar()->metrics.at("profit").as_double(), 6.0);
  EXPECT_EQ(names_below(path()),
            (std::set<std::string>{"model_ep10.pt", "model_ep10.json", "best_model.pt", "best_model.json"}));
}

TEST_F(AWriter, GivesTheBestModelAFileOfItsOwnWhereNoEpisodeHasItsContent) {
  commit(models_, 10, 5.0);
  ASSERT_TRUE(models_.writer.commit_best(small_archive(12), sidecar_for(12, 7.0)));
  EXPECT_NE(inode_of(path() / kBestArchive), inode_of(path() / "model_ep10.pt"));
  EXPECT_EQ(models_.store.verify_best()->sidecar.digest, digest_of(small_archive(12)));
  ASSERT_TRUE(models_.writer.commit_best(small_archive(99), sidecar_for(10, 8.0)));  // not that episode's content
  EXPECT_EQ(models_.store.verify_best()->sidecar.digest, digest_of(small_archive(99)));
  EXPECT_TRUE(models_.store.verify(10));
}

TEST_F(AWriter, P2_PrunesOnlyThisRunsWholePairsAndNeverTheBest) {
  for (const Episode episode : {8, 9, 10, 100}) commit(models_, episode);
  commit(models_, 7, 0.0, "run-2");
  ASSERT_TRUE(models_.writer.commit_best(small_archive(9), sidecar_for(9, 5.0)));
  write_text(path() / "model_ep6.pt", "an orphan");
  write_text(path() / "model_ep5.json", "another");
  const auto removed = models_.writer.prune(kRun, 100, {2, 0});
  ASSERT_TRUE(removed);
  EXPECT_EQ(*removed, (std::vector<Episode>{8, 9}));
  EXPECT_EQ(
      names_below(path()),
      (std::set<std::string>{"model_ep10.json", "model_ep10.pt", "model_ep100.json", "model_ep100.pt", "model_ep7.json",
                             "model_ep7.pt", "best_model.json", "best_model.pt", "model_ep6.pt", "model_ep5.json"}));
  EXPECT_TRUE(models_.store.verify_best());
}

TEST_F(AWriter, RecoverySweepsOurTemporariesAndNothingElse) {
  commit(models_, 10);
  std::map<std::string, std::string> foreign = {{".model_ep10.pt.tmp-x-1", "a"},
                                                {"model_ep10.pt.tmp", "b"},
                                                {".notes.tmp-1-1", "c"},
                                                {"model_ep010.pt", "d"},
                                                {".best_model.pt.tmp", "e"}};
  for (const auto& [name, content] : foreign) write_text(path() / name, content);
  fs::create_directory(path() / "superseded");
  write_text(path() / "superseded" / ".model_ep10.pt.tmp-1-1", "f");
  const auto before = snapshot(path());
  for (const char* name : {".model_ep20.pt.tmp-123-4", ".model_ep20.json.tmp-123-5", ".best_model.pt.tmp-1-1",
                           ".best_model.json.tmp-1-2", "..intent.json.tmp-1-3"}) {
    write_text(path() / name, "half");
  }
  const auto notes = models_.writer.recover();
  ASSERT_TRUE(notes);
  EXPECT_EQ(notes->size(), 5U);
  EXPECT_EQ(snapshot(path()), before);
  EXPECT_TRUE(models_.writer.recover()->empty());
}

TEST_F(AWriter, P7_RecoveryIsNotStoppedByADirectoryThatIsNamedLikeATemporary) {
  commit(models_, 10);
  fs::create_directory(path() / ".model_ep20.pt.tmp-1-1");
  const auto notes = models_.writer.recover();
  ASSERT_TRUE(notes) << notes.error().message;
  ASSERT_EQ(notes->size(), 1U);
  EXPECT_TRUE(contains(notes->front(), "could not remove")) << notes->front();
  commit(models_, 20);
}

class AnInterruptedBest : public AWriter {
 protected:
  void SetUp() override {
    commit(models_, 10, 5.0);
    commit(models_, 20, 7.0);
    ASSERT_TRUE(models_.writer.commit_best(small_archive(10), sidecar_for(10, 5.0)));
    Sidecar next = sidecar_for(20, 7.0);
    next.file = kBestArchive;
    next.bytes = small_archive(20).size();
    next.digest = digest_of(small_archive(20));
    write_text(path() / kBestSidecarNext, to_json(next));
  }
  Episode best_after_recovery() {
    EXPECT_TRUE(models_.writer.recover());
    EXPECT_FALSE(fs::exists(path() / kBestSidecarNext));
    const auto best = models_.store.verify_best();
    EXPECT_TRUE(best) << best.error().message;
    return best ? best->sidecar.episode : -1;
  }
  void replace_content(std::string_view content) {
    fs::remove(path() / kBestArchive);
    write_text(path() / kBestArchive, content);
  }
};

TEST_F(AnInterruptedBest, P1_IsUndoneWhileTheOldContentStands) {
  EXPECT_EQ(best_after_recovery(), 10);
}

TEST_F(AnInterruptedBest, P1_IsCompletedOnceTheNewContentStands) {
  replace_content(text_of(small_archive(20)));
  EXPECT_EQ(best_after_recovery(), 20);
}

TEST_F(AnInterruptedBest, P1_IsUndoneWhenItsRecordIsDamaged) {
  write_text(path() / kBestSidecarNext, "{");
  EXPECT_EQ(best_after_recovery(), 10);
}

TEST_F(AnInterruptedBest, P8_IsLeftForLaterWhenItCannotBeRead) {
  replace_content(text_of(small_archive(20)));
  for (std::size_t at = 1;; ++at) {
    FakeFileSystem fake({Fault::Kind::error, Fault::Calls::all, EIO, at, false});
    fs::copy(path(), temporary_.path() / "copy", fs::copy_options::recursive);
    {
      fake.plan({});
      Models copy(temporary_.path() / "copy", fake);
      fake.plan({Fault::Kind::error, Fault::Calls::all, EIO, at, false});
      (void)copy.writer.recover();
      const std::size_t calls = fake.counted_calls();
      fake.plan({});
      EXPECT_TRUE(copy.writer.recover());
      const auto best = copy.store.verify_best();
      ASSERT_TRUE(best) << "EIO at call " << at << ": " << best.error().message;
      EXPECT_EQ(best->sidecar.episode, 20);
      if (calls < at) break;
    }
    fs::remove_all(temporary_.path() / "copy");
  }
}

TEST_F(AnInterruptedBest, IsSettledByTheNextBest) {
  replace_content(text_of(small_archive(20)));
  ASSERT_TRUE(models_.writer.commit_best(small_archive(30), sidecar_for(30, 9.0)));
  EXPECT_EQ(models_.store.verify_best()->sidecar.episode, 30);
  EXPECT_FALSE(fs::exists(path() / kBestSidecarNext));
}

}  // namespace
}  // namespace ts::checkpoint
