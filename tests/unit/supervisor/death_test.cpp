// The whole way: a session in a process of its own announces, is killed, and what it announced last is rescued, which
// is the very checkpoint that a save would have made (P3, P5).
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "common/base/json.h"
#include "supervisor/shell/rescue.h"
#include "tests/unit/session/listener.h"
#include "tests/unit/session/toy_session.h"

namespace ts::shell {
namespace {

using Outcome = Rescue::Outcome;

class ADeath : public session::ToySession {
 protected:
  ADeath() { config.checkpoints.save_frequency = 4; }

  std::filesystem::path heard_file(std::int64_t episode) const {
    return directory / ("heard-" + std::to_string(episode));
  }

  // Kills the session in the middle of this episode. Episodes of no duration would outrun a supervisor that has to
  // share the processor, and find its queue full: each waits until the supervisor has heard of the one before.
  void kill_at(std::int64_t episode) {
    for (std::int64_t heard = 1; heard <= config.training.episodes; ++heard) std::filesystem::remove(heard_file(heard));
    task.on_step = [this, episode](std::int64_t at_episode, int at_step) {
      if (at_step != 1) return;
      for (int i = 0; at_episode > 1 && i < 30'000 && !std::filesystem::exists(heard_file(at_episode - 1)); ++i) {
        ::usleep(1000);
      }
      if (at_episode == episode) ::raise(SIGKILL);
    };
  }

  // Runs a session and holds its newest snapshot, as a supervisor does.
  session::Outcome run_and_hold() {
    held_ = {};
    acknowledged_ = 0;
    std::atomic<bool> ended{false};
    std::thread supervisor;
    on_begun = [&] {
      supervisor = std::thread([&] {
        while (!ended) {
          hear();
          ::usleep(200);
        }
        hear();
      });
    };
    ::setenv("NOTIFY_SOCKET", address_.c_str(), 1);
    const auto outcome = run();
    ::unsetenv("NOTIFY_SOCKET");
    on_begun = [] {};
    ended = true;
    supervisor.join();
    return outcome;
  }

  Rescue rescue() {
    auto opened = checkpoint::Directory::open(models(), checkpoint::Directory::Create::no);
    auto lock = checkpoint::DirectoryLock::acquire(*opened, "test");
    checkpoint::StoreWriter writer(*opened, std::move(*lock));
    EXPECT_TRUE(writer.recover());
    return rescue_snapshot(held_, "", config, *opened, writer);
  }

  HeldSnapshot held_;
  std::int64_t acknowledged_ = 0;

 private:
  void hear() {
    for (session::Heard& heard : listener_.take()) {
      if (heard.message.episode) acknowledged_ = *heard.message.episode;
      if (!heard.message.snapshot) continue;
      held_ = {std::move(heard.memory), *heard.message.snapshot, 1};
      write_text(heard_file(held_.notice.episode), "");
    }
  }

  std::string address_ = (directory / "notify").string();
  session::Listener listener_{address_};
};

TEST_F(ADeath, P3_P5_InAnyEpisodeCostsThatEpisodeOnly) {
  const std::string end = uninterrupted(10);
  for (std::int64_t episode = 2; episode <= 10; ++episode) {
    SCOPED_TRACE("killed in episode " + std::to_string(episode));
    std::filesystem::remove_all(models());
    kill_at(episode);
    ASSERT_EQ(run_and_hold().signal, SIGKILL);
    calm_down();
    EXPECT_EQ(acknowledged_, episode - 1);
    ASSERT_EQ(held_.notice.episode, episode - 1);
    const bool scheduled = exists(checkpoint::sidecar_name(episode - 1));
    const Rescue result = rescue();
    EXPECT_EQ(result.outcome, scheduled ? Outcome::not_needed : Outcome::rescued) << result.sentence;
    EXPECT_EQ(archive(episode - 1), uninterrupted(episode - 1)) << "the bytes that a save would have written";
    const auto outcome = run();
    EXPECT_EQ(outcome.code, 0);
    EXPECT_TRUE(outcome.said("Auto-resuming from episode " + std::to_string(episode - 1))) << outcome.output;
    EXPECT_FALSE(outcome.said("not bit-exact")) << outcome.output;
    EXPECT_EQ(archive(10), end);
  }
}

TEST_F(ADeath, P3_IsFollowedByACheckpointThatSaysWhatASaveWouldHaveSaid) {
  kill_at(6);
  ASSERT_EQ(run_and_hold().signal, SIGKILL);
  calm_down();
  ASSERT_EQ(rescue().outcome, Outcome::rescued);
  const auto rescued = sidecar(5);
  std::filesystem::remove_all(models());
  config.checkpoints.save_frequency = 5;
  ASSERT_EQ(run().code, 0);
  const auto saved = sidecar(5);
  EXPECT_EQ(rescued.digest, saved.digest);
  EXPECT_EQ(rescued.bytes, saved.bytes);
  EXPECT_EQ(rescued.total_episodes, saved.total_episodes);
  EXPECT_EQ(rescued.epsilon, saved.epsilon);
  for (const auto part : {&checkpoint::Sidecar::metrics, &checkpoint::Sidecar::best, &checkpoint::Sidecar::exactness,
                          &checkpoint::Sidecar::config}) {
    EXPECT_FALSE((rescued.*part).empty());
    EXPECT_EQ(compact_json(rescued.*part), compact_json(saved.*part));
  }
  EXPECT_TRUE(rescued.unknown.empty());
}

TEST_F(ADeath, BeforeTheBestModelWasFiledLeavesThatToTheNextWorker) {
  task.profits = {{1, 1.0}, {2, 2.0}, {3, 1.0}, {4, 1.0}, {5, 9.0}, {6, 1.0}, {7, 1.0}, {8, 1.0}, {9, 1.0}, {10, 1.0}};
  kill_at(6);
  ASSERT_EQ(run_and_hold().signal, SIGKILL);
  calm_down();
  for (const auto* name : {"best_model.pt", "best_model.json"}) std::filesystem::remove(models(name));
  ASSERT_EQ(rescue().outcome, Outcome::rescued);
  EXPECT_EQ(sidecar(5).best.at("episode").as_int64(), 5);
  EXPECT_FALSE(exists("best_model.json"));
  raise_at(SIGTERM, 6);
  ASSERT_EQ(run().code, 75);
  EXPECT_EQ(best_sidecar().episode, 5);
  calm_down();
  ASSERT_EQ(run().code, 0);
  EXPECT_EQ(best_sidecar().episode, 5);
}

}  // namespace
}  // namespace ts::shell
