// The best model: the one with the best value of the metric, whatever was killed when.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/session/toy_session.h"

namespace ts::session {
namespace {

class BestModel : public ToySession {
 protected:
  BestModel() {
    task.profits = {{1, 1.0}, {2, 4.0}, {3, 2.0}, {4, 3.0}, {5, 8.0},
                    {6, 7.0}, {7, 8.0}, {8, 6.0}, {9, 9.0}, {10, 5.0}};
  }
  ino_t inode(const std::string& name) const {
    struct stat status {};
    EXPECT_EQ(::stat(models(name).c_str(), &status), 0) << name;
    return status.st_ino;
  }
};

TEST_F(BestModel, IsTheOneWithTheGreatestValue) {
  EXPECT_EQ(run().code, 0);
  const auto best = best_sidecar();
  EXPECT_EQ(best.episode, 9);
  EXPECT_EQ(best.reason, checkpoint::SaveReason::best);
  EXPECT_EQ(best.metrics.at("profit").as_double(), 9.0);
  EXPECT_EQ(inode("best_model.pt"), inode("model_ep9.pt"));  // on the schedule: one file, two names
  EXPECT_EQ(sidecar(10).best.at("episode").as_int64(), 9);
}

TEST_F(BestModel, IsTheOneWithTheLeastValueWhereLessIsBetter) {
  config.checkpoints.best_mode = config::BestMode::min;
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(best_sidecar().episode, 1);
}

TEST_F(BestModel, StaysTheFirstOfEquals) {
  config.training.episodes = 8;
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(best_sidecar().episode, 5);
}

TEST_F(BestModel, IsNotSavedWhenNotWanted) {
  config.checkpoints.save_best = false;
  EXPECT_EQ(run().code, 0);
  EXPECT_FALSE(exists("best_model.pt"));
  EXPECT_FALSE(exists("best_model.json"));
}

TEST_F(BestModel, IsTheSameAfterAKillInEveryEpisode) {
  for (std::int64_t episode = 1; episode <= 10; ++episode) {
    std::filesystem::remove_all(models());
    raise_at(SIGKILL, episode);
    ASSERT_EQ(run().signal, SIGKILL);
    calm_down();
    ASSERT_EQ(run().code, 0);
    EXPECT_EQ(best_sidecar().episode, 9) << "killed in episode " << episode;
  }
}

// On a slow disk a checkpoint is due whenever the last one is saved.
TEST_F(BestModel, GetsItsTurnWhereACheckpointIsDueAllTheTime) {
  keep_pace = false;
  config.checkpoints.save_frequency = 1;
  config.training.episodes = 1'000'000;
  config.checkpoints.best_metric = "loss";  // never better than in the first episode, so one save is all it needs
  task.before_episode = [this](std::int64_t) {
    if (exists("best_model.json")) ::raise(SIGTERM);
  };
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 75) << "the best model had to wait for the end of the training";
  EXPECT_TRUE(outcome.said("saved (schedule)")) << "no checkpoint came before it, so this proves nothing";
}

// P5: power that is cut right after a checkpoint finds the best model that the checkpoint names, whatever came due
// while the disk was busy.
TEST_F(BestModel, IsOnDiskBeforeANewerCheckpointNamesIt) {
  keep_pace = false;
  task = ToyTask(4'000'000);  // saved in tens of milliseconds, while the next episodes take a few
  config.checkpoints.save_frequency = 2;
  config.training.episodes = 100;
  for (const bool is_surpassed : {false, true}) {
    std::filesystem::remove_all(models());
    task.profits = {{1, 1.0}, {2, 1.0}, {3, 4.0}, {4, 2.0}, {5, is_surpassed ? 5.0 : 3.0}, {6, 1.0}};
    task.before_episode = [this](std::int64_t episode) {
      for (int i = 0; episode == 6 && i < 10'000 && !exists("model_ep4.json"); ++i) ::usleep(100);
      if (episode == 6) ::raise(SIGKILL);
    };
    ASSERT_EQ(run().signal, SIGKILL);
    ASSERT_TRUE(exists("model_ep4.json"));
    ASSERT_EQ(sidecar(4).best.at("episode").as_int64(), 3);
    ASSERT_TRUE(exists("best_model.json")) << "surpassed: " << is_surpassed;
    EXPECT_GE(best_sidecar().episode, 3);
  }
}

// P8: what cannot be read just now may be as good as ever.
TEST_F(BestModel, ThatCannotBeReadJustNowIsNotReplacedByAWorseOne) {
  config.training.episodes = 9;
  EXPECT_EQ(run().code, 0);
  const auto best = read_text(models("best_model.json"));
  std::filesystem::remove(models("best_model.json"));
  std::filesystem::create_symlink(directory / "elsewhere.json", models("best_model.json"));  // never followed
  config.training.episodes = 10;
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 0);
  EXPECT_TRUE(outcome.said("best_model.json is a symbolic link")) << outcome.output;
  EXPECT_TRUE(std::filesystem::is_symlink(models("best_model.json")));
  std::filesystem::remove(models("best_model.json"));
  write_text(models("best_model.json"), best);
  EXPECT_EQ(best_sidecar().episode, 9);
}

TEST_F(BestModel, IsMadeAnewWhenItsFilesAreGone) {
  config.training.episodes = 9;
  EXPECT_EQ(run().code, 0);
  for (const auto* name : {"best_model.pt", "best_model.json"}) std::filesystem::remove(models(name));
  config.training.episodes = 10;
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(best_sidecar().episode, 9);
}

TEST_F(BestModel, IsChosenAnewFromWhatRemainsAfterGoingBack) {
  EXPECT_EQ(run().code, 0);
  raise_at(SIGTERM, 7, 0);
  EXPECT_EQ(run_from("ep6").code, 75);
  // Episode 5 was best until then, but its file was off the schedule and is gone: of 3 and 6 it is 6.
  EXPECT_EQ(best_sidecar().episode, 6);
  calm_down();
  EXPECT_EQ(run().code, 0);
  EXPECT_EQ(best_sidecar().episode, 9);
}

TEST_F(BestModel, OfAnotherRunDoesNotCount) {
  EXPECT_EQ(run().code, 0);
  task.profits = {{1, 0.5}};
  config.training.episodes = 1;
  EXPECT_EQ(run({ResumeRequest::Kind::fresh, ""}).code, 0);
  EXPECT_EQ(best_sidecar().episode, 1);
}

}  // namespace
}  // namespace ts::session
