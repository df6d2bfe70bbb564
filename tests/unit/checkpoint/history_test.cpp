// metrics.jsonl: what a reader makes of it, where it is cut, and going back with it.
#include "common/checkpoint/history.h"

#include <fcntl.h>

#include <cerrno>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/fake_file_system.h"
#include "tests/unit/checkpoint/shadow_disk.h"
#include "tests/unit/checkpoint/support.h"

namespace ts::checkpoint {
namespace {

namespace fs = std::filesystem;
using Episodes = std::vector<Episode>;

std::string line(Episode episode, double profit = 1.0) {
  return to_line({episode, "2026-01-31T12:00:00.000Z", "run", 1, {{"profit", profit}}});
}

std::string lines(Episode first, Episode last) {
  std::string text;
  for (Episode episode = first; episode <= last; ++episode) text += line(episode);
  return text;
}

Episodes episodes_in(const std::string& text) {
  Episodes out;
  for (const auto& entry : parse_history(text)) out.push_back(entry.episode);
  return out;
}

std::string cut(const std::string& text, Episode episode) {
  return text.substr(0, cut_history(text, episode).keep);
}

TEST(History, IsReadAsItWasWritten) {
  const HistoryEntry written{7, "2026-01-31T12:00:00.000Z", "abc", 3, {{"a \"name\"\n", -0.5}, {"profit", 12.25}}};
  const auto read = parse_history(to_line(written));
  ASSERT_EQ(read.size(), 1U);
  EXPECT_EQ(read[0].episode, 7);
  EXPECT_EQ(read[0].time, written.time);
  EXPECT_EQ(read[0].run_id, "abc");
  EXPECT_EQ(read[0].attempt, 3);
  EXPECT_EQ(read[0].metrics, written.metrics);
  EXPECT_EQ(to_line(written).substr(0, 13), "{\"episode\":7,");
}

TEST(History, PassesOverLinesThatAreNotItsOwn) {
  const std::string deep(40, '[');
  const std::string text = "garbage\n" + line(1) + "\n" + std::string("\0\xff{\n", 4) + "{}\n[1]\n" + deep + "\n" +
                           "{\"episode\":\"2\",\"metrics\":{}}\n{\"episode\":-3,\"metrics\":{}}\n" +
                           "{\"episode\":99999999999,\"metrics\":{}}\n{\"episode\":5,\"metrics\":7}\n" +
                           "{\"episode\":6," + std::string(70'000, ' ') + "\"metrics\":{}}\n" + line(2) +
                           "{\"episode\":3,";
  EXPECT_EQ(episodes_in(text), (Episodes{1, 2}));
}

TEST(History, HasNoNumberWhereThereIsNone) {
  const auto read = parse_history("{\"episode\":1,\"metrics\":{\"profit\":null,\"loss\":2}}\n");
  ASSERT_EQ(read.size(), 1U);
  EXPECT_TRUE(std::isnan(read[0].metrics.at("profit")));
  EXPECT_EQ(read[0].metrics.at("loss"), 2.0);
}

TEST(History, ALaterLineMakesVoidWhatStandsBeforeItAboutThatEpisodeAndLaterOnes) {
  EXPECT_EQ(episodes_in(lines(1, 10) + lines(6, 7)), (Episodes{1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(parse_history(line(3, 1.0) + line(3, 2.0)).at(0).metrics.at("profit"), 2.0);
}

TEST(History, IsCutBehindTheEpisode) {
  const std::string text = lines(1, 10);
  EXPECT_EQ(cut(text, 4), lines(1, 4));
  EXPECT_EQ(cut(text, 10), text);
  EXPECT_EQ(cut(text, 100), text);
  EXPECT_EQ(cut(text, 0), "");
  EXPECT_FALSE(cut_history(text, 10).newer);
  EXPECT_TRUE(cut_history(text, 9).newer);
  EXPECT_EQ(cut_history(text, 4).last, 4);
  EXPECT_EQ(cut("", 4), "");
}

TEST(History, IsCutBehindALineThatWasNeverFinished) {
  const std::string torn = line(3).substr(0, 20);
  EXPECT_EQ(cut(lines(1, 2) + torn, 5), lines(1, 2));
  EXPECT_EQ(cut(torn, 5), "");
}

TEST(History, KeepsLinesOfOthersThatStandBeforeTheCut) {
  EXPECT_EQ(cut("mine\n" + line(1) + "mine too\n", 5), "mine\n" + line(1) + "mine too\n");
  EXPECT_EQ(cut("mine\n" + line(1) + "mine too\n" + line(2), 1), "mine\n" + line(1));
}

TEST(History, IsCutRightlyWhereAnEarlierCutDidNotHappen) {
  EXPECT_EQ(episodes_in(cut(lines(1, 10) + lines(6, 12), 7)), (Episodes{1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(episodes_in(cut(lines(1, 10) + lines(6, 7), 8)), (Episodes{1, 2, 3, 4, 5, 6, 7}));
}

const StoreWriter::BestBy kByProfit{"profit", true};

void fill(const fs::path& path) {
  Models models(path);
  ASSERT_TRUE(models.writer.recover());
  for (const Episode episode : {9, 10, 100}) commit(models, episode, 1.0);
  write_text(path / "metrics.jsonl", lines(1, 101));
}

// The history there is, and that of the only folder in superseded/ (if there is one).
struct Found {
  std::string here;
  std::string aside;
};
Found look(const fs::path& path) {
  Found found;
  if (fs::exists(path / "metrics.jsonl")) found.here = read_text(path / "metrics.jsonl");
  if (!fs::exists(path / "superseded")) return found;
  for (const auto& folder : fs::directory_iterator(path / "superseded")) {
    if (fs::exists(folder.path() / "metrics.jsonl")) found.aside += read_text(folder.path() / "metrics.jsonl");
  }
  return found;
}

TEST(HistoryGoingBack, SetsNewerLinesAsideWithTheCheckpoints) {
  const TemporaryDirectory temporary;
  fill(temporary.path());
  Models models(temporary.path());
  ASSERT_TRUE(models.writer.set_aside_newer_than(10, kByProfit));
  EXPECT_EQ(look(temporary.path()).here, lines(1, 10));
  EXPECT_EQ(look(temporary.path()).aside, lines(11, 101));
}

TEST(HistoryGoingBack, StartsAnewWhenFresh) {
  const TemporaryDirectory temporary;
  fill(temporary.path());
  Models models(temporary.path());
  ASSERT_TRUE(models.writer.set_aside_newer_than(-1, kByProfit));
  EXPECT_EQ(look(temporary.path()).here, "");
  EXPECT_EQ(look(temporary.path()).aside, lines(1, 101));
}

TEST(HistoryGoingBack, HappensWhateverTheHistoryIs) {
  const TemporaryDirectory temporary;
  fill(temporary.path());
  fs::remove(temporary.path() / "metrics.jsonl");
  fs::create_directory(temporary.path() / "metrics.jsonl");
  Models models(temporary.path());
  const auto notes = models.writer.set_aside_newer_than(10, kByProfit);
  ASSERT_TRUE(notes) << notes.error().message;
  EXPECT_FALSE(fs::exists(temporary.path() / "model_ep100.json"));
  EXPECT_TRUE(fs::is_directory(temporary.path() / "metrics.jsonl"));
}

// Every line is here or aside, whichever call fails or is the process's last; the next start finishes the move.
TEST(HistoryGoingBack, LosesNoLineWhateverFailsOrInterruptsIt) {
  for (const Episode back_to : {Episode{10}, Episode{-1}}) {
    for (const auto kind : {Fault::Kind::death, Fault::Kind::error}) {
      for (std::size_t at = 1;; ++at) {
        const TemporaryDirectory temporary;
        fill(temporary.path());
        FakeFileSystem faulty;
        try {
          Models models(temporary.path(), faulty);
          faulty.plan({kind, Fault::Calls::changes, EIO, at});
          [[maybe_unused]] const auto moved = models.writer.set_aside_newer_than(back_to, kByProfit);
        } catch (const ProcessDied&) {
        }
        const Found now = look(temporary.path());
        const std::string at_least = back_to < 0 ? "" : lines(1, back_to);
        EXPECT_TRUE(now.here.starts_with(at_least)) << at;
        const bool whole_here = now.here == lines(1, 101);
        EXPECT_TRUE(whole_here || now.aside == lines(std::max<Episode>(1, back_to + 1), 101)) << at;
        if (!faulty.fired()) break;
        Models models(temporary.path());
        ASSERT_TRUE(models.writer.recover()) << at;
        ASSERT_TRUE(models.writer.set_aside_newer_than(back_to, kByProfit)) << at;
        EXPECT_FALSE(fs::exists(temporary.path() / ".intent.json"));
      }
    }
  }
}

TEST(HistoryGoingBack, LosesNoLineInAPowerCut) {
  const TemporaryDirectory temporary;
  const fs::path path = temporary.path() / "models";
  fs::create_directory(path);
  fill(path);
  ShadowDisk disk(path, posix_file_system());
  const auto check = [&] {
    for (const DiskImage& image : disk.images()) {
      std::string here;
      std::string aside;
      for (const auto& [name, content] : image) {
        if (name == "metrics.jsonl") here = content;
        if (name.starts_with("superseded/") && name.ends_with("metrics.jsonl")) aside = content;
      }
      EXPECT_TRUE(here == lines(1, 101) || (here == lines(1, 10) && aside == lines(11, 101)));
    }
  };
  disk.after_change = check;
  Models models(path, disk);
  ASSERT_TRUE(models.writer.set_aside_newer_than(10, kByProfit));
  check();
  EXPECT_EQ(look(path).here, lines(1, 10));
}

}  // namespace
}  // namespace ts::checkpoint
