// The progress line, and the rate in it.
#include "supervisor/shell/console.h"

#include <chrono>
#include <limits>
#include <sstream>

#include <gtest/gtest.h>

#include "supervisor/shell/episode_rate.h"

namespace ts::shell {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

api::Status running() {
  api::Status status;
  status.state.phase = core::Phase::running;
  status.state.progress.episode = 251;
  status.state.progress.metrics = {{"profit", 12.4}, {"sharpe", 0.85}, {"epsilon", 0.23}, {"loss", 7.0}};
  status.state.restarts = {{core::Cause::crash, 2}, {core::Cause::interrupted, 1}};
  status.total_episodes = 300;
  status.episodes_per_s = 12.34;
  status.eta_s = 4.9;
  status.checkpoint = api::CheckpointStatus{250, "models/model_ep250.pt", 1.0, 0.2, 4.0};
  return status;
}

TEST(TheProgressLine, ShowsWhatAPersonWantsToKnow) {
  EXPECT_EQ(render_progress(running(), 1000),
            "episode 251/300 | profit +12.4% | Sharpe 0.85 | epsilon 0.23 | 12.3 ep/s | ETA 4s | saved ep250 | "
            "restarts 3");
}

TEST(TheProgressLine, CountsWholeSecondsOnly) {
  api::Status status = running();
  status.eta_s = 0.4;
  EXPECT_NE(render_progress(status, 1000).find("| ETA 0s |"), std::string::npos);
}

TEST(TheProgressLine, SaysSoWhenItIsNotTraining) {
  api::Status status = running();
  status.state.phase = core::Phase::backoff;
  status.state.progress.metrics = {{"profit", -3.0}};
  status.episodes_per_s.reset();
  status.eta_s.reset();
  status.checkpoint.reset();
  status.state_for_s = 3.9;
  status.deadline_in_s = 72.5;
  EXPECT_EQ(render_progress(status, 1000), "backoff for 3s, 1m 12s left | episode 251/300 | profit -3.0% | restarts 3");
  status.state.phase = core::Phase::finished;
  EXPECT_EQ(render_progress(status, 1000), "finished | episode 251/300 | profit -3.0% | restarts 3");
}

TEST(TheProgressLine, IsDrawnAgainWhileSomethingIsWaitedFor) {
  core::State state;
  for (const auto phase : {core::Phase::starting, core::Phase::stopping, core::Phase::backoff}) {
    state.phase = phase;
    EXPECT_TRUE(is_waiting(state));
  }
  for (const auto phase : {core::Phase::running, core::Phase::stopped, core::Phase::finished, core::Phase::fatal}) {
    state.phase = phase;
    EXPECT_FALSE(is_waiting(state));
  }
  state.deadline = seconds{1};  // the cooldown
  EXPECT_TRUE(is_waiting(state));
}

// A window made narrower wraps what was drawn: all of its rows go.
TEST(TheProgressLine, IsErasedInAWindowOfAnotherSize) {
  EXPECT_EQ(erase_line(0, 80), "\r\033[K");
  EXPECT_EQ(erase_line(79, 80), "\r\033[K");
  EXPECT_EQ(erase_line(80, 80), "\r\033[K");
  EXPECT_EQ(erase_line(81, 80), "\r\033[1A\033[J");
  EXPECT_EQ(erase_line(79, 20), "\r\033[3A\033[J");
  EXPECT_EQ(erase_line(79, 0), "\r\033[K");
}

TEST(TheProgressLine, IsCutBetweenItsFieldsAtAnyWidth) {
  const std::string whole = render_progress(running(), 1000);
  for (std::size_t width = 0; width <= whole.size() + 5; ++width) {
    const std::string line = render_progress(running(), width);
    EXPECT_LE(line.size(), width);
    EXPECT_TRUE(whole.starts_with(line)) << line;
    const bool between = line.empty() || line.size() == whole.size() || whole.substr(line.size()).starts_with(" | ");
    EXPECT_TRUE(between) << "a field is broken: " << line;
  }
  EXPECT_EQ(render_progress(running(), 15), "episode 251/300");
}

// P7: a worker may report any number.
TEST(TheProgressLine, SurvivesNumbersBeyondAllBounds) {
  constexpr auto kHuge = std::numeric_limits<std::int64_t>::max();
  for (const double eta : {1e300, -1e300, 9.2e18, -5.0, std::numeric_limits<double>::infinity(),
                           std::numeric_limits<double>::quiet_NaN()}) {
    api::Status status = running();
    status.state.progress.episode = kHuge;
    status.total_episodes = kHuge;
    status.eta_s = eta;
    status.episodes_per_s = 1e300;
    status.state.progress.metrics["profit"] = -1e300;
    EXPECT_FALSE(render_progress(status, 1000).empty()) << eta;
    EXPECT_EQ(render_progress(status, 1000).find('\n'), std::string::npos);
  }
}

TEST(TheRate, NeedsTwoEpisodes) {
  EpisodeRate rate;
  EXPECT_FALSE(rate.per_second());
  rate.add(1, seconds{1});
  EXPECT_FALSE(rate.per_second());
  rate.add(1, seconds{2});  // the same one again
  EXPECT_FALSE(rate.per_second());
  rate.add(3, seconds{2});
  EXPECT_DOUBLE_EQ(*rate.per_second(), 2.0);
}

TEST(TheRate, IsThatOfTheLastWhile) {
  EpisodeRate rate;
  for (int i = 0; i <= 100; ++i) rate.add(i, seconds{i});  // one a second
  EXPECT_NEAR(*rate.per_second(), 1.0, 1e-9);
  for (int i = 1; i <= 400; ++i) rate.add(100 + i, seconds{100} + milliseconds{100 * i});  // then ten
  EXPECT_NEAR(*rate.per_second(), 10.0, 0.1);
}

TEST(TheRate, StartsAnewAfterAStepBack) {
  EpisodeRate rate;
  rate.add(100, seconds{1});
  rate.add(200, seconds{2});
  rate.add(150, seconds{3});
  EXPECT_FALSE(rate.per_second());
  rate.add(151, seconds{4});
  EXPECT_DOUBLE_EQ(*rate.per_second(), 1.0);
  rate.reset();
  EXPECT_FALSE(rate.per_second());
}

TEST(TheRate, IsUnknownWhenNoTimePassed) {
  EpisodeRate rate;
  rate.add(1, seconds{1});
  rate.add(5, seconds{1});
  EXPECT_FALSE(rate.per_second());
}

}  // namespace
}  // namespace ts::shell
