// Listing, verifying and choosing: what is there is told truly, whatever else lies in the directory.
#include "common/checkpoint/store.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/fake_file_system.h"
#include "tests/unit/checkpoint/support.h"

namespace ts::checkpoint {
namespace {

namespace fs = std::filesystem;

class AStore : public testing::Test {
 protected:
  fs::path path() const { return temporary_.path() / "models"; }
  fs::path file(Episode episode) const { return path() / archive_name(episode); }
  fs::path record(Episode episode) const { return path() / sidecar_name(episode); }

  // Where something else is to stand under that name.
  static void replace(const fs::path& name, std::string_view content) {
    fs::remove(name);
    write_text(name, content);
  }

  Choice choice(const std::string& run = kRun) const {
    auto chosen = models_.store.choose_newest(run);
    EXPECT_TRUE(chosen);
    return std::move(*chosen);
  }
  Episode newest() const {
    const Choice chosen = choice();
    return chosen.newest ? chosen.newest->sidecar.episode : -1;
  }

  TemporaryDirectory temporary_;
  Models models_{temporary_.path() / "models"};
};

TEST_F(AStore, ChoosesTheHighestNumberNotTheLastName) {
  for (const Episode episode : {9, 10, 100}) commit(models_, episode);
  EXPECT_EQ(newest(), 100);
  fs::remove(file(100));
  EXPECT_EQ(newest(), 10);
  fs::remove(file(10));
  EXPECT_EQ(newest(), 9);
  fs::remove(file(9));
  EXPECT_EQ(newest(), -1);
}

TEST_F(AStore, ChoosesAmongThisRunsOnly) {
  commit(models_, 10);
  commit(models_, 20, 0.0, "run-2\x1b");
  const Choice chosen = choice();
  ASSERT_TRUE(chosen.newest);
  EXPECT_EQ(chosen.newest->sidecar.episode, 10);
  ASSERT_EQ(chosen.rejected.size(), 1U);
  EXPECT_EQ(chosen.rejected[0].damage, Damage::unproven);
  EXPECT_TRUE(contains(chosen.rejected[0].reason, "belongs to another run (run-2\\x1b)")) << chosen.rejected[0].reason;
  EXPECT_EQ(choice("").newest->sidecar.episode, 20) << "any run's";
}

TEST_F(AStore, P11_RejectsEachDamagedCandidateWithItsReasonAndGoesOnToTheNextOlder) {
  struct Damaged {
    const char* reason;
    Damage damage;
    std::function<void(const fs::path&, const fs::path&)> inflict;
  };
  const Damaged cases[] = {
      {"it is cut short", Damage::proven,
       [](const fs::path& pt, const fs::path&) { replace(pt, read_text(pt).substr(0, 200)); }},
      {"its bytes are damaged", Damage::proven,
       [](const fs::path& pt, const fs::path&) {
         std::string text = read_text(pt);
         text[200] = static_cast<char>(text[200] ^ 1);
         replace(pt, text);
       }},
      {"its sidecar says", Damage::proven, [](const fs::path& pt, const fs::path&) { replace(pt, ""); }},
      {"its sidecar says", Damage::proven,
       [](const fs::path& pt, const fs::path&) { replace(pt, read_text(pt) + "x"); }},
      {"its sidecar says", Damage::proven,
       [](const fs::path& pt, const fs::path&) { fs::resize_file(pt, std::uintmax_t{1} << 40); }},
      {"so it was never committed", Damage::proven, [](const fs::path&, const fs::path& json) { fs::remove(json); }},
      {"No such file", Damage::proven, [](const fs::path& pt, const fs::path&) { fs::remove(pt); }},
      {"is not usable JSON", Damage::proven, [](const fs::path&, const fs::path& json) { replace(json, ""); }},
      {"is not usable JSON", Damage::proven,
       [](const fs::path&, const fs::path& json) { replace(json, std::string(300, '\0')); }},
      {"its \"file\" is not", Damage::proven,
       [](const fs::path&, const fs::path& json) { replace(json, read_text(json.parent_path() / sidecar_name(10))); }},
      {"more than the 65536", Damage::proven,
       [](const fs::path&, const fs::path& json) { replace(json, std::string(kSidecarBytesMax + 1, ' ')); }},
      {"use a newer trainer-supervisor", Damage::unproven,
       [](const fs::path&, const fs::path& json) {
         std::string text = read_text(json);
         replace(json, text.replace(text.find("\"format\": 1"), 11, "\"format\": 2"));
       }},
      {"is a symbolic link", Damage::unproven,
       [](const fs::path& pt, const fs::path&) {
         fs::rename(pt, pt.parent_path().parent_path() / "elsewhere.pt");
         fs::create_symlink("../elsewhere.pt", pt);
       }},
      {"is a symbolic link", Damage::unproven,
       [](const fs::path&, const fs::path& json) {
         fs::rename(json, json.parent_path().parent_path() / "elsewhere.json");
         fs::create_symlink("../elsewhere.json", json);
       }},
      {"is not a regular file", Damage::proven,
       [](const fs::path& pt, const fs::path&) {
         fs::remove(pt);
         ASSERT_EQ(::mkfifo(pt.c_str(), 0600), 0);  // opening it must not wait for a writer
       }},
      {"is not a regular file", Damage::proven,
       [](const fs::path&, const fs::path& json) {
         fs::remove(json);
         ASSERT_EQ(::mkfifo(json.c_str(), 0600), 0);
       }},
      {"is not a regular file", Damage::proven,
       [](const fs::path& pt, const fs::path&) {
         fs::remove(pt);
         fs::create_directory(pt);
       }},
  };
  commit(models_, 10);
  for (const auto& [reason, damage, inflict] : cases) {
    commit(models_, 20);
    inflict(file(20), record(20));
    const Choice chosen = choice();
    ASSERT_TRUE(chosen.newest) << reason;
    EXPECT_EQ(chosen.newest->sidecar.episode, 10) << reason;
    ASSERT_EQ(chosen.rejected.size(), 1U) << reason;
    EXPECT_EQ(chosen.rejected[0].episode, 20);
    EXPECT_TRUE(contains(chosen.rejected[0].reason, reason)) << chosen.rejected[0].reason;
    EXPECT_TRUE(contains(chosen.rejected[0].reason, "model_ep20.")) << chosen.rejected[0].reason;
    EXPECT_TRUE(chosen.rejected[0].reason.ends_with('.')) << chosen.rejected[0].reason;
    EXPECT_EQ(chosen.rejected[0].damage, damage) << chosen.rejected[0].reason;
    const auto mapped = Store(models_.directory, Store::Contents::map).choose_newest(kRun);
    ASSERT_TRUE(mapped && mapped->newest && mapped->rejected.size() == 1) << reason;
    EXPECT_EQ(mapped->rejected[0].reason, chosen.rejected[0].reason) << "whoever maps it judges as whoever reads it";
    fs::remove_all(file(20));
    fs::remove_all(record(20));
  }
}

TEST_F(AStore, P7_ThatCannotReadAFileDoesNotCallItDamaged) {
  commit(models_, 10);
  for (const int error : {EIO, EACCES, EMFILE, ENOMEM}) {
    for (std::size_t at = 1;; ++at) {
      FakeFileSystem fake({Fault::Kind::error, Fault::Calls::all, error, at, false});
      const auto directory = Directory::open(path(), Directory::Create::no, fake);
      if (!directory) continue;
      const auto chosen = Store(*directory).choose_newest(kRun);
      for (const Rejection& rejection : chosen ? chosen->rejected : std::vector<Rejection>()) {
        EXPECT_EQ(rejection.damage, Damage::unproven) << "call " << at << ": " << rejection.reason;
      }
      if (!fake.fired()) break;
    }
  }
}

TEST_F(AStore, VerifiesASidecarAgainstTheNumberInItsName) {
  commit(models_, 10);
  std::string text = read_text(record(10));
  replace(record(10), text.replace(text.find("\"episode\": 10"), 13, "\"episode\": 11"));
  const auto verified = models_.store.verify(10);
  ASSERT_FALSE(verified);
  EXPECT_TRUE(contains(verified.error().message, "speaks of episode 11, its name of 10")) << verified.error().message;
  EXPECT_FALSE(models_.store.read_sidecar(10));
}

// Choosing costs the same however many there are, as long as the newest is valid.
TEST_F(AStore, ReadsOnlyTheNewestWhenThatIsValid) {
  const auto calls = [&] {
    FakeFileSystem counting;
    const auto directory = Directory::open(path(), Directory::Create::no, counting);
    EXPECT_EQ(Store(*directory).choose_newest(kRun)->newest->sidecar.episode, 1000);
    return counting.counted_calls();
  };
  commit(models_, 1000);
  const std::size_t alone = calls();
  for (Episode episode = 1; episode <= 50; ++episode) commit(models_, episode);
  write_text(path() / pin_name(7), "");
  EXPECT_EQ(calls(), alone);
  replace(file(1000), "damaged");  // the control: what is read is counted
  FakeFileSystem counting;
  const auto directory = Directory::open(path(), Directory::Create::no, counting);
  EXPECT_EQ(Store(*directory).choose_newest(kRun)->newest->sidecar.episode, 50);
  EXPECT_GT(counting.counted_calls(), alone);
}

TEST_F(AStore, SelectsWhatASelectorMeans) {
  for (const Episode episode : {10, 20}) commit(models_, episode);
  ASSERT_TRUE(models_.writer.commit_best(small_archive(10), sidecar_for(10, 1.0)));
  const auto selected = [&](const std::string& text) -> std::string {
    const auto verified = models_.store.select(*parse_selector(text), kRun);
    if (!verified) return verified.error().message;
    return verified->archive_name + " " + std::to_string(verified->sidecar.episode);
  };
  EXPECT_EQ(selected("latest"), "model_ep20.pt 20");
  EXPECT_EQ(selected("best"), "best_model.pt 10");
  EXPECT_EQ(selected("ep10"), "model_ep10.pt 10");
  EXPECT_EQ(selected(file(20).string()), "model_ep20.pt 20");
  EXPECT_EQ(selected((path() / kBestArchive).string()), "best_model.pt 10");
  EXPECT_EQ(selected((path() / ".." / "models" / "model_ep10.pt").string()), "model_ep10.pt 10");
  EXPECT_TRUE(contains(selected("ep30"), "there is no checkpoint"));
  EXPECT_TRUE(contains(selected((path() / "model_ep30.pt").string()), "No such file"));
}

TEST_F(AStore, AcceptsAForeignArchiveThatIsNamedAfterCheckingItsCrcs) {
  const auto foreign = temporary_.path() / "foreign.pt";
  write_text(foreign, text_of(small_archive(77)));
  const auto accepted = models_.store.select(*parse_selector(foreign.string()), kRun);
  ASSERT_TRUE(accepted) << accepted.error().message;
  EXPECT_EQ(accepted->sidecar.episode, 0);
  EXPECT_EQ(accepted->sidecar.run_id, "");
  EXPECT_EQ(text_of(accepted->archive.bytes()), text_of(small_archive(77)));

  std::string damaged = text_of(small_archive(77));
  damaged[damaged.find("model") + 200] ^= 1;
  for (const std::string& content : {std::string(), std::string("not a zip"), damaged.substr(0, 100)}) {
    replace(foreign, content);
    const auto refused = models_.store.select(AtPath{foreign.string()}, kRun);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(contains(refused.error().message, "cannot be used as a checkpoint")) << refused.error().message;
  }
  for (const fs::path& wrong : {temporary_.path(), path() / ".." / "models", temporary_.path() / "none" / "x.pt"}) {
    EXPECT_FALSE(models_.store.select(AtPath{wrong.string()}, kRun)) << wrong;
  }
  EXPECT_FALSE(models_.store.select(AtPath{"/dev/zero"}, kRun));
}

TEST_F(AStore, ListsTheUsableOnesForARefusal) {
  EXPECT_TRUE(contains(models_.store.list_usable(), "there is no valid checkpoint in"));
  for (const Episode episode : {9, 10, 100}) commit(models_, episode);
  ASSERT_TRUE(models_.writer.commit_best(small_archive(9), sidecar_for(9, 1.0)));
  replace(file(10), "damaged");
  EXPECT_TRUE(models_.store.list_usable().ends_with("models: ep100, ep9, best")) << models_.store.list_usable();
}

TEST_F(AStore, P7_IsNotConfusedByHostileNames) {
  commit(models_, 10);
  for (const char* name : {"model_ep-1.pt", "model_ep01.pt", "model_ep99999999999.pt", "model_ep11.pt\n",
                           "model_ep\n.pt", "model_ep12.pt.tmp", "\x1b[2J.pt", "-rf", "model_ep13.json.pt"}) {
    write_text(path() / name, "hostile");
  }
  const Choice chosen = choice();
  ASSERT_TRUE(chosen.newest);
  EXPECT_EQ(chosen.newest->sidecar.episode, 10);
  EXPECT_TRUE(chosen.rejected.empty());
}

}  // namespace
}  // namespace ts::checkpoint
