// From the wish to train to a worker that trains, and what an operator may ask for on the way.
#include <gtest/gtest.h>

#include "tests/unit/core/scenario.h"

namespace ts::core {
namespace {

TEST(AStart, SettlesAResumePointThenSpawnsThenRunsAtReady) {
  Scenario s;
  s.start();
  EXPECT_EQ(s.state.phase, Phase::starting);
  EXPECT_EQ(s.state.desired, Desired::up);
  EXPECT_EQ(s.state.attempt, 1);
  EXPECT_EQ(s.preparing_from(), LaunchFrom{});
  // Large checkpoints on a slow disk may take their time: it is said, and nothing else happens.
  for (int i = 0; i < 10; ++i) {
    s.overdue();
    ASSERT_TRUE(s.actions.empty());
    ASSERT_NE(s.note.find("settling where to resume has taken"), std::string::npos) << s.note;
  }

  s.after(seconds{3}).prepared(250);
  ASSERT_TRUE(s.did<SpawnWorker>());
  EXPECT_EQ(std::get<SpawnWorker>(s.actions.back()).resume, (ResumePoint{250, "models/model_ep250.pt"}));
  EXPECT_EQ(s.state.progress.episode, 250);

  s.spawned();
  EXPECT_EQ(s.state.phase, Phase::starting);
  EXPECT_EQ(s.state.pid, 1001);
  EXPECT_TRUE(s.did<SaveState>());
  EXPECT_TRUE(s.says("models/model_ep250.pt"));
  EXPECT_EQ(s.wait(), s.policy.startup_timeout);  // counted from the spawn

  s.ready();
  EXPECT_EQ(s.state.phase, Phase::running);
  EXPECT_EQ(s.wait(), s.policy.heartbeat_timeout);
  EXPECT_EQ(s.state.progress.resumed, 250);
}

TEST(AWorkerThatDoesNotBeat, RunsFromItsSpawnOnAndIsNeverOverdue) {
  Policy policy;
  policy.heartbeat_timeout = Duration::zero();
  Scenario s(policy);
  s.start().launched();
  EXPECT_EQ(s.state.phase, Phase::running);
  EXPECT_FALSE(s.state.deadline.has_value());
  s.after(hours{1000}).feed(DeadlinePassed{});
  EXPECT_EQ(s.state.phase, Phase::running);
}

TEST(AStart, IsNothingNewToAWorkerThatIsThere) {
  for (const bool ready : {false, true}) {
    Scenario s;
    s.start().launched();
    if (ready) s.ready();
    const State before = s.state;
    s.start();
    EXPECT_EQ(s.state, before);
    EXPECT_TRUE(s.actions.empty());
  }
}

TEST(AStart, EndsTheWaitAndForgivesWhatWasBefore) {
  Scenario s;
  s.trains().dies_of(11).launched().dies_of(11);
  ASSERT_EQ(s.state.phase, Phase::backoff);
  s.start();
  EXPECT_EQ(s.state.phase, Phase::starting);
  EXPECT_EQ(s.state.incidents, 0);
  EXPECT_EQ(s.state.attempt, 3);
}

TEST(AStartThatNobodyAskedFor, ForgivesNothing) {
  Scenario s;
  s.state.incidents = 5;  // remembered: a reboot does not reset it
  s.feed(StartRequested{false});
  EXPECT_EQ(s.state.phase, Phase::starting);
  EXPECT_EQ(s.state.incidents, 5);
}

TEST(AnAnswer, ToAnEarlierQuestionIsForNobody) {
  Scenario s;
  s.start().restart().feed(LaunchPrepared{1, {10, "models/model_ep10.pt"}});
  EXPECT_TRUE(s.actions.empty());
  EXPECT_EQ(s.state.resume, ResumePoint{});
}

TEST(ALaunchThatIsRefused, IsFatalForGoodOrTriedAgainAsTheRefusalSays) {
  Scenario s;
  s.start().feed(LaunchRefused{1, Cause::bad_data, true, "nothing there can be resumed from"});
  EXPECT_EQ(s.state.phase, Phase::fatal);
  EXPECT_FALSE(s.state.deadline.has_value());
  EXPECT_TRUE(s.says("nothing there can be resumed from"));
  EXPECT_EQ(s.state.last_cause, Cause::bad_data);

  Scenario t;
  t.start().feed(LaunchRefused{1, Cause::cannot_prepare, false, "the disk did not answer"});
  EXPECT_EQ(t.state.phase, Phase::starting);
  EXPECT_EQ(t.state.attempt, 2);
  EXPECT_TRUE(t.says("the disk did not answer"));
  t.feed(LaunchRefused{1, Cause::bad_data, true, "late"});  // of the attempt before
  EXPECT_EQ(t.state.phase, Phase::starting);
}

TEST(AWorkerThatCannotBeExecuted, IsTriedAgainAfterAWait) {
  Scenario s;
  s.start().prepared().feed(SpawnFailed{1, "could not execute ./trainer"});
  EXPECT_EQ(s.state.last_cause, Cause::exec_failed);
  s.prepared().feed(SpawnFailed{2, "could not execute ./trainer"});
  EXPECT_EQ(s.state.phase, Phase::backoff);
  EXPECT_TRUE(s.says("could not execute ./trainer"));
  EXPECT_EQ(s.state.restarts.at(Cause::exec_failed), 2);
}

TEST(ASecondReportOfASpawn, ReplacesNobody) {
  Scenario s;
  s.start().launched();
  const State before = s.state;
  s.feed(WorkerSpawned{1, 4711});
  EXPECT_EQ(s.state, before);
  s.feed(SpawnFailed{1, "no"});
  EXPECT_EQ(s.state, before);
}

TEST(RestartFrom, KeepsItsTargetUntilTheWorkerIsReadyThereAndNoLonger) {
  Scenario s;
  s.trains(300).restart_from("ep200");
  const LaunchFrom target{LaunchFrom::Kind::selector, "ep200"};
  EXPECT_EQ(s.state.next_launch, target);
  EXPECT_TRUE(s.signalled(Signal::terminate));
  EXPECT_TRUE(s.did<SaveState>());  // durable: the supervisor may die now
  s.exits(75);
  EXPECT_EQ(s.preparing_from(), target);
  EXPECT_EQ(s.state.next_launch, target);
  s.launched(200);
  EXPECT_EQ(s.state.next_launch, target);  // it may die before it has loaded anything
  s.ready();
  EXPECT_EQ(s.state.next_launch, LaunchFrom{});
  EXPECT_TRUE(s.did<SaveState>());
  s.dies_of(11);
  EXPECT_EQ(s.preparing_from(), LaunchFrom{});
}

TEST(RestartFrom, SurvivesTheSupervisorBetweenTheWishAndTheLaunch) {
  for (const bool worker_left : {false, true}) {
    Scenario s;
    s.trains(300).restart_from("ep200");
    // What outlives a supervisor (state_file.h), in one that comes after.
    Scenario next;
    next.state.attempt = s.state.attempt;
    next.state.next_launch = s.state.next_launch;
    next.state.incidents = s.state.incidents;
    if (worker_left) {
      next.feed(WorkerAdopted{s.state.pid});
      EXPECT_TRUE(next.signalled(Signal::terminate));  // whether or not the one before came to it
      next.exits(75);
    } else {
      next.start();
    }
    EXPECT_EQ(next.preparing_from(), (LaunchFrom{LaunchFrom::Kind::selector, "ep200"})) << worker_left;
  }
}

TEST(RestartFrom, OutlivesAWorkerThatDiesBeforeItIsReady) {
  Scenario s;
  s.trains(300).restart_from("ep200").exits(75).launched(200).dies_of(11);
  EXPECT_EQ(s.preparing_from(), (LaunchFrom{LaunchFrom::Kind::selector, "ep200"}));
}

// P10. Found by the random histories: it was relaunched at once and for ever, and no incident was counted.
TEST(RestartFrom, IsNoReasonToCrashForEver) {
  for (const bool hangs : {false, true}) {
    Scenario s;
    s.trains(300).restart_from("ep200").exits(75);
    int launches = 0;
    for (; s.state.phase != Phase::fatal && launches < 50; ++launches) {
      if (s.state.phase == Phase::backoff) s.overdue();
      s.launched(200);
      if (hangs) s.overdue();
      s.dies_of(hangs ? 15 : 11);
    }
    EXPECT_EQ(launches, s.policy.max_attempts_without_progress);
    EXPECT_EQ(s.overdue().preparing_from(), (LaunchFrom{LaunchFrom::Kind::selector, "ep200"}));
  }
}

TEST(RestartFrom, IsForgottenWhenItCanNeverWork) {
  Scenario s;
  s.trains(300).restart_from("ep200").exits(75).launched(200).exits(65);
  ASSERT_EQ(s.state.phase, Phase::fatal);
  EXPECT_EQ(s.start().preparing_from(), LaunchFrom{});
}

TEST(RestartFrom, OutlivesAFailureToPrepare) {
  Scenario s;
  s.start().launched(300).ready().restart_from("ep200").exits(75);
  s.feed(LaunchRefused{2, Cause::cannot_prepare, false, "the disk did not answer"});
  EXPECT_EQ(s.preparing_from(), (LaunchFrom{LaunchFrom::Kind::selector, "ep200"}));
}

TEST(ARestart, WorksInEveryPhase) {
  const LaunchFrom fresh{LaunchFrom::Kind::fresh, {}};
  Scenario stopped;
  EXPECT_EQ(stopped.restart(fresh).preparing_from(), fresh);

  Scenario preparing;
  preparing.start().restart(fresh);
  EXPECT_EQ(preparing.preparing_from(), fresh);
  EXPECT_EQ(preparing.state.attempt, 2);
  preparing.feed(LaunchPrepared{1, {}});  // of the one that was overtaken
  EXPECT_FALSE(preparing.did<SpawnWorker>());

  Scenario starting;
  starting.start().launched().restart(fresh);
  EXPECT_EQ(starting.state.phase, Phase::stopping);
  EXPECT_EQ(starting.exits(75).preparing_from(), fresh);

  Scenario stopping;
  stopping.trains().stop().restart(fresh);
  EXPECT_EQ(stopping.state.phase, Phase::stopping);
  EXPECT_EQ(stopping.exits(75).preparing_from(), fresh);

  Scenario backoff;
  backoff.trains().dies_of(11).launched().dies_of(11);
  ASSERT_EQ(backoff.state.phase, Phase::backoff);
  EXPECT_EQ(backoff.restart(fresh).preparing_from(), fresh);
  EXPECT_EQ(backoff.state.incidents, 0);

  Scenario finished;
  finished.trains().exits(0);
  ASSERT_EQ(finished.state.phase, Phase::finished);
  EXPECT_EQ(finished.restart(fresh).preparing_from(), fresh);
  EXPECT_EQ(finished.state.finished_total, 0);

  Scenario fatal;
  fatal.trains().exits(78);
  ASSERT_EQ(fatal.state.phase, Phase::fatal);
  EXPECT_EQ(fatal.restart(fresh).preparing_from(), fresh);
}

TEST(ARestart, IsNoIncident) {
  Scenario s;
  s.trains(10).restart().exits(75);
  EXPECT_EQ(s.state.phase, Phase::starting);
  EXPECT_EQ(s.state.incidents, 0);
  EXPECT_TRUE(s.state.restarts.empty());
}

TEST(AFinishedTraining, IsRememberedUntilTheGoalIsRaised) {
  Scenario s;
  s.trains().completes(300).exits(0);
  EXPECT_EQ(s.state.phase, Phase::finished);
  EXPECT_EQ(s.state.finished_total, 300);
  EXPECT_FALSE(s.state.deadline.has_value());
  s.start();
  EXPECT_EQ(s.state.phase, Phase::finished);
  EXPECT_FALSE(s.did<PrepareLaunch>());
  EXPECT_TRUE(s.says("300/300"));

  // After a reboot, the same.
  Scenario rebooted;
  rebooted.state.finished_total = 300;
  rebooted.start();
  EXPECT_EQ(rebooted.state.phase, Phase::finished);

  rebooted.policy.total_episodes = 400;
  rebooted.start();
  EXPECT_EQ(rebooted.state.phase, Phase::starting);
}

}  // namespace
}  // namespace ts::core
