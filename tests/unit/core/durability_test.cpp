// The third clock: how long work has been at risk. It is said, again and again, and ends nobody (P5, P9).
#include <gtest/gtest.h>

#include "tests/unit/core/scenario.h"

namespace ts::core {
namespace {

// Trains on, an episode each ten seconds, until an alarm is said or `limit` has passed.
Instant trains_on(Scenario& s, Instant limit) {
  const Instant begun = s.now;
  while (s.now - begun < limit) {
    s.after(seconds{10}).completes(s.state.progress.episode + 1);
    if (s.state.deadline && s.now >= *s.state.deadline) s.feed(DeadlinePassed{});
    if (s.alarm) break;
  }
  return s.now - begun;
}

TEST(WorkThatIsNotDurable, IsSaidAgainAndAgainAndNobodyIsEnded) {
  Scenario s;
  s.trains(10).completes(11);
  for (int i = 1; i <= 5; ++i) {
    EXPECT_EQ(trains_on(s, hours{10}), s.policy.durability_alarm);
    EXPECT_TRUE(s.noted("no checkpoint has become durable for")) << s.note;
    EXPECT_TRUE(s.actions.empty());
    EXPECT_EQ(s.state.phase, Phase::running);
    s.completes(s.state.progress.episode + 1);
  }
}

TEST(ADurableCheckpoint, EndsTheRiskUntilTheNextEpisode) {
  Scenario s;
  s.trains(10).completes(11).after(seconds{1000}).saved();
  EXPECT_EQ(s.state.clocks.durable_due, std::nullopt);
  s.takes_step(1).takes_step(2);  // an episode that is not complete is not there to be saved
  EXPECT_EQ(s.state.clocks.durable_due, std::nullopt);
  s.completes(12);
  EXPECT_EQ(s.state.clocks.at_risk_since, s.now);
  EXPECT_EQ(trains_on(s, hours{10}), s.policy.durability_alarm);
}

TEST(TheRisk, IsCountedFromTheFirstEpisodeThatIsNotDurable) {
  Scenario s;
  s.trains(10).completes(11).after(seconds{20}).completes(12);
  EXPECT_EQ(s.state.clocks.at_risk_since, s.now - seconds{20});
}

TEST(ResumingSomewhere, PutsNothingAtRisk) {
  Scenario s;
  s.trains(10);
  EXPECT_EQ(s.state.clocks.at_risk_since, std::nullopt);
  Scenario by_itself;
  by_itself.start().launched().says_it_resumed(250);
  EXPECT_EQ(by_itself.state.clocks.at_risk_since, std::nullopt);
}

TEST(AnAlarmOfZero, IsOff) {
  Scenario s;
  s.policy.durability_alarm = Duration::zero();
  s.trains(10).completes(11);
  EXPECT_EQ(trains_on(s, hours{10}), hours{10});
}

TEST(TheAlarm, ComesForAWorkerThatDoesNotBeatToo) {
  Scenario s;
  s.policy.heartbeat_timeout = Duration::zero();
  s.policy.progress_timeout = Duration::zero();
  s.start().launched().completes(1);
  EXPECT_EQ(s.wait(), s.policy.durability_alarm);
  s.overdue();
  EXPECT_TRUE(s.alarm);
  EXPECT_EQ(s.wait(), s.policy.durability_alarm);
}

// P11: what was decided is said, whatever else runs out in the same moment.
TEST(TwoClocksThatRunOutTogether, AreBothSaid) {
  Scenario s;
  s.policy.durability_alarm = s.policy.heartbeat_timeout;
  s.trains(10).completes(11).overdue();
  EXPECT_TRUE(s.noted("sent no heartbeat")) << s.note;
  EXPECT_FALSE(s.alarm);
  EXPECT_EQ(s.wait(), Instant{0});
  s.overdue();
  EXPECT_TRUE(s.noted("no checkpoint has become durable")) << s.note;
  EXPECT_TRUE(s.alarm);
  EXPECT_TRUE(s.is_looked_at());
}

}  // namespace
}  // namespace ts::core
