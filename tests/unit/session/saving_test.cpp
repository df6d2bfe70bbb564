// When a session saves, under which names, and what it keeps.
#include <signal.h>
#include <unistd.h>

#include <limits>
#include <stdexcept>

#include "tests/unit/session/toy_session.h"

namespace ts::session {
namespace {

using checkpoint::SaveReason;
using Episodes = std::vector<std::int64_t>;

class Saving : public ToySession {
 protected:
  Saving() { config.checkpoints.save_best = false; }
};

TEST_F(Saving, HappensAtTheFrequencyAndAtTheEnd) {
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(episodes(), (Episodes{3, 6, 9, 10}));
  EXPECT_EQ(sidecar(3).reason, SaveReason::schedule);
  EXPECT_EQ(sidecar(10).reason, SaveReason::final);
  EXPECT_FALSE(exists("best_model.pt"));
}

TEST_F(Saving, TellsInTheSidecarWhatWasSaved) {
  EXPECT_EQ(run().code, 0);
  const auto record = sidecar(6);
  EXPECT_EQ(record.episode, 6);
  EXPECT_EQ(record.total_episodes, 10);
  EXPECT_EQ(record.run_id.size(), 16U);
  EXPECT_EQ(record.run_id, sidecar(3).run_id);
  EXPECT_TRUE(record.metrics.contains("profit") && record.metrics.contains("loss"));
  EXPECT_EQ(record.epsilon, 0.5);
  EXPECT_EQ(record.config.at("width").to_number<int>(), 5);
  EXPECT_EQ(record.exactness.at("build").as_string(), "1");
  EXPECT_GT(record.durable_ms.value_or(0.0), 0.0);
  EXPECT_GT(record.stall_ms.value_or(0.0), 0.0);
  EXPECT_EQ(record.same_state_as, 0);
  EXPECT_FALSE(record.created.empty());
}

TEST_F(Saving, KeepsTheNewestAndTheMilestones) {
  config.checkpoints.save_frequency = 1;
  config.checkpoints.max_keep = 2;
  config.checkpoints.keep_every = 4;
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(episodes(), (Episodes{4, 8, 9, 10}));
}

TEST_F(Saving, HappensWhenTheLastOneIsOldEnoughEvenInTheMiddleOfAnEpisode) {
  config.checkpoints.save_frequency = 1000;
  config.checkpoints.save_interval = std::chrono::milliseconds{200};
  config.training.episodes = 4;
  task.on_step = [this](std::int64_t episode, int step) {
    for (int i = 0; episode == 3 && step == 1 && i < 10'000 && !exists("model_ep2.json"); ++i) ::usleep(1000);
  };
  EXPECT_EQ(run().code, 0);
  ASSERT_TRUE(exists("model_ep2.json"));
  EXPECT_EQ(sidecar(2).reason, SaveReason::interval);
  EXPECT_EQ(sidecar(4).reason, SaveReason::final);
}

TEST_F(Saving, HappensOnAStopAsOfTheLastCompletedEpisode) {
  for (const int signal : {SIGTERM, SIGINT}) {
    std::filesystem::remove_all(models());
    raise_at(signal, 5, 2);
    const Outcome outcome = run();
    EXPECT_EQ(outcome.code, 75);
    EXPECT_TRUE(outcome.said("Stopped after episode 4/10")) << outcome.output;
    EXPECT_EQ(episodes(), (Episodes{3, 4}));
    EXPECT_EQ(sidecar(4).reason, SaveReason::signal);
    // The task had gone on into episode 5; nothing of that is in the file.
    EXPECT_EQ(archive(4), uninterrupted(4));
  }
}

TEST_F(Saving, IsNotRepeatedWhenTheStopFindsItDone) {
  raise_at(SIGTERM, 4, 0);
  EXPECT_EQ(run().code, 75);
  EXPECT_EQ(episodes(), (Episodes{3}));
  EXPECT_EQ(sidecar(3).reason, SaveReason::schedule);
}

TEST_F(Saving, HasNothingToDoBeforeTheFirstEpisode) {
  raise_at(SIGTERM, 1, 2);
  EXPECT_EQ(run().code, 75);
  EXPECT_EQ(episodes(), Episodes{});
}

TEST_F(Saving, IsSkippedBySomeoneInAHurryAndNothingIsLost) {
  task.on_step = [](std::int64_t episode, int step) {
    if (episode != 5 || step != 1) return;
    ::raise(SIGTERM);
    ::usleep(350'000);  // twice within a moment is one request, sent to the process and to its group
    ::raise(SIGTERM);
  };
  EXPECT_EQ(run().signal, SIGTERM);
  EXPECT_EQ(episodes(), (Episodes{3}));
  calm_down();
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(archive(10), uninterrupted(10));
}

TEST_F(Saving, NeverHappensToAStateThatIsNotFinite) {
  for (const double value : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    std::filesystem::remove_all(models());
    config.checkpoints.save_frequency = 1;
    config.checkpoints.save_best = true;
    task.profits = {{1, 1.0}, {2, 2.0}, {3, 3.0}, {4, value}};
    const Outcome outcome = run();
    EXPECT_EQ(outcome.code, 70);
    EXPECT_TRUE(outcome.said("\"profit\" of episode 4 is not a finite number")) << outcome.output;
    EXPECT_EQ(episodes(), (Episodes{1, 2, 3}));
    EXPECT_EQ(best_sidecar().episode, 3);
  }
}

TEST_F(Saving, RefusesABestMetricThatNobodyReports) {
  config.checkpoints.best_metric = "accuracy";
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 78);
  EXPECT_TRUE(outcome.said("\"accuracy\"")) << outcome.output;
  EXPECT_TRUE(outcome.said("loss, profit"));
  EXPECT_EQ(episodes(), Episodes{});
}

// P8: a name that is taken by something that cannot be moved stands for a disk that refuses.
TEST_F(Saving, GoesOnTrainingWhenOneIsRefusedAndMakesItGoodByItself) {
  keep_pace = false;
  task.on_step = [this](std::int64_t episode, int step) {
    if (episode == 1 && step == 0)
      std::filesystem::create_directories(models(".model_ep3.pt.tmp-" + std::to_string(::getpid()) + "-0"));
    // A long episode: the pause before the next try is a second, and nothing else happens meanwhile.
    for (int i = 0; episode == 5 && step == 0 && i < 10'000 && !exists("model_ep4.json"); ++i) ::usleep(1000);
  };
  config.training.episodes = 5;
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 0);
  EXPECT_TRUE(outcome.said("warning: episode 3 was not saved")) << outcome.output;
  EXPECT_EQ(episodes(), (Episodes{4, 5})) << outcome.output;
}

// While the disk is busy with one save, the next waits, and is of the newest episode then.
TEST_F(Saving, OfWhatIsDueMeanwhileTakesTheNewestAfterwards) {
  keep_pace = false;
  config.checkpoints.save_frequency = 1;
  config.training.episodes = 400;
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 0);
  const Episodes saved = episodes();
  ASSERT_FALSE(saved.empty());
  EXPECT_EQ(saved.back(), 400);
  EXPECT_LT(saved.size(), 400U);
  EXPECT_EQ(archive(400), uninterrupted(400));
}

TEST_F(Saving, HappensOnRequestInTheMiddleOfAnEpisode) {
  config.checkpoints.save_frequency = 1000;
  config.training.episodes = 5;
  task.on_step = [this](std::int64_t episode, int step) {
    if (episode != 5) return;
    if (step == 0) ::raise(SIGUSR1);
    // Does not end before episode 4 is on disk: a save at the next episode's end would come too late.
    for (int i = 0; step == 2 && i < 10'000 && !exists("model_ep4.json"); ++i) ::usleep(1000);
  };
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(episodes(), (Episodes{4, 5}));
  EXPECT_EQ(sidecar(4).reason, SaveReason::request);
}

TEST_F(Saving, OnRequestSaysSoWhenThereIsNothingNew) {
  raise_at(SIGTERM, 4, 0);
  EXPECT_EQ(run().code, 75);
  raise_at(SIGUSR1, 4, 0);
  const Outcome outcome = run();
  EXPECT_TRUE(outcome.said("nothing to save: episode 3 is saved")) << outcome.output;
  EXPECT_EQ(episodes(), (Episodes{3, 6, 9, 10}));
}

TEST_F(Saving, OfAStateThatNeverChangesIsCalledAnError) {
  task.on_step = [this](std::int64_t episode, int) { task.is_stuck = episode > 4; };
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 0);
  EXPECT_FALSE(outcome.said("episode 6 is the very state")) << outcome.output;  // 3 and 6 differ
  EXPECT_TRUE(outcome.said("error: the state of episode 9 is the very state that was saved for episode 6"))
      << outcome.output;
  EXPECT_EQ(sidecar(6).same_state_as, 0);
  EXPECT_EQ(sidecar(9).same_state_as, 6);
}

// P5: what was completed before a failure of the task is not trained again.
TEST_F(Saving, HappensBeforeAFailureEndsTheSession) {
  config.checkpoints.save_frequency = 1000;
  task.profits = {{5, std::numeric_limits<double>::quiet_NaN()}};
  EXPECT_EQ(run().code, 70);
  EXPECT_EQ(episodes(), (Episodes{4}));
  EXPECT_EQ(archive(4), uninterrupted(4));
}

TEST_F(Saving, HappensBeforeAnExceptionEndsTheSession) {
  config.checkpoints.save_frequency = 1000;
  task.on_step = [](std::int64_t episode, int) {
    if (episode == 5) throw std::runtime_error("out of memory");
  };
  EXPECT_NE(run().code, 0);
  EXPECT_EQ(episodes(), (Episodes{4}));
  EXPECT_EQ(archive(4), uninterrupted(4));
}

TEST_F(Saving, IsDoneUnderTheNameThatTheSupervisorGaveTheRun) {
  ::setenv("TRAINER_RUN_ID", "0123456789abcdef", 1);
  ::setenv("TRAINER_ATTEMPT", "7", 1);
  EXPECT_EQ(run().code, 0);
  ::unsetenv("TRAINER_RUN_ID");
  ::unsetenv("TRAINER_ATTEMPT");
  EXPECT_EQ(sidecar(10).run_id, "0123456789abcdef");
  EXPECT_EQ(sidecar(10).attempt, 7);
}

}  // namespace
}  // namespace ts::session
