// What a worker says, and what it is good for.
#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

#include "tests/unit/core/scenario.h"

namespace ts::core {
namespace {

using protocol::NotifyMessage;

TEST(ABeat, KeepsARunningWorkerAlive) {
  Scenario s;
  s.policy.progress_timeout = Duration::zero();  // beats alone count
  s.trains();
  for (int i = 0; i < 100; ++i) {
    s.after(seconds{29}).beat();
    ASSERT_EQ(s.state.phase, Phase::running);
    ASSERT_EQ(s.wait(), s.policy.heartbeat_timeout);
    ASSERT_TRUE(s.note.empty());  // nothing to tell
  }
}

TEST(EverySignOfLife, IsABeat) {
  NotifyMessage watchdog;
  watchdog.watchdog = true;
  NotifyMessage ready;
  ready.ready = true;
  NotifyMessage episode;
  episode.episode = 3;
  NotifyMessage step_only;
  step_only.step = 1;
  for (const auto& message : {watchdog, ready, episode, step_only}) {
    Scenario s;
    s.trains().after(seconds{20}).hear(message);
    EXPECT_EQ(s.wait(), s.policy.heartbeat_timeout);
  }
  NotifyMessage status;
  status.status = "thinking";
  Scenario s;
  s.trains().after(seconds{20}).hear(status);
  EXPECT_EQ(s.wait(), seconds{10});  // words are no work
  EXPECT_EQ(s.state.progress.status, "thinking");
}

TEST(ADeadlineThatWasMoved, IsNotHeldAgainstTheWorker) {
  Scenario s;
  s.trains().after(seconds{29}).beat();
  s.after(seconds{2}).feed(DeadlinePassed{});  // the old timer
  EXPECT_EQ(s.state.phase, Phase::running);
}

TEST(BeatsBeforeReady, DoNotProlongTheStart) {
  Scenario s;
  s.start().launched().after(seconds{100}).beat();
  EXPECT_EQ(s.state.phase, Phase::starting);
  EXPECT_EQ(s.wait(), seconds{20});
}

TEST(AnExtension, OnlyEverExtends) {
  NotifyMessage message;
  message.extend_timeout = seconds{120};
  Scenario s;
  s.trains().hear(message);
  EXPECT_EQ(s.wait(), seconds{120});
  message.extend_timeout = seconds{1};
  s.hear(message);
  EXPECT_EQ(s.wait(), seconds{120});
  message.extend_timeout = std::chrono::microseconds{0};
  s.hear(message);
  EXPECT_EQ(s.wait(), seconds{120});
  s.beat();  // the long silence is over
  EXPECT_EQ(s.wait(), s.policy.heartbeat_timeout);
}

TEST(AnExtension, HelpsASlowStartAndASlowStopToo) {
  NotifyMessage message;
  message.extend_timeout = seconds{500};
  Scenario starting;
  starting.start().launched().hear(message);
  EXPECT_EQ(starting.wait(), seconds{500});
  Scenario stopping;
  stopping.trains().stop().hear(message);
  EXPECT_EQ(stopping.wait(), seconds{500});
}

// P7: found by reading; the sum overflowed the clock.
TEST(AnExtensionBeyondAllTime, IsBounded) {
  NotifyMessage message;
  message.extend_timeout = std::chrono::microseconds{std::numeric_limits<std::int64_t>::max()};
  Scenario s;
  s.trains().hear(message);
  EXPECT_GE(s.wait(), seconds{30});
  EXPECT_LE(s.wait(), hours{24 * 366});
}

TEST(AnExtensionForAWorkerThatDoesNotBeat, ArmsNothing) {
  NotifyMessage message;
  message.extend_timeout = seconds{1};
  Scenario s;
  s.policy.heartbeat_timeout = Duration::zero();
  s.start().launched().hear(message);
  EXPECT_FALSE(s.state.deadline.has_value());
}

TEST(AWorkerThatAsksToBeTreatedAsHung, IsTreatedSo) {
  NotifyMessage message;
  message.watchdog_trigger = true;
  Scenario s;
  s.trains().hear(message);
  EXPECT_EQ(s.state.phase, Phase::stopping);
  EXPECT_EQ(s.state.stop_cause, Cause::heartbeat_lost);
  EXPECT_TRUE(s.did<GatherEvidence>());
  EXPECT_TRUE(s.evidence().signalled(Signal::terminate));
  s.hear(message);
  EXPECT_TRUE(s.actions.empty());  // once is enough
  EXPECT_EQ(s.dies_of(6).state.last_cause, Cause::heartbeat_lost);
}

TEST(BeatsOfAWorkerThatIsBeingEnded, DoNotSaveIt) {
  Scenario s;
  s.trains().hangs();
  const Instant deadline = *s.state.deadline;
  s.beat().ready();
  EXPECT_EQ(s.state.phase, Phase::stopping);
  EXPECT_EQ(*s.state.deadline, deadline);
}

TEST(AMessage, OfAnEarlierAttemptOrOfNobodyIsNotHeard) {
  NotifyMessage message;
  message.ready = true;
  message.episode = 99;
  message.watchdog_trigger = true;
  Scenario s;
  s.trains().dies_of(11).launched();
  State before = s.state;
  s.feed(MessageReceived{1, message});
  EXPECT_EQ(s.state, before);
  s.ready().stop().exits(75);
  before = s.state;
  s.feed(MessageReceived{2, message});
  EXPECT_EQ(s.state, before);
}

TEST(WhatAWorkerTells, IsRememberedUntilItTellsOtherwise) {
  NotifyMessage message;
  message.episode = 251;
  message.total = 400;
  message.step = 12345;
  message.phase = protocol::Phase::evaluate;
  message.metrics = protocol::Metrics{{"profit", 12.4}};
  message.status = "fine";
  Scenario s;
  s.trains(250).hear(message).beat();
  EXPECT_EQ(s.state.progress.episode, 251);
  EXPECT_EQ(s.state.progress.total, 400);
  EXPECT_EQ(s.state.progress.step, 12345);
  EXPECT_EQ(s.state.progress.phase, protocol::Phase::evaluate);
  EXPECT_EQ(s.state.progress.metrics, (protocol::Metrics{{"profit", 12.4}}));
  EXPECT_EQ(s.state.progress.status, "fine");
  EXPECT_EQ(s.state.progress.resumed, 250);
  s.exits(0);
  EXPECT_EQ(s.state.finished_total, 400);
}

TEST(WhatWasResumed, IsOfOneAttemptOnly) {
  Scenario s;
  s.trains(250).dies_of(11);
  EXPECT_EQ(s.state.progress.resumed, std::nullopt);
}

}  // namespace
}  // namespace ts::core
