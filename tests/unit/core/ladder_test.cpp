// P10: a resume point whose workers die before they complete an episode is set aside for the next older one, without a
// person. What sets it aside is the shell; when it is to be, is decided here.
#include <optional>

#include <gtest/gtest.h>

#include "tests/unit/core/scenario.h"

namespace ts::core {
namespace {

// The next worker is launched from `episode` and is ready there.
Scenario& again(Scenario& s, std::int64_t episode) {
  if (s.state.phase == Phase::backoff) s.overdue();
  return s.launched(episode).ready();
}

Scenario that_poisons_after(std::int64_t deaths) {
  Policy policy;
  policy.poison_after = deaths;
  return Scenario(policy);
}

TEST(AResumePoint, IsCondemnedAfterAsManyDeathsAsThePolicySays) {
  for (const std::int64_t poison_after : {1, 2, 3}) {
    Scenario s = that_poisons_after(poison_after);
    s.start();
    for (std::int64_t death = 1; death <= poison_after; ++death) {
      EXPECT_EQ(s.the<PrepareLaunch>().poison, std::nullopt) << death;
      s.launched(250).ready().dies_of(11);
      if (s.state.phase == Phase::backoff) s.overdue();
    }
    EXPECT_EQ(s.the<PrepareLaunch>().poison, (Poison{250, poison_after}));
  }
}

TEST(OnlyADeathOfItsOwn, CountsAgainstTheResumePoint) {
  for (const int code : {1, 70, 255}) {
    Scenario s;
    EXPECT_EQ(s.trains(250).exits(code).state.poison, (Poison{250, 1})) << code;
  }
  for (const int signal : {4, 6, 7, 8, 11}) {
    Scenario s;
    EXPECT_EQ(s.trains(250).dies_of(signal).state.poison, (Poison{250, 1})) << signal;
  }
  for (const int code : {65, 74, 75, 78}) {
    Scenario s;
    EXPECT_EQ(s.trains(250).exits(code).state.poison, Poison{}) << code;
  }
  for (const int signal : {1, 2, 9, 13, 15}) {  // somebody sent these
    Scenario s;
    EXPECT_EQ(s.trains(250).dies_of(signal).state.poison, Poison{}) << signal;
  }
  Scenario unknown;
  EXPECT_EQ(unknown.trains(250).feed(WorkerExited{1, {}, ""}).state.poison, Poison{});
  Scenario asked;
  EXPECT_EQ(asked.trains(250).stop().dies_of(6).state.poison, Poison{});
  Scenario not_executed;
  not_executed.start().prepared(250).feed(SpawnFailed{1, "no such file"});
  EXPECT_EQ(not_executed.state.poison, Poison{});
}

// The kernel's killer sends SIGKILL like a person, but what took the memory is what was resumed.
TEST(AWorkerThatMemoryRanOutFor, CountsAgainstTheResumePoint) {
  Scenario s;
  s.trains(250).feed(WorkerExited{1, {std::nullopt, 9, true}, ""});
  EXPECT_EQ(s.state.last_cause, Cause::out_of_memory);
  EXPECT_EQ(s.state.poison, (Poison{250, 1}));
}

// However it was ended, what counts is what it was ended for.
TEST(AWorkerThatHangsAfterItsResume, CountsAgainstIt) {
  Scenario silent;
  EXPECT_EQ(silent.trains(250).hangs().dies_of(9).state.poison, (Poison{250, 1}));
  Scenario never_ready;
  EXPECT_EQ(never_ready.start().launched(250).hangs().dies_of(15).state.poison, (Poison{250, 1}));
  Scenario still;
  still.policy.heartbeat_timeout = Duration::zero();
  still.policy.progress_timeout = seconds{60};
  EXPECT_EQ(still.trains(250).hangs().dies_of(15).state.poison, (Poison{250, 1}));
}

TEST(AWorkerThatSomebodyHadStopped, DoesNotCount) {
  Scenario s;
  s.trains(250).overdue().seen({false, true, "it was stopped with a signal"}).evidence().dies_of(9);
  EXPECT_EQ(s.state.last_cause, Cause::heartbeat_lost);
  EXPECT_EQ(s.state.poison, Poison{});
  s.launched(250).ready().dies_of(11);  // the next one was not
  EXPECT_EQ(s.state.poison, (Poison{250, 1}));
}

TEST(ACompletedEpisode, ClearsTheResumePoint) {
  Scenario s;
  s.trains(250).dies_of(11);
  ASSERT_EQ(s.state.poison, (Poison{250, 1}));
  again(s, 250).completes(250);
  EXPECT_EQ(s.state.poison, (Poison{250, 1})) << "that is where it began";
  s.completes(251);
  EXPECT_EQ(s.state.poison, Poison{});
  s.dies_of(11);
  EXPECT_EQ(s.state.poison, Poison{}) << "an episode further, nothing speaks against it";
}

TEST(AnotherResumePoint, BeginsAnew) {
  Scenario s;
  s.trains(250).dies_of(11).launched(250).ready().dies_of(11);
  ASSERT_EQ(s.overdue().the<PrepareLaunch>().poison, (Poison{250, 2}));
  s.launched(240).ready().dies_of(11);
  EXPECT_EQ(s.state.poison, (Poison{240, 1}));
  EXPECT_EQ(s.overdue().the<PrepareLaunch>().poison, std::nullopt);
  s.launched(240).ready().dies_of(11);
  EXPECT_EQ(s.overdue().the<PrepareLaunch>().poison, (Poison{240, 2}));
}

TEST(AFreshStart, HasNoResumePointToCondemn) {
  Scenario s = that_poisons_after(1);
  s.start();
  for (int i = 0; i < 5; ++i) {
    again(s, 0).dies_of(11);
    EXPECT_EQ(s.state.poison, Poison{});
  }
}

TEST(AFreshStart, LeavesTheRestartsToTheRunBefore) {
  Scenario s;
  s.trains(250).dies_of(11);
  ASSERT_EQ(s.state.restarts, (std::map<Cause, std::int64_t>{{Cause::crash, 1}}));
  s.feed(RestartRequested{{LaunchFrom::Kind::fresh, ""}});
  EXPECT_TRUE(s.state.restarts.empty());
}

TEST(AFileOfAnotherOrigin, IsNotCondemned) {
  Scenario s;
  s.restart_from("other.pt").feed(LaunchPrepared{1, {250, "other.pt", true}}).spawned().dies_of(11);
  EXPECT_EQ(s.state.poison, Poison{});
}

TEST(TheOperatorsRestart, ClearsTheResumePoint) {
  Scenario s = that_poisons_after(1);
  s.trains(250).dies_of(11);
  ASSERT_EQ(s.state.poison, (Poison{250, 1}));
  s.restart();
  EXPECT_EQ(s.the<PrepareLaunch>().poison, std::nullopt);
  s.launched(250).ready().restart_from("ep250").exits(75);
  EXPECT_EQ(s.state.poison, Poison{});
}

// What a person asked for by name is not set aside under him while it has not been carried out.
TEST(AResumePointThatWasAskedFor, IsNotCondemnedBeforeItIsReached) {
  Scenario s = that_poisons_after(1);
  s.restart_from("ep250").launched(250).dies_of(11);
  EXPECT_EQ(s.state.poison, (Poison{250, 1}));
  EXPECT_EQ(s.the<PrepareLaunch>().poison, std::nullopt);
  EXPECT_EQ(s.preparing_from(), (LaunchFrom{LaunchFrom::Kind::selector, "ep250"}));
}

TEST(ASuspicion, OutlivesTheSupervisor) {
  Scenario before;
  before.trains(250).dies_of(11).launched(250).ready();
  ASSERT_EQ(before.state.poison, (Poison{250, 1}));
  Scenario next;  // what outlives a supervisor
  next.state.attempt = before.state.attempt;
  next.state.resume = before.state.resume;
  next.state.progress.episode = before.state.progress.episode;
  next.state.poison = before.state.poison;
  next.feed(WorkerAdopted{before.state.pid}).dies_of(11);
  EXPECT_EQ(next.the<PrepareLaunch>().poison, (Poison{250, 2}));

  Scenario rebooted;
  rebooted.state.poison = {250, 2};
  EXPECT_EQ(rebooted.feed(StartRequested{false}).the<PrepareLaunch>().poison, (Poison{250, 2}));

  // The launch that set it aside settles it: if it is put back, it is tried again.
  rebooted.launched(240).ready();
  EXPECT_EQ(rebooted.state.poison, Poison{});

  // A person who starts it anew has put something right.
  Scenario mended;
  mended.state.poison = {250, 2};
  EXPECT_FALSE(mended.start().the<PrepareLaunch>().poison);
}

TEST(ASuspicion, OutlivesWhatSaysNothingAboutIt) {
  Scenario s;
  s.trains(250).dies_of(11).launched(250).ready().dies_of(9).overdue().launched(250).ready().dies_of(11);
  EXPECT_EQ(s.state.poison, (Poison{250, 2}));
  s.overdue();
  EXPECT_EQ(s.the<PrepareLaunch>().poison, (Poison{250, 2}));
  s.feed(LaunchRefused{s.state.attempt, Cause::cannot_prepare, false, "the disk did not answer"}).overdue();
  EXPECT_EQ(s.the<PrepareLaunch>().poison, (Poison{250, 2}));  // it was not set aside yet
}

TEST(TheLadder, GoesDownWithinTheBudgetOfAttempts) {
  Scenario s;
  s.start();
  std::int64_t newest = 250;
  int launches = 0;
  for (; s.state.phase != Phase::fatal && launches < 100; ++launches) {
    if (s.state.phase == Phase::backoff) s.overdue();
    if (s.the<PrepareLaunch>().poison == Poison{newest, 2}) newest -= 10;
    s.launched(newest).ready().dies_of(11);
  }
  EXPECT_EQ(launches, s.policy.max_attempts_without_progress);
  EXPECT_EQ(newest, 210);
  EXPECT_EQ(s.wait(), s.policy.cooldown);
}

TEST(ARescue, MovesTheResumePointOnAndNothingIsHeldAgainstIt) {
  Scenario s = that_poisons_after(1);
  s.trains(250).announces(251).dies_of(11).rescued();
  EXPECT_EQ(s.state.poison, Poison{});
  EXPECT_EQ(s.the<PrepareLaunch>().poison, std::nullopt);
}

}  // namespace
}  // namespace ts::core
