// P5: a worker that dies costs at most the episode in flight. What it left in memory is made durable before anything
// else: before the next launch, before a stop is done, before the supervisor leaves.
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/core/scenario.h"

namespace ts::core {
namespace {

// A worker that has announced a snapshot after each of two episodes.
Scenario with_snapshot() {
  Scenario s;
  s.trains(10).announces(11).announces(12);
  return s;
}

TEST(ADeadWorkersMemory, IsRescuedBeforeItIsRelaunched) {
  Scenario s = with_snapshot();
  s.dies_of(11);
  EXPECT_EQ(s.the<RescueSnapshot>().attempt, 1);
  EXPECT_EQ(s.state.phase, Phase::stopping);
  EXPECT_FALSE(s.did<PrepareLaunch>());
  EXPECT_FALSE(s.state.has_process());
  EXPECT_TRUE(s.says("was killed by signal 11 (SIGSEGV); saving episode 12, which it left in memory"));
  s.rescued("episode 12 was saved from its memory");
  EXPECT_EQ(s.state.phase, Phase::starting);
  EXPECT_EQ(s.preparing_from(), LaunchFrom{});
  EXPECT_EQ(s.state.last_cause, Cause::crash);
  EXPECT_EQ(s.the<RecordIncident>().attempt, 1);
  EXPECT_TRUE(s.says("episode 12 was saved from its memory"));
  EXPECT_EQ(s.state.snapshot, 0);
  EXPECT_FALSE(s.state.ending.has_value());
}

TEST(ADeadWorkersMemory, IsRescuedWhateverItDiedOf) {
  for (const int code : {1, 65, 70, 74, 78}) EXPECT_TRUE(with_snapshot().exits(code).did<RescueSnapshot>()) << code;
  for (const int signal : {2, 6, 9, 11, 15}) EXPECT_TRUE(with_snapshot().dies_of(signal).did<RescueSnapshot>());
  EXPECT_TRUE(with_snapshot().feed(WorkerExited{1, {}, ""}).did<RescueSnapshot>());
}

TEST(AnEnd, OfWhichTheWorkerTookCareItselfNeedsNoRescue) {
  for (const int code : {0, 75}) {
    Scenario s = with_snapshot();
    s.exits(code);
    EXPECT_FALSE(s.did<RescueSnapshot>()) << code;
    EXPECT_EQ(s.state.phase, code == 0 ? Phase::finished : Phase::starting);
    EXPECT_FALSE(with_snapshot().stop().exits(code).did<RescueSnapshot>()) << code;
  }
}

TEST(AWorkerWithoutASnapshot, LeavesNothingToRescue) {
  Scenario s;
  s.trains(10).completes(11).dies_of(11);
  EXPECT_FALSE(s.did<RescueSnapshot>());
  EXPECT_TRUE(s.did<PrepareLaunch>());
}

TEST(ASnapshot, IsOfItsAttemptAlone) {
  Scenario s = with_snapshot();
  s.exits(75);
  EXPECT_EQ(s.state.snapshot, 0);
  s.launched(12).ready().dies_of(11);
  EXPECT_FALSE(s.did<RescueSnapshot>());
}

TEST(ASnapshot, ThatIsAnnouncedWhileTheWorkerIsBeingEndedCountsToo) {
  Scenario s;
  s.trains(10).stop().announces(11).dies_of(9);
  EXPECT_TRUE(s.did<RescueSnapshot>());
  EXPECT_TRUE(s.says("saving episode 11"));
}

TEST(AStop, ThatHadToKillRescuesBeforeItIsDone) {
  Scenario s = with_snapshot();
  s.stop().overdue().overdue();
  ASSERT_TRUE(s.signalled(Signal::kill));
  s.dies_of(9);
  EXPECT_TRUE(s.did<RescueSnapshot>());
  EXPECT_EQ(s.state.phase, Phase::stopping);
  s.rescued();
  EXPECT_EQ(s.state.phase, Phase::stopped);
  EXPECT_EQ(s.state.snapshot, 0);  // nothing is held any more
  EXPECT_TRUE(s.says("was saved from its memory"));
  EXPECT_TRUE(s.state.restarts.empty());
}

TEST(AHangingWorker, IsRescuedAfterItsKill) {
  Scenario s = with_snapshot();
  s.hangs().overdue().overdue().dies_of(9);
  EXPECT_TRUE(s.did<RescueSnapshot>());
  s.rescued();
  EXPECT_EQ(s.state.last_cause, Cause::heartbeat_lost);
  EXPECT_EQ(s.state.phase, Phase::starting);
}

TEST(TheSupervisor, DoesNotLeaveBeforeTheRescueIsDone) {
  for (const bool at_once : {false, true}) {
    Scenario s = with_snapshot();
    s.shut_down(at_once).dies_of(9);
    EXPECT_TRUE(s.did<RescueSnapshot>());
    EXPECT_FALSE(s.did<LeaveDaemon>());
    for (int i = 0; i < 3; ++i) {
      s.shut_down(true);  // however impatient
      EXPECT_FALSE(s.did<LeaveDaemon>());
    }
    s.rescued();
    EXPECT_TRUE(s.did<LeaveDaemon>());
    EXPECT_EQ(s.state.phase, Phase::stopped);
  }
}

// P5, P8: it is tried before every launch, and there will be none.
TEST(TheSupervisor, TriesOnceMoreBeforeItLeavesWhatCouldNotBeSaved) {
  for (const int refused_launches : {0, 3}) {
    Scenario s = with_snapshot();
    s.dies_of(11).not_rescued();
    EXPECT_EQ(s.state.phase, Phase::starting);
    for (int i = 0; i < refused_launches; ++i) {
      s.feed(LaunchRefused{s.state.attempt, Cause::cannot_save, false, "the disk is full"});
      if (s.state.phase == Phase::backoff) s.overdue();
    }
    s.shut_down();
    EXPECT_TRUE(s.did<RescueSnapshot>());
    EXPECT_FALSE(s.did<LeaveDaemon>());
    EXPECT_TRUE(s.says("trying once more to save episode 12"));
    s.shut_down(true).prepared(10);  // a launch that was on its way
    EXPECT_FALSE(s.did<LeaveDaemon>());
    EXPECT_FALSE(s.did<SpawnWorker>());
    s.not_rescued();
    EXPECT_TRUE(s.did<LeaveDaemon>());  // once, and no more
    EXPECT_TRUE(s.says("the disk is full"));
    EXPECT_EQ(s.state.phase, Phase::stopped);
  }
}

TEST(TheSupervisor, LeavesAtOnceWhenWhatCouldNotBeSavedWasSavedByTheNextLaunch) {
  Scenario s = with_snapshot();
  s.dies_of(11).not_rescued().launched(12).ready().stop().exits(75).shut_down();
  EXPECT_FALSE(s.did<RescueSnapshot>());
  EXPECT_TRUE(s.did<LeaveDaemon>());
}

// A worker that died by itself, and what is asked for while its memory is being saved.
TEST(WhileARescueIsUnderWay, AStopIsHeeded) {
  Scenario s = with_snapshot();
  s.dies_of(11).stop();
  EXPECT_EQ(s.state.phase, Phase::stopping);
  EXPECT_FALSE(s.did<SignalWorker>());
  s.rescued();
  EXPECT_EQ(s.state.phase, Phase::stopped);
  EXPECT_FALSE(s.did<PrepareLaunch>());
}

TEST(WhileARescueIsUnderWay, AStartWaitsForIt) {
  Scenario s = with_snapshot();
  s.stop().dies_of(9).start();
  EXPECT_TRUE(s.actions.empty());
  EXPECT_EQ(s.state.phase, Phase::stopping);
  s.rescued();
  EXPECT_EQ(s.state.phase, Phase::starting);
  EXPECT_EQ(s.preparing_from(), LaunchFrom{});
  EXPECT_TRUE(s.state.restarts.empty());
}

TEST(WhileARescueIsUnderWay, ARestartFromElsewhereWaitsForIt) {
  Scenario s = with_snapshot();
  s.dies_of(11).restart_from("ep5");
  EXPECT_FALSE(s.did<PrepareLaunch>());
  EXPECT_TRUE(s.did<SaveState>());
  s.rescued();
  EXPECT_EQ(s.preparing_from(), (LaunchFrom{LaunchFrom::Kind::selector, "ep5"}));
}

// Found by the random histories: it was answered, and then the end before it had its own consequence.
TEST(WhileARescueIsUnderWay, ARelaunchThatIsAskedForIsNotForgottenOverTheEndBeforeIt) {
  for (const bool restart : {false, true}) {
    for (const int code : {65, 70, 78}) {
      Scenario s = with_snapshot();
      s.state.incidents = 9;
      s.exits(code);
      restart ? s.restart() : s.start();
      s.rescued();
      EXPECT_EQ(s.state.phase, Phase::starting) << code;
      EXPECT_TRUE(s.says("starting attempt 2 as asked"));
      EXPECT_EQ(s.the<RecordIncident>().cause, classify({code, std::nullopt}));
      EXPECT_EQ(s.state.restarts.size(), 1U);
    }
  }
  Scenario by_itself = with_snapshot();  // a daemon that starts is no person
  EXPECT_EQ(by_itself.exits(78).feed(StartRequested{false}).rescued().state.phase, Phase::fatal);
}

TEST(WhileARescueIsUnderWay, TheCrashBeforeAStopIsRecordedAllTheSame) {
  for (const bool leaving : {false, true}) {
    Scenario s = with_snapshot();
    s.dies_of(11);
    leaving ? s.shut_down() : s.stop();
    s.rescued();
    EXPECT_EQ(s.state.phase, Phase::stopped);
    EXPECT_EQ(s.the<RecordIncident>().cause, Cause::crash);
    EXPECT_EQ(s.state.restarts.at(Cause::crash), 1);
  }
  Scenario asked = with_snapshot();
  EXPECT_FALSE(asked.stop().dies_of(9).rescued().did<RecordIncident>());
}

TEST(WhileARescueIsUnderWay, AShutdownWaitsForIt) {
  Scenario s = with_snapshot();
  s.dies_of(11).shut_down();
  EXPECT_FALSE(s.did<LeaveDaemon>());
  s.rescued();
  EXPECT_TRUE(s.did<LeaveDaemon>());
}

TEST(WhileARescueIsUnderWay, NobodyIsAdoptedAndNobodyIsHeard) {
  Scenario s = with_snapshot();
  s.dies_of(11);
  const State before = s.state;
  s.feed(WorkerAdopted{4711}).beat().announces(13).dies_of(9).seen_hanging().evidence();
  EXPECT_EQ(s.state, before);
}

TEST(ASlowRescue, IsSaidLessAndLessOftenAndIsNotGivenUp) {
  Scenario s = with_snapshot();
  s.dies_of(11);
  EXPECT_EQ(s.wait(), s.policy.notice);
  Instant before = s.wait();
  for (int i = 0; i < 6; ++i) {
    s.overdue();
    EXPECT_TRUE(s.alarm);
    EXPECT_TRUE(s.noted("saving what the worker left in memory has taken")) << s.note;
    EXPECT_TRUE(s.actions.empty());
    EXPECT_GE(s.wait(), before);
    before = s.wait();
  }
  EXPECT_GE(before, 10 * s.policy.notice);
  EXPECT_EQ(s.rescued().state.phase, Phase::starting);
}

TEST(AnAnswer, OfAnotherAttemptOrToNobodysQuestionIsIgnored) {
  Scenario s = with_snapshot();
  State before = s.state;
  s.rescued();  // the worker lives
  EXPECT_EQ(s.state, before);
  s.dies_of(11);
  before = s.state;
  s.feed(RescueSettled{0, "late"}).feed(RescueSettled{2, "early"});
  EXPECT_EQ(s.state, before);
  s.rescued();
  before = s.state;
  s.feed(RescueSettled{1, "twice"}).feed(RescueSettled{2, "twice"});
  EXPECT_EQ(s.state, before);
}

TEST(ARescueThatSavedNothing, SaysSoAndTheNextLaunchGoesOn) {
  Scenario s = with_snapshot();
  s.dies_of(11).rescued("what it left in memory is damaged");
  EXPECT_EQ(s.state.phase, Phase::starting);
  EXPECT_TRUE(s.says("what it left in memory is damaged"));
}

TEST(APermanentCause, IsPermanentAfterTheRescueToo) {
  Scenario s = with_snapshot();
  s.exits(78);
  EXPECT_TRUE(s.did<RescueSnapshot>());
  EXPECT_EQ(s.rescued().state.phase, Phase::fatal);
}

TEST(AnAdoptedWorker, IsRescuedFromWhatItAnnouncesHere) {
  Scenario s;
  s.state.attempt = 7;
  s.feed(WorkerAdopted{77}).announces(12).feed(WorkerExited{7, {}, ""});
  EXPECT_EQ(s.the<RescueSnapshot>().attempt, 7);
  EXPECT_EQ(s.rescued().state.last_cause, Cause::unknown);
}

TEST(ARescuedWorker, KeepsItsLastWords) {
  Scenario s = with_snapshot();
  s.feed(WorkerExited{1, {1, std::nullopt}, "out of ideas"}).rescued();
  EXPECT_TRUE(s.says("Its last words: out of ideas"));
}

}  // namespace
}  // namespace ts::core
