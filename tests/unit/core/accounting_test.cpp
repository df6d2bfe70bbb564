// What the time of a run went into, told of short histories with known times.
#include "supervisor/core/accounting.h"

#include <chrono>
#include <utility>

#include <gtest/gtest.h>

namespace ts::core {
namespace {

using std::chrono::seconds;

// A supervisor with accounts, and a clock that is set by hand.
class Accounting : public testing::Test {
 protected:
  void post(const Event& event) {
    const Vantage before = vantage_of(state);
    Transition after = step(state, event, now, policy);
    accounts = observe(std::move(accounts), before, event, after, now);
    state = std::move(after.state);
  }
  void launch(std::int64_t from) {
    post(LaunchPrepared{state.attempt, {from, from > 0 ? "model.pt" : "", false}});
    post(WorkerSpawned{state.attempt, 100 + state.attempt});
  }
  void ready() {
    protocol::NotifyMessage message;
    message.ready = true;
    post(MessageReceived{state.attempt, message});
  }
  void episode(std::int64_t number, bool durable = false) {
    protocol::NotifyMessage message;
    message.watchdog = true;
    message.episode = number;
    if (durable) message.checkpoint = "model.pt";
    post(MessageReceived{state.attempt, message});
  }
  void step_to(std::int64_t number) {
    protocol::NotifyMessage message;
    message.step = number;
    post(MessageReceived{state.attempt, message});
  }
  void die() { post(WorkerExited{state.attempt, {std::nullopt, 11}, ""}); }
  void later(int span_s) { now += seconds(span_s); }

  // Twenty seconds of start, then episodes of ten seconds each.
  void train(std::int64_t first, std::int64_t last) {
    for (std::int64_t number = first; number <= last; ++number) {
      later(10);
      episode(number);
    }
  }
  void begin() {
    post(StartRequested{true});
    later(15);
    launch(0);
    later(5);
    ready();
  }

  Policy policy;
  State state;
  Accounts accounts;
  Instant now{std::chrono::hours(5)};
};

TEST_F(Accounting, CountsTheTimeOfEpisodesOnly) {
  begin();
  EXPECT_EQ(goodput(accounts, now), 0.0);
  train(1, 8);
  EXPECT_DOUBLE_EQ(good_s(accounts), 80.0);
  EXPECT_DOUBLE_EQ(wanted_s(accounts, now), 100.0);
  EXPECT_DOUBLE_EQ(*goodput(accounts, now), 0.8);
  later(100);
  EXPECT_DOUBLE_EQ(*goodput(accounts, now), 0.4);
}

TEST_F(Accounting, TakesOffWhatHasToBeTrainedAgain) {
  begin();
  train(1, 8);
  later(3);
  die();
  launch(5);
  EXPECT_DOUBLE_EQ(good_s(accounts), 50.0);
  EXPECT_EQ(accounts.lost_episodes, 3);
  EXPECT_EQ(accounts.last->lost_episodes, 3);
  later(7);
  ready();
  train(6, 6);
  EXPECT_DOUBLE_EQ(good_s(accounts), 60.0);
  EXPECT_DOUBLE_EQ(wanted_s(accounts, now), 120.0);
}

TEST_F(Accounting, CountsWhatWasLostWithTheSupervisor) {
  begin();
  train(1, 8);
  // Both are killed. The next supervisor knows of the eighth episode, and finds the checkpoint of the fifth.
  accounts = remembered(accounts, 1.0, std::nullopt, now);
  post(StopRequested{});
  post(WorkerExited{state.attempt, {75, std::nullopt}, ""});
  post(StartRequested{true});
  launch(5);
  EXPECT_EQ(accounts.lost_episodes, 3);
  EXPECT_FALSE(accounts.last) << "nobody saw an incident";
}

TEST_F(Accounting, MeasuresAnIncident) {
  begin();
  train(1, 8);
  die();
  EXPECT_EQ(accounts.incidents, 1);
  EXPECT_EQ(accounts.last->cause, Cause::crash);
  EXPECT_EQ(accounts.last->detect_s, 0.0);
  later(2);
  launch(8);
  later(4);
  ready();
  EXPECT_FALSE(accounts.last->first_step_s);
  later(1);
  step_to(1);
  EXPECT_EQ(accounts.last->lost_episodes, 0);
  EXPECT_DOUBLE_EQ(*accounts.last->relaunch_s, 2.0);
  EXPECT_DOUBLE_EQ(*accounts.last->first_step_s, 7.0);
  later(50);
  step_to(2);
  EXPECT_DOUBLE_EQ(*accounts.last->first_step_s, 7.0);
  EXPECT_EQ(accounts.relaunch, (Measured{1, 2.0}));
  EXPECT_EQ(accounts.first_step, (Measured{1, 7.0}));
}

TEST_F(Accounting, MeasuresHowLongASilenceLasted) {
  begin();
  episode(1);
  later(31);
  post(DeadlinePassed{});
  later(1);
  post(WorkerInspected{state.attempt, {false, false, "it sleeps"}});
  ASSERT_EQ(state.phase, Phase::stopping);
  EXPECT_FALSE(accounts.last);
  later(3);
  post(EvidenceGathered{state.attempt, ""});
  later(1);
  post(WorkerExited{state.attempt, {std::nullopt, 15}, ""});
  ASSERT_TRUE(accounts.last);
  EXPECT_EQ(accounts.last->cause, Cause::heartbeat_lost);
  EXPECT_DOUBLE_EQ(accounts.last->detect_s, 32.0);
  launch(1);
  EXPECT_DOUBLE_EQ(*accounts.last->relaunch_s, 4.0);  // from noticing, the evidence included
}

TEST_F(Accounting, CountsEachOfACrashLoop) {
  begin();
  train(1, 3);
  for (int i = 0; i < 3; ++i) {
    die();
    if (state.phase == Phase::backoff) {
      later(2);
      post(DeadlinePassed{});
    }
    launch(3);
  }
  EXPECT_EQ(accounts.incidents, 3);
  EXPECT_EQ(accounts.relaunch.count, 3);
  EXPECT_EQ(accounts.first_step.count, 0);
  EXPECT_EQ(accounts.lost_episodes, 0);
}

TEST_F(Accounting, IsNoIncidentWhatWasAskedFor) {
  begin();
  train(1, 8);
  post(StopRequested{});
  later(5);
  post(WorkerExited{state.attempt, {75, std::nullopt}, ""});
  later(1000);
  EXPECT_DOUBLE_EQ(wanted_s(accounts, now), 105.0);  // saving what was asked for is wanted, being stopped is not
  post(StartRequested{true});
  later(10);
  launch(8);
  ready();
  step_to(1);
  EXPECT_DOUBLE_EQ(wanted_s(accounts, now), 115.0);
  EXPECT_EQ(accounts.incidents, 0);
  EXPECT_EQ(accounts.lost_episodes, 0);
  EXPECT_EQ(accounts.relaunch.count, 0);
}

TEST_F(Accounting, LosesNothingByGoingBackAsAsked) {
  begin();
  train(1, 8);
  post(RestartRequested{{LaunchFrom::Kind::selector, "ep2"}});
  post(WorkerExited{state.attempt, {75, std::nullopt}, ""});
  launch(2);
  EXPECT_EQ(accounts.lost_episodes, 0);
  EXPECT_DOUBLE_EQ(good_s(accounts), 20.0);  // but that time did not go into episodes that count
}

TEST_F(Accounting, KnowsAThousandEpisodesLaterWhatOldOnesTook) {
  begin();
  train(1, 1000);
  EXPECT_LE(accounts.marks.size(), 64U);
  EXPECT_DOUBLE_EQ(good_s(accounts), 10'000.0);
  die();
  launch(317);
  EXPECT_NEAR(good_s(accounts), 3170.0, 1e-6);
}

TEST_F(Accounting, CountsWhatWasHereBeforeItAsNothing) {
  post(StartRequested{true});
  launch(500);
  ready();
  train(501, 503);
  EXPECT_DOUBLE_EQ(good_s(accounts), 30.0);
  die();
  launch(400);
  EXPECT_DOUBLE_EQ(good_s(accounts), 0.0);
}

TEST_F(Accounting, HasWorkAtRiskFromTheFirstEpisodeThatIsNotDurable) {
  begin();
  later(10);
  episode(1, true);
  EXPECT_FALSE(accounts.at_risk_since);
  later(10);
  episode(2);
  const Instant since = now;
  later(10);
  episode(3);
  EXPECT_EQ(accounts.at_risk_since, since);
  episode(3, true);
  EXPECT_FALSE(accounts.at_risk_since);
}

TEST_F(Accounting, GoesOnWhereALivingWorkerIsAdopted) {
  begin();
  train(1, 8);
  later(4);
  // Written down now, four seconds into episode 9; the next supervisor comes a minute later and finds the worker.
  const Accounts written = accounts;
  const double wanted_then = wanted_s(accounts, now);
  later(60);
  accounts = remembered(written, 60.0 + 4.0, 0.0, now);
  State found;
  found.attempt = state.attempt;
  found.progress.episode = 8;
  state = found;
  post(WorkerAdopted{101, 0});
  episode(15);
  EXPECT_DOUBLE_EQ(good_s(accounts), 80.0 + 64.0);
  EXPECT_DOUBLE_EQ(wanted_s(accounts, now), wanted_then + 60.0);
}

TEST_F(Accounting, TimeThatTheMachineWasDownIsWantedAndNotGood) {
  begin();
  train(1, 8);
  accounts = remembered(accounts, 1000.0, 0.0, now);
  State found;
  found.progress.episode = 8;
  state = found;
  post(StartRequested{});
  launch(9);  // one more than had been written down
  ready();
  EXPECT_DOUBLE_EQ(good_s(accounts), 90.0);
  EXPECT_DOUBLE_EQ(wanted_s(accounts, now), 1100.0);
}

}  // namespace
}  // namespace ts::core
