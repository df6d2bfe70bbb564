// The command line and environment of a launch.
#include "supervisor/shell/worker_command.h"

#include <gtest/gtest.h>

namespace ts::shell {
namespace {

using Arguments = std::vector<std::string>;

const LaunchContext kContext{
    "config/my.yaml", "/opt/ts/bin/trainer-supervisor", "/run/ts/notify.sock", "/run/ts", "1:2", "0123abcd",
    "after a crash"};
const core::ResumePoint kResume{250, "models/model_ep250.pt"};

TEST(TheCommand, IsByDefaultTheTrainerBesideTheSupervisor) {
  EXPECT_EQ(make_worker_command({}, kContext, 3, kResume).arguments,
            (Arguments{"/opt/ts/bin/trainer", "--config", "config/my.yaml", "--resume", "models/model_ep250.pt"}));
  EXPECT_EQ(make_worker_command({}, kContext, 3, {}).arguments,
            (Arguments{"/opt/ts/bin/trainer", "--config", "config/my.yaml"}));
}

TEST(TheCommand, FillsInItsPlaceholdersWhereverTheyStand) {
  config::Config config;
  config.worker.command = {"python3", "train.py", "--cfg={config}"};
  config.worker.resume_args = {"--from={checkpoint}", "{checkpoint}{checkpoint}", "{other}"};
  config.worker.fresh_args = {"--begin", "{config}"};
  EXPECT_EQ(
      make_worker_command(config, kContext, 1, {9, "a b/c.pt"}).arguments,
      (Arguments{"python3", "train.py", "--cfg=config/my.yaml", "--from=a b/c.pt", "a b/c.pta b/c.pt", "{other}"}));
  EXPECT_EQ(make_worker_command(config, kContext, 1, {}).arguments,
            (Arguments{"python3", "train.py", "--cfg=config/my.yaml", "--begin", "config/my.yaml"}));
}

TEST(ThePathOfACheckpoint, IsNotReadForPlaceholdersAgain) {
  const core::ResumePoint resume{1, "{checkpoint}/{config}.pt"};
  EXPECT_EQ(make_worker_command({}, kContext, 1, resume).arguments.back(), "{checkpoint}/{config}.pt");
}

TEST(TheEnvironment, IsTheContractsOnTopOfTheConfigured) {
  config::Config config;
  config.worker.environment = {{"OMP_NUM_THREADS", "1"}, {"TRAINER_ATTEMPT", "mine"}};
  config.supervisor.heartbeat_timeout = std::chrono::seconds{30};
  const auto environment = make_worker_command(config, kContext, 3, kResume).environment;
  EXPECT_EQ(environment, (std::map<std::string, std::string>{{"NOTIFY_SOCKET", "/run/ts/notify.sock"},
                                                             {"OMP_NUM_THREADS", "1"},
                                                             {"TRAINER_ATTEMPT", "3"},
                                                             {"TRAINER_RESUME_CHECKPOINT", "models/model_ep250.pt"},
                                                             {"TRAINER_RESUME_EPISODE", "250"},
                                                             {"TRAINER_RESUME_REASON", "after a crash"},
                                                             {"TRAINER_RUN_ID", "0123abcd"},
                                                             {"TRAINER_STATE_DIRECTORY", "/run/ts"},
                                                             {"TRAINER_STATE_ID", "1:2"},
                                                             {"WATCHDOG_USEC", "30000000"}}));
}

TEST(TheEnvironment, NamesNoEpisodeOfAFileFromElsewhereAndNothingForABeginning) {
  const auto foreign = make_worker_command({}, kContext, 1, {0, "theirs.pt", true}).environment;
  EXPECT_EQ(foreign.at("TRAINER_RESUME_CHECKPOINT"), "theirs.pt");
  EXPECT_FALSE(foreign.contains("TRAINER_RESUME_EPISODE"));
  const auto fresh = make_worker_command({}, kContext, 1, {}).environment;
  EXPECT_FALSE(fresh.contains("TRAINER_RESUME_CHECKPOINT") || fresh.contains("TRAINER_RESUME_EPISODE"));
}

TEST(AWorkerThatDoesNotBeat, IsToldNoAddressToBeatTo) {
  config::Config config;
  config.supervisor.heartbeat_timeout = std::chrono::milliseconds{0};
  const auto environment = make_worker_command(config, kContext, 1, {}).environment;
  EXPECT_FALSE(environment.contains("NOTIFY_SOCKET"));
  EXPECT_FALSE(environment.contains("WATCHDOG_USEC"));
  EXPECT_EQ(environment.at("TRAINER_STATE_DIRECTORY"), "/run/ts");
}

TEST(TheLog, LiesInTheLogDirectory) {
  config::Config config;
  config.logging.directory = "/var/log/ts";
  EXPECT_EQ(make_worker_command(config, kContext, 1, {}).log_file, "/var/log/ts/worker.log");
}

}  // namespace
}  // namespace ts::shell
