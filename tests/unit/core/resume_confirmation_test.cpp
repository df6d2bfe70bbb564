// P3: what a worker says that it loaded is compared with what it was told to load. A mismatch is an incident, and
// nothing else that such a worker tells is believed: it trains another run.
#include <gtest/gtest.h>

#include "tests/unit/core/scenario.h"

namespace ts::core {
namespace {

TEST(AWorkerThatResumedElsewhere, IsEndedAsAnIncidentOfItsOwn) {
  for (const std::int64_t loaded : {0, 249, 251}) {
    Scenario s;
    s.start().launched(250).says_it_resumed(loaded);
    EXPECT_EQ(s.state.phase, Phase::stopping);
    EXPECT_EQ(s.state.stop_cause, Cause::wrong_resume);
    EXPECT_EQ(s.the<GatherEvidence>().cause, Cause::wrong_resume);
    EXPECT_TRUE(s.says("resumed from episode " + std::to_string(loaded) + ", and was told to resume from episode 250"));
    EXPECT_EQ(s.state.progress.resumed, loaded);
    s.evidence().exits(75);
    EXPECT_EQ(s.state.last_cause, Cause::wrong_resume);
    EXPECT_EQ(s.state.restarts.at(Cause::wrong_resume), 1);
    EXPECT_EQ(s.state.phase, Phase::starting);
    EXPECT_EQ(s.state.poison, Poison{});
  }
}

TEST(AWorkerThatResumedAsTold, TrainsOn) {
  Scenario s;
  s.start().launched(250).says_it_resumed(250);
  EXPECT_EQ(s.state.phase, Phase::running);
  EXPECT_EQ(s.state.progress.resumed, 250);
  Scenario silent;  // whoever does not tell cannot be held to it
  protocol::NotifyMessage ready;
  ready.ready = true;
  silent.start().launched(250).hear(ready);
  EXPECT_EQ(silent.state.phase, Phase::running);
}

TEST(AWorkerThatWasToldNothing, ResumesWhereItLikes) {
  Scenario fresh;
  fresh.start().launched().says_it_resumed(120);
  EXPECT_EQ(fresh.state.phase, Phase::running);
  EXPECT_EQ(fresh.state.progress.episode, 120);
  Scenario foreign;  // what is in a file of another origin is for the worker to tell
  foreign.restart_from("other.pt").feed(LaunchPrepared{1, {0, "other.pt", true}}).spawned().says_it_resumed(77);
  EXPECT_EQ(foreign.state.phase, Phase::running);
  EXPECT_EQ(foreign.state.progress.episode, 77);
}

TEST(AMismatch, IsHeardAlsoWhenItIsToldLate) {
  Scenario s;
  protocol::NotifyMessage late;
  late.resumed = 5;
  s.trains(250).completes(251).hear(late);
  EXPECT_EQ(s.state.stop_cause, Cause::wrong_resume);
}

TEST(AWorkerThatResumedElsewhere, IsNotReady) {
  Scenario s;
  s.restart_from("ep200").launched(200).says_it_resumed(300);
  ASSERT_EQ(s.state.phase, Phase::stopping);
  EXPECT_EQ(s.evidence().dies_of(15).preparing_from(), (LaunchFrom{LaunchFrom::Kind::selector, "ep200"}));
}

TEST(WhatAWorkerTellsThatResumedElsewhere, CountsForNothing) {
  Scenario s;
  s.trains(250).dies_of(11);
  ASSERT_EQ(s.state.poison, (Poison{250, 1}));
  s.launched(250).says_it_resumed(290).completes(291).announces(292);
  EXPECT_EQ(s.state.high_water, 250);
  EXPECT_EQ(s.state.progress.episode, 250);
  EXPECT_EQ(s.state.poison, (Poison{250, 1}));
  EXPECT_EQ(s.state.incidents, 1);
  // The next one is good, and its progress counts.
  s.evidence().dies_of(15).overdue().launched(250).ready().completes(251);
  EXPECT_EQ(s.state.incidents, 0);
}

// P3, P5: rescued, it would be the newest checkpoint, and the next launch would go on with another run.
TEST(TheMemoryOfAWorkerThatResumedElsewhere, IsNotRescued) {
  Scenario after;
  after.start().launched(250).says_it_resumed(290).announces(291).evidence().dies_of(9);
  EXPECT_FALSE(after.did<RescueSnapshot>());
  EXPECT_TRUE(after.did<PrepareLaunch>());
  Scenario before;
  protocol::NotifyMessage late;
  late.resumed = 290;
  before.trains(250).announces(251).hear(late).restart().evidence().dies_of(9);
  EXPECT_FALSE(before.did<RescueSnapshot>());
}

TEST(AWorkerThatIsBeingStopped, IsNotEndedAgainForWhereItResumed) {
  Scenario s;
  s.start().launched(250).stop();
  const Instant deadline = *s.state.deadline;
  s.says_it_resumed(10);
  EXPECT_TRUE(s.actions.empty());
  EXPECT_EQ(s.state.deadline, deadline);
  EXPECT_EQ(s.state.stop_cause, Cause::asked);
}

TEST(AWorkerThatResumesElsewhereAgainAndAgain, IsGivenUpWithinTheBudget) {
  Scenario s;
  s.start();
  int launches = 0;
  for (; s.state.phase != Phase::fatal && launches < 100; ++launches) {
    if (s.state.phase == Phase::backoff) s.overdue();
    s.launched(250).says_it_resumed(launches % 2).evidence().exits(75);
  }
  EXPECT_EQ(launches, s.policy.max_attempts_without_progress);
}

}  // namespace
}  // namespace ts::core
