// Ends that nobody asked for: which are retried, how soon, how often.
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/core/scenario.h"

namespace ts::core {
namespace {

ExitStatus code(int number) {
  return {number, std::nullopt};
}
ExitStatus signal_number(int number) {
  return {std::nullopt, number};
}

TEST(AnUnplannedEnd, IsRelaunchedAtOnceWhateverItWas) {
  const struct {
    ExitStatus status;
    Cause cause;
  } cases[] = {
      {code(75), Cause::interrupted},    {signal_number(15), Cause::killed_outside},
      {signal_number(9), Cause::crash},  {signal_number(2), Cause::killed_outside},
      {signal_number(11), Cause::crash}, {code(74), Cause::cannot_save},
      {code(70), Cause::error_exit},     {code(1), Cause::error_exit},
      {code(255), Cause::error_exit},    {ExitStatus{}, Cause::unknown},
  };
  for (const auto& [status, cause] : cases) {
    Scenario s;
    s.trains(10).feed(WorkerExited{1, status, "last line"});
    EXPECT_EQ(s.state.phase, Phase::starting) << to_string(cause);
    EXPECT_EQ(s.preparing_from(), LaunchFrom{});
    EXPECT_EQ(s.state.restarts, (std::map<Cause, std::int64_t>{{cause, 1}}));
    EXPECT_EQ(s.state.last_cause, cause);
    EXPECT_TRUE(s.says(to_string(cause)));
    EXPECT_TRUE(s.says("last line"));
  }
}

TEST(ConfigurationAndData, AreNotTriedAgainByThemselves) {
  for (const int number : {78, 65}) {
    Scenario s;
    s.trains().exits(number);
    EXPECT_EQ(s.state.phase, Phase::fatal) << number;
    EXPECT_FALSE(s.state.deadline.has_value());
    EXPECT_FALSE(s.did<PrepareLaunch>());
    s.after(hours{10'000}).feed(DeadlinePassed{});
    EXPECT_EQ(s.state.phase, Phase::fatal);
    EXPECT_EQ(s.start().state.phase, Phase::starting);  // a person may
  }
}

TEST(IncidentsInARow, WaitLongerAndLongerWithinTheirBounds) {
  Scenario s;
  s.policy.max_attempts_without_progress = 31;
  s.trains().dies_of(11);
  EXPECT_EQ(s.state.phase, Phase::starting);
  double grown = 1000;
  for (int i = 2; i <= 30; ++i) {
    s.launched().dies_of(11);
    ASSERT_EQ(s.state.phase, Phase::backoff) << i;
    const auto wait = std::chrono::duration<double, std::milli>(s.wait()).count();
    EXPECT_GE(wait, grown * 0.75 - 1) << i;
    EXPECT_LE(wait, std::min(grown * 1.25, 300'000.0) + 1) << i;
    grown = std::min(grown * 2, 300'000.0);
    // Not a moment too soon.
    s.after(s.wait() - milliseconds{1}).feed(DeadlinePassed{});
    ASSERT_EQ(s.state.phase, Phase::backoff);
    s.overdue();
    ASSERT_EQ(s.state.phase, Phase::starting);
  }
}

TEST(TheWaits, AreTheSameForTheSameHistory) {
  std::vector<Instant> first;
  std::vector<Instant> second;
  for (auto* waits : {&first, &second}) {
    Scenario s;
    s.trains().dies_of(9);
    while (s.launched().dies_of(9).state.phase == Phase::backoff) {
      waits->push_back(s.wait());
      s.overdue();
    }
  }
  EXPECT_EQ(first, second);
  EXPECT_EQ(first.size(), 8U);
}

// P10: a crash loop ends, loudly, and the end is not the end of all trying.
TEST(ACrashLoop, IsGivenUpAfterItsBudgetAndTakenUpAgainAfterTheCooldown) {
  Scenario s;
  s.trains(10);
  int launches = 1;
  while (s.state.phase != Phase::fatal) {
    s.dies_of(11);
    if (s.state.phase == Phase::backoff) s.overdue();
    if (s.state.phase == Phase::starting) {
      s.launched(10).ready();
      ++launches;
    }
    ASSERT_LT(launches, 100);
  }
  EXPECT_EQ(launches, s.policy.max_attempts_without_progress);
  EXPECT_EQ(s.wait(), s.policy.cooldown);
  EXPECT_TRUE(s.says("10 attempts in a row got no further"));  // P11
  EXPECT_EQ(s.state.restarts.at(Cause::crash), 10);
  s.overdue();
  EXPECT_EQ(s.state.phase, Phase::starting);
  EXPECT_EQ(s.state.incidents, 0);  // with a budget of its own
}

TEST(ACompletedEpisode, ForgivesEveryIncidentBefore) {
  Scenario s;
  s.trains(10).dies_of(11).launched(10).dies_of(11).overdue().launched(10).ready();
  EXPECT_EQ(s.state.incidents, 2);
  s.completes(11);
  EXPECT_EQ(s.state.incidents, 0);
  s.dies_of(11);
  EXPECT_EQ(s.state.phase, Phase::starting);  // at once again
}

// P10: the same five episodes again and again, and then the same death, are no progress.
TEST(EpisodesThatWereCompletedBefore, AreNoProgress) {
  Scenario s;
  s.trains(10).completes(15).dies_of(11);
  for (int i = 0; i < 10; ++i) {
    if (s.state.phase == Phase::backoff) s.overdue();
    s.launched(10).ready();
    for (std::int64_t episode = 11; episode <= 15; ++episode) s.completes(episode);
    EXPECT_EQ(s.state.incidents, i + 1);
    s.dies_of(11);
  }
  EXPECT_EQ(s.state.phase, Phase::fatal);
}

// One that got further and died is no attempt without progress, and neither is a wait.
TEST(AnAttemptWithoutProgress, IsOneThatRanAndGotNoFurther) {
  Scenario s;
  s.policy.max_attempts_without_progress = 2;
  s.trains(10).completes(11).dies_of(11).launched(11).ready().dies_of(11);
  EXPECT_EQ(s.state.phase, Phase::backoff);
  EXPECT_TRUE(s.says("; 1 in a row without progress, relaunching in"));
  s.overdue().launched(11).ready().dies_of(11);
  EXPECT_EQ(s.state.phase, Phase::fatal);
  EXPECT_TRUE(s.says("2 attempts in a row got no further"));
  Scenario first;
  first.policy.max_attempts_without_progress = 1;
  first.trains(10).dies_of(11);
  EXPECT_EQ(first.state.phase, Phase::fatal);
  EXPECT_TRUE(first.says("1 attempt got no further"));
}

TEST(ALaunchThatWaitsForRoomForARescue, IsNoAttemptHoweverLongItTakes) {
  Scenario s;
  s.trains(10).announces(12).dies_of(9).not_rescued();
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(s.state.phase, Phase::starting);
    s.feed(LaunchRefused{s.state.attempt, Cause::cannot_save, false, "the disk is full."});
    ASSERT_EQ(s.state.phase, Phase::backoff) << i;
    EXPECT_LE(s.wait(), 2 * s.policy.backoff_max);
    s.overdue();
  }
  EXPECT_EQ(s.state.fruitless, 0);
  s.launched(12);
  EXPECT_EQ(s.state.unsaved, 0);
  Scenario other;  // nothing is held: then it is the launch that does not succeed
  other.trains(10).dies_of(9);
  for (int i = 0; i < 100 && other.state.phase != Phase::fatal; ++i) {
    if (other.state.phase == Phase::backoff) other.overdue();
    other.feed(LaunchRefused{other.state.attempt, Cause::cannot_save, false, "the disk is full."});
  }
  EXPECT_EQ(other.state.phase, Phase::fatal);
}

TEST(TheReasonOfALaunchThatFailed, IsOneSentence) {
  Scenario s;
  s.start().prepared().feed(SpawnFailed{1, "it is not in PATH; set worker.command."});
  EXPECT_TRUE(s.says("set worker.command (exec_failed); relaunching at once")) << s.state.reason;
}

TEST(GoingBack, BeginsTheHistoryOfProgressAnew) {
  Scenario s;
  s.trains(10).completes(300).restart_from("ep100").exits(75).launched(100).dies_of(11).launched(100).ready();
  EXPECT_EQ(s.state.incidents, 1);
  s.completes(101);
  EXPECT_EQ(s.state.incidents, 0);
}

// A program with checkpoints of its own, of which we know nothing.
TEST(AWorkerThatResumesByItselfAndDies, IsGivenUpAllTheSame) {
  Scenario s;
  s.start();
  for (int i = 0; i < 20 && s.state.phase != Phase::fatal; ++i) {
    if (s.state.phase == Phase::backoff) s.overdue();
    s.launched(0);
    protocol::NotifyMessage message;
    message.ready = true;
    message.resumed = 250;
    message.episode = 250;
    s.hear(message);
    EXPECT_EQ(s.state.incidents, i) << "where it resumed is no progress";
    s.dies_of(11);
  }
  EXPECT_EQ(s.state.phase, Phase::fatal);
}

TEST(TheHistoryOfRestarts, IsCountedByCause) {
  Scenario s;
  s.policy.max_attempts_without_progress = 100;
  s.trains().dies_of(11).launched().dies_of(9).overdue().launched().exits(1).overdue().launched().exits(75);
  EXPECT_EQ(s.state.restarts,
            (std::map<Cause, std::int64_t>{{Cause::interrupted, 1}, {Cause::crash, 2}, {Cause::error_exit, 1}}));
}

// Whoever finishes says READY first: a program that does nothing at all is no success.
TEST(AWorkerThatExitsBeforeItIsReady, HasNotFinishedWhateverItSays) {
  Scenario s;
  s.start().launched(250).exits(0);
  EXPECT_EQ(s.state.phase, Phase::starting);
  EXPECT_EQ(s.state.last_cause, Cause::error_exit);
  EXPECT_EQ(s.state.finished_total, 0);
  EXPECT_TRUE(s.says("before it was ready"));
}

}  // namespace
}  // namespace ts::core
