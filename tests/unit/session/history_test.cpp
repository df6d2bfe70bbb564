// The session's history: one line for each episode that counts, whatever interrupts it, and never at the cost of a
// checkpoint (P8).
#include "worker/session/history.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <utility>

#include "common/checkpoint/history.h"
#include "tests/support/fake_file_system.h"
#include "tests/unit/session/toy_session.h"

namespace ts::session {
namespace {

using checkpoint::Fault;
using Episodes = std::vector<std::int64_t>;

Episodes up_to(std::int64_t last) {
  Episodes out;
  for (std::int64_t episode = 1; episode <= last; ++episode) out.push_back(episode);
  return out;
}

class HistoryOfASession : public ToySession {
 protected:
  HistoryOfASession() { config.checkpoints.save_best = false; }

  std::vector<checkpoint::HistoryEntry> history() const {
    return checkpoint::parse_history(read_text(models("metrics.jsonl")));
  }
  Episodes history_episodes() const {
    Episodes out;
    for (const auto& entry : history()) out.push_back(entry.episode);
    return out;
  }
  std::size_t lines() const {
    const std::string text = read_text(models("metrics.jsonl"));
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  }
};

TEST_F(HistoryOfASession, HasALineForEachEpisode) {
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(history_episodes(), up_to(10));
  EXPECT_EQ(lines(), 10U);
  const auto entry = history().at(5);
  EXPECT_EQ(entry.run_id, sidecar(6).run_id);
  EXPECT_EQ(entry.metrics.at("profit"), sidecar(6).metrics.at("profit").to_number<double>());
  EXPECT_EQ(entry.metrics.at("loss"), 0.25);
}

TEST_F(HistoryOfASession, GoesOnAfterAStop) {
  raise_at(SIGTERM, 5);
  EXPECT_EQ(run().code, 75);
  EXPECT_EQ(history_episodes(), up_to(4));
  calm_down();
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(history_episodes(), up_to(10));
  EXPECT_EQ(lines(), 10U);
}

TEST_F(HistoryOfASession, DropsWhatIsTrainedAgainAfterADeath) {
  raise_at(SIGKILL, 9);
  EXPECT_EQ(run().signal, SIGKILL);
  EXPECT_EQ(episodes(), (Episodes{3, 6}));
  calm_down();
  config.training.episodes = 7;
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(history_episodes(), up_to(7));
  EXPECT_EQ(lines(), 7U);
}

TEST_F(HistoryOfASession, KeepsTheEpisodesOfACheckpointThatWasSavedBeforeTheirLine) {
  EXPECT_EQ(run().code, 0);
  const std::string text = read_text(models("metrics.jsonl"));
  const std::size_t tenth = text.rfind("{\"episode\":10,");
  std::ofstream(models("metrics.jsonl"), std::ios::trunc) << text.substr(0, tenth + 9);  // torn, too
  config.training.episodes = 12;
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(history_episodes(), up_to(12));
  EXPECT_EQ(lines(), 12U);
}

TEST_F(HistoryOfASession, GoesBackWithTheCheckpoints) {
  EXPECT_EQ(run().code, 0);
  raise_at(SIGTERM, 8);
  EXPECT_EQ(run_from("ep6").code, 75);
  EXPECT_EQ(history_episodes(), up_to(7));
  EXPECT_EQ(lines(), 7U);
}

TEST_F(HistoryOfASession, BeginsAnewWhenFresh) {
  EXPECT_EQ(run().code, 0);
  config.training.episodes = 3;
  EXPECT_EQ(run({ResumeRequest::Kind::fresh, ""}).code, 0);
  EXPECT_EQ(history_episodes(), up_to(3));
  EXPECT_EQ(lines(), 3U);
}

TEST_F(HistoryOfASession, PassesOverLinesOfOthers) {
  std::filesystem::create_directories(models());
  std::ofstream(models("metrics.jsonl")) << "not ours\n{\"episode\":\n";
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(history_episodes(), up_to(10));
  EXPECT_TRUE(read_text(models("metrics.jsonl")).starts_with("not ours\n"));
}

// Whatever lies under its name: the checkpoints are those of a training that never heard of a history.
TEST_F(HistoryOfASession, P8IsNeverWorthACheckpoint) {
  const std::string expected = uninterrupted(10);
  const auto plant = std::map<std::string, std::function<void(const std::filesystem::path&)>>{
      {"a folder", [](const auto& path) { std::filesystem::create_directory(path); }},
      {"a fifo", [](const auto& path) { ::mkfifo(path.c_str(), 0600); }},
      {"a link", [](const auto& path) { std::filesystem::create_symlink("/dev/full", path); }},
  };
  for (const auto& [what, make] : plant) {
    std::filesystem::remove_all(models());
    std::filesystem::create_directories(models());
    make(models("metrics.jsonl"));
    const Outcome outcome = run();
    EXPECT_EQ(outcome.code, 0) << what << outcome.output;
    EXPECT_TRUE(outcome.said("no history is kept")) << what << outcome.output;
    EXPECT_EQ(episodes(), (Episodes{3, 6, 9, 10})) << what;
    EXPECT_EQ(archive(10), expected) << what;
  }
}

// The writer by itself, with a file system that fails.
class HistoryWriter : public testing::Test {
 protected:
  // Adds and syncs ten episodes while call number `at` fails; what the file holds then.
  std::vector<checkpoint::HistoryEntry> written_with(const Fault& fault) {
    std::filesystem::remove(directory_ / "metrics.jsonl");
    checkpoint::FakeFileSystem fs(fault);
    const auto models = checkpoint::Directory::open(directory_ / "", checkpoint::Directory::Create::no, fs);
    if (models) {
      History history(*models, {"run", 1, 10});
      history.begin(0, {});
      for (std::int64_t episode = 1; episode <= 10; ++episode) {
        history.add(episode, {{"profit", 1.0}});
        history.await_sync(history.start_sync());
      }
    }
    fired_ = fs.fired();
    EXPECT_TRUE(fs.violations().empty()) << fs.violations().front();
    return checkpoint::parse_history(read_text(directory_ / "metrics.jsonl"));
  }

  TempDirectory directory_;
  bool fired_ = false;
};

TEST_F(HistoryWriter, LosesALineAtMostForEachCallThatFails) {
  for (const int error : {ENOSPC, EIO}) {
    for (std::size_t at = 4;; ++at) {  // behind those that open the directory and the file
      const auto entries = written_with({Fault::Kind::error, Fault::Calls::all, error, at});
      EXPECT_GE(entries.size(), 9U) << at;
      if (!fired_) break;
    }
  }
}

TEST_F(HistoryWriter, EndsALineThatWasCutShort) {
  for (std::size_t at = 1; at < 30; ++at) {
    EXPECT_EQ(written_with({Fault::Kind::short_write, Fault::Calls::changes, 0, at}).size(), 10U);
  }
}

TEST_F(HistoryWriter, GivesUpOnADiskThatIsFullForEverAndEnds) {
  EXPECT_LE(written_with({Fault::Kind::error, Fault::Calls::changes, ENOSPC, 3, true}).size(), 1U);
  EXPECT_TRUE(fired_);
}

}  // namespace
}  // namespace ts::session
