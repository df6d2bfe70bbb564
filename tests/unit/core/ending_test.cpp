// From a worker that trains to none: asked, hung, or told twice.
#include <gtest/gtest.h>

#include "tests/unit/core/scenario.h"

namespace ts::core {
namespace {

TEST(AStop, LetsTheWorkerSaveAndThenStands) {
  Scenario s;
  s.trains(10).stop();
  EXPECT_EQ(s.state.phase, Phase::stopping);
  EXPECT_EQ(s.state.desired, Desired::down);
  EXPECT_TRUE(s.signalled(Signal::terminate));
  EXPECT_EQ(s.wait(), s.policy.stop_timeout);
  s.exits(75);
  EXPECT_EQ(s.state.phase, Phase::stopped);
  EXPECT_TRUE(s.state.restarts.empty());
  EXPECT_FALSE(s.did<PrepareLaunch>());
}

TEST(AStop, WorksInEveryPhase) {
  Scenario stopped;
  EXPECT_EQ(stopped.stop().state.phase, Phase::stopped);

  Scenario preparing;
  preparing.start().stop();
  EXPECT_EQ(preparing.state.phase, Phase::stopped);
  preparing.feed(LaunchPrepared{1, {}});  // its answer comes too late
  EXPECT_FALSE(preparing.did<SpawnWorker>());
  EXPECT_EQ(preparing.state.phase, Phase::stopped);

  Scenario starting;
  starting.start().launched().stop();
  EXPECT_EQ(starting.state.phase, Phase::stopping);
  EXPECT_EQ(starting.dies_of(15).state.phase, Phase::stopped);

  Scenario stopping;
  stopping.trains().stop();
  const Instant deadline = *stopping.state.deadline;
  stopping.after(seconds{5}).stop();
  EXPECT_EQ(*stopping.state.deadline, deadline);  // asking again does not prolong it
  EXPECT_FALSE(stopping.did<SignalWorker>());

  Scenario backoff;
  backoff.trains().dies_of(11).launched().dies_of(11).stop();
  EXPECT_EQ(backoff.state.phase, Phase::stopped);
  EXPECT_FALSE(backoff.state.deadline.has_value());

  Scenario finished;
  EXPECT_EQ(finished.trains().exits(0).stop().state.phase, Phase::finished);

  Scenario fatal;
  EXPECT_EQ(fatal.trains().exits(78).stop().state.phase, Phase::stopped);
}

TEST(AStop, ForgetsARestartThatWasAskedForBefore) {
  Scenario s;
  s.trains(300).restart_from("ep200").stop().exits(75);
  EXPECT_EQ(s.state.phase, Phase::stopped);
  EXPECT_EQ(s.start().preparing_from(), LaunchFrom{});
}

TEST(AStopOfAHangingWorker, LeadsToRest) {
  Scenario s;
  s.trains().hangs();
  ASSERT_EQ(s.state.stop_cause, Cause::heartbeat_lost);
  s.stop().dies_of(9);
  EXPECT_EQ(s.state.phase, Phase::stopped);
}

TEST(AStart, TakesBackAStopThatIsUnderWay) {
  Scenario s;
  s.trains(10).stop().start();
  EXPECT_EQ(s.state.phase, Phase::stopping);
  s.exits(75);
  EXPECT_EQ(s.state.phase, Phase::starting);
  EXPECT_EQ(s.state.incidents, 0);
}

TEST(AWorkerThatFinishesWhileItIsStopped, IsFinished) {
  Scenario s;
  s.trains().stop().exits(0);
  EXPECT_EQ(s.state.phase, Phase::finished);
  EXPECT_EQ(s.state.finished_total, 300);
}

TEST(AWorkerThatFinishesWhileARestartFromElsewhereIsAsked, GoesBackAllTheSame) {
  Scenario s;
  s.trains().restart_from("ep200").exits(0);
  EXPECT_EQ(s.preparing_from(), (LaunchFrom{LaunchFrom::Kind::selector, "ep200"}));
}

// P9, P4: harsher and harsher, each step once and in time, and no second worker beside one that does not die.
TEST(AWorkerThatDoesNotEnd, MeetsTerminateAbortKillAndThenPatience) {
  Scenario s;
  s.trains().overdue();
  EXPECT_TRUE(s.did<InspectWorker>());
  EXPECT_EQ(s.state.phase, Phase::running);
  s.seen_hanging();
  EXPECT_EQ(s.state.phase, Phase::stopping);
  EXPECT_TRUE(s.did<GatherEvidence>());
  EXPECT_FALSE(s.did<SignalWorker>()) << "evidence first";
  EXPECT_TRUE(s.says("no heartbeat"));
  EXPECT_TRUE(s.says("it sleeps"));
  s.evidence();
  EXPECT_TRUE(s.signalled(Signal::terminate));
  EXPECT_TRUE(s.says("incidents/1"));
  EXPECT_EQ(s.wait(), s.policy.hang_grace);
  s.overdue();
  EXPECT_TRUE(s.signalled(Signal::abort));
  EXPECT_EQ(s.wait(), s.policy.abort_grace);
  s.overdue();
  EXPECT_TRUE(s.signalled(Signal::kill));
  EXPECT_EQ(s.wait(), s.policy.kill_grace);
  for (int i = 0; i < 50; ++i) {
    s.overdue();
    ASSERT_EQ(s.state.stop_step, StopStep::unkillable);
    ASSERT_EQ(s.state.phase, Phase::stopping);
    ASSERT_TRUE(s.signalled(Signal::kill));
    ASSERT_FALSE(s.did<PrepareLaunch>());
    s.restart();  // not even when asked
    ASSERT_FALSE(s.did<PrepareLaunch>());
    s.start();
    ASSERT_FALSE(s.did<PrepareLaunch>());
  }
  s.dies_of(9);
  EXPECT_EQ(s.state.phase, Phase::starting);
}

TEST(AWorkerThatHung, IsAnIncidentOfThatCauseHoweverItEnded) {
  for (const int how : {15, 6, 9}) {
    Scenario s;
    s.trains().hangs().dies_of(how);
    EXPECT_EQ(s.state.last_cause, Cause::heartbeat_lost);
    EXPECT_EQ(s.state.restarts.at(Cause::heartbeat_lost), 1);
    EXPECT_EQ(s.state.phase, Phase::starting);
  }
  Scenario polite;  // it was slow, not hung: its state is saved, and it goes on
  polite.trains().hangs().exits(75);
  EXPECT_EQ(polite.state.phase, Phase::starting);
}

TEST(AWorkerThatIsNeverReady, IsEndedAndStartedAgain) {
  Scenario s;
  s.start().launched().hangs();
  EXPECT_EQ(s.state.phase, Phase::stopping);
  EXPECT_EQ(s.state.stop_cause, Cause::start_timeout);
  s.dies_of(15);
  EXPECT_EQ(s.state.last_cause, Cause::start_timeout);
  EXPECT_EQ(s.state.attempt, 2);
}

TEST(AShutdown, LeavesAtOnceWhenNobodyRuns) {
  Scenario s;
  s.shut_down();
  EXPECT_TRUE(s.did<LeaveDaemon>());
  EXPECT_EQ(s.state.phase, Phase::stopped);

  Scenario preparing;
  preparing.start().shut_down();
  EXPECT_TRUE(preparing.did<LeaveDaemon>());
  preparing.feed(LaunchPrepared{1, {}});
  EXPECT_FALSE(preparing.did<SpawnWorker>());
}

TEST(AShutdown, KeepsWhatWasReached) {
  Scenario finished;
  finished.trains().exits(0).shut_down();
  EXPECT_TRUE(finished.did<LeaveDaemon>());
  EXPECT_EQ(finished.state.phase, Phase::finished);
  Scenario fatal;
  fatal.trains().exits(78).shut_down();
  EXPECT_TRUE(fatal.did<LeaveDaemon>());
  EXPECT_EQ(fatal.state.phase, Phase::fatal);
}

TEST(AShutdown, WaitsForTheWorkerAndThenLeaves) {
  for (const int code : {75, 0, 1}) {
    Scenario s;
    s.trains().shut_down();
    EXPECT_TRUE(s.signalled(Signal::terminate));
    EXPECT_FALSE(s.did<LeaveDaemon>());
    EXPECT_EQ(s.wait(), s.policy.stop_timeout);
    s.exits(code);
    EXPECT_TRUE(s.did<LeaveDaemon>()) << code;
    EXPECT_FALSE(s.did<PrepareLaunch>());
  }
}

TEST(ASecondShutdown, KillsOnceAndAtOnce) {
  Scenario s;
  s.trains().shut_down().shut_down(true);
  EXPECT_TRUE(s.signalled(Signal::kill));
  EXPECT_EQ(s.wait(), s.policy.kill_grace);
  s.shut_down(true);
  EXPECT_FALSE(s.did<SignalWorker>());
  s.dies_of(9);
  EXPECT_TRUE(s.did<LeaveDaemon>());
}

TEST(ASecondShutdown, KillsAlsoWhenAnEarlierWorkerHadToBeKilled) {
  Scenario s;
  s.trains().overdue().overdue().overdue().dies_of(9);  // the escalation of the attempt before went to the end
  s.launched().ready().shut_down(true);
  EXPECT_TRUE(s.signalled(Signal::kill));
}

TEST(AShutdown, DoesNotWaitForAWorkerThatNothingCanEnd) {
  Scenario s;
  s.trains().shut_down(true).overdue();
  EXPECT_EQ(s.state.stop_step, StopStep::unkillable);
  EXPECT_TRUE(s.did<LeaveDaemon>());
  EXPECT_TRUE(s.state.has_process());  // the next one adopts it
}

TEST(AShutdown, IsNotTakenBackByAStartOrARestart) {
  Scenario s;
  s.trains().shut_down().start();
  EXPECT_FALSE(s.note.empty());
  s.restart_from("ep10");
  EXPECT_FALSE(s.note.empty());
  s.exits(75);
  EXPECT_TRUE(s.did<LeaveDaemon>());
  EXPECT_FALSE(s.did<PrepareLaunch>());
}

TEST(AShutdown, TakesOverAStopThatIsUnderWay) {
  Scenario s;
  s.trains().stop().shut_down().exits(75);
  EXPECT_TRUE(s.did<LeaveDaemon>());
}

TEST(AnExit, OfAnEarlierAttemptIsNotTheOneOfThisWorker) {
  Scenario s;
  s.trains().dies_of(11).launched().ready();
  const State before = s.state;
  s.feed(WorkerExited{1, {0, std::nullopt}, ""});
  EXPECT_EQ(s.state, before);
  EXPECT_TRUE(s.actions.empty());
}

}  // namespace
}  // namespace ts::core
