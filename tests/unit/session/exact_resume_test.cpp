// P3: whoever is interrupted and goes on ends with the very bytes of the one that never was.
#include <signal.h>

#include "tests/unit/session/toy_session.h"

namespace ts::session {
namespace {

class ExactResume : public ToySession {};

TEST_F(ExactResume, HoldsForAKillInEveryEpisode) {
  const std::string expected = uninterrupted(10);
  ASSERT_FALSE(expected.empty());
  for (std::int64_t episode = 1; episode <= 10; ++episode) {
    std::filesystem::remove_all(models());
    raise_at(SIGKILL, episode, static_cast<int>(episode) % kStepsPerEpisode);
    ASSERT_EQ(run().signal, SIGKILL);
    calm_down();
    const Outcome resumed = run();
    ASSERT_EQ(resumed.code, 0) << resumed.output;
    EXPECT_EQ(archive(10), expected) << "killed in episode " << episode;
    EXPECT_EQ(read_text(models("best_model.pt")), read_text(directory / "uninterrupted-10/best_model.pt"))
        << "killed in episode " << episode;
  }
}

TEST_F(ExactResume, HoldsForAStopInEveryEpisode) {
  const std::string expected = uninterrupted(10);
  for (std::int64_t episode = 1; episode <= 10; ++episode) {
    std::filesystem::remove_all(models());
    raise_at(SIGTERM, episode, 2);
    ASSERT_EQ(run().code, 75);
    calm_down();
    const Outcome resumed = run();
    ASSERT_EQ(resumed.code, 0) << resumed.output;
    const std::string goes_on = "Resuming training from episode " + std::to_string(episode) + "/10";
    EXPECT_EQ(resumed.said(goes_on), episode > 1) << resumed.output;
    EXPECT_EQ(archive(10), expected) << "stopped in episode " << episode;
  }
}

TEST_F(ExactResume, HoldsForManyInterruptionsInOneRun) {
  const std::string expected = uninterrupted(10);
  for (std::int64_t episode = 2; episode <= 10; episode += 2) {
    raise_at(episode % 4 == 0 ? SIGKILL : SIGTERM, episode);
    run();
  }
  calm_down();
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(archive(10), expected);
}

TEST_F(ExactResume, HoldsFromABestModelOffTheSchedule) {
  task.profits = {{1, 1.0}, {2, 2.0}, {3, 3.0}, {4, 9.0}, {5, 5.0}, {6, 6.0}, {7, 7.0}, {8, 8.0}, {9, 4.0}, {10, 5.0}};
  const std::string expected = uninterrupted(10);
  EXPECT_EQ(run().code, 0);
  ASSERT_FALSE(exists("model_ep4.pt"));
  ASSERT_EQ(best_sidecar().episode, 4);
  const Outcome outcome = run_from("best");
  EXPECT_EQ(outcome.code, 0) << outcome.output;
  EXPECT_TRUE(outcome.said("Auto-resuming from episode 4: " + models("best_model.pt").string())) << outcome.output;
  EXPECT_EQ(archive(10), expected);
  EXPECT_EQ(episodes(), (std::vector<std::int64_t>{3, 6, 9, 10}));
}

TEST_F(ExactResume, HoldsAfterGoingBack) {
  const std::string expected = uninterrupted(10);
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(run_from("ep6").code, 0);
  EXPECT_EQ(archive(10), expected);
  EXPECT_EQ(run_from(models("model_ep3.pt").string()).code, 0);
  EXPECT_EQ(archive(10), expected);
}

TEST_F(ExactResume, HoldsForAGoalThatIsRaisedLater) {
  const std::string expected = uninterrupted(14);
  EXPECT_EQ(run().code, 0);
  config.training.episodes = 14;
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 0);
  EXPECT_TRUE(outcome.said("Resuming training from episode 11/14")) << outcome.output;
  EXPECT_EQ(archive(14), expected);
}

TEST_F(ExactResume, HoldsWhenTheNewestCheckpointIsDamaged) {
  const std::string expected = uninterrupted(10);
  raise_at(SIGTERM, 8);
  EXPECT_EQ(run().code, 75);
  std::filesystem::resize_file(models("model_ep7.pt"), 100);
  calm_down();
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 0);
  EXPECT_TRUE(outcome.said("Resuming training from episode 7/10")) << outcome.output;
  EXPECT_TRUE(outcome.said("rejected episode 7")) << outcome.output;
  EXPECT_EQ(archive(10), expected);
}

TEST_F(ExactResume, IsNotClaimedWhereItCannotBe) {
  raise_at(SIGTERM, 8);
  EXPECT_EQ(run().code, 75);
  calm_down();
  EXPECT_FALSE(run().said("not bit-exact"));
  EXPECT_EQ(run_from("ep6").code, 0);
  task.build = "2";
  const Outcome outcome = run_from("ep6");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_TRUE(outcome.said("not bit-exact: build was \"1\" and is \"2\"")) << outcome.output;
}

}  // namespace
}  // namespace ts::session
