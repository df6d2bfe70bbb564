// Why a worker ended, and how long to wait then: tables.
#include "supervisor/core/cause.h"

#include <array>
#include <cstdint>
#include <string>

#include <gtest/gtest.h>

namespace ts::core {
namespace {

using std::chrono::milliseconds;

Cause cause_of_code(int code) {
  return classify({code, std::nullopt});
}

TEST(EveryExitStatus, HasTheCauseOfTheContract) {
  for (int code = 0; code <= 255; ++code) {
    Cause expected = Cause::error_exit;
    if (code == 0) expected = Cause::finished;
    if (code == 65) expected = Cause::bad_data;
    if (code == 74) expected = Cause::cannot_save;
    if (code == 75) expected = Cause::interrupted;
    if (code == 78) expected = Cause::bad_configuration;
    EXPECT_EQ(cause_of_code(code), expected) << code;
    EXPECT_EQ(describe({code, std::nullopt}), "exited with status " + std::to_string(code));
  }
}

TEST(EverySignal, IsACrashUnlessAPersonSendsIt) {
  for (int signal = 1; signal <= 31; ++signal) {
    const bool polite = signal == 2 || signal == 15;
    EXPECT_EQ(classify({std::nullopt, signal}), polite ? Cause::killed_outside : Cause::crash) << signal;
    EXPECT_TRUE(describe({std::nullopt, signal}).starts_with("was killed by signal " + std::to_string(signal)));
  }
  EXPECT_EQ(describe({std::nullopt, 9}), "was killed by signal 9 (SIGKILL)");
  EXPECT_EQ(describe({std::nullopt, 11}), "was killed by signal 11 (SIGSEGV)");
}

TEST(ADeathBySigkill, IsForWantOfMemoryWhenTheKernelSaysSo) {
  const ExitStatus starved{std::nullopt, 9, true};
  EXPECT_EQ(classify(starved), Cause::out_of_memory);
  EXPECT_EQ(describe(starved), "was killed by signal 9 (SIGKILL): the kernel had run out of memory");
  for (const ExitStatus& other : {ExitStatus{std::nullopt, 11, true}, ExitStatus{1, std::nullopt, true}}) {
    EXPECT_NE(classify(other), Cause::out_of_memory);
    EXPECT_EQ(describe(other).find("memory"), std::string::npos);
  }
  EXPECT_EQ(parse_cause("out_of_memory"), Cause::out_of_memory);
}

TEST(AnEndThatNobodySaw, IsUnknownAndNotASuccess) {
  EXPECT_EQ(classify({}), Cause::unknown);
  EXPECT_FALSE(describe({}).empty());
}

TEST(EveryCause, HasANameThatLeadsBackToIt) {
  for (int number = 0; number <= static_cast<int>(Cause::unknown); ++number) {
    const auto cause = static_cast<Cause>(number);
    EXPECT_EQ(parse_cause(to_string(cause)), cause) << to_string(cause);
  }
  for (const auto* name : {"", "Crash", "crash ", "no_such_cause", "finishe", "finishedd"}) {
    EXPECT_EQ(parse_cause(name), std::nullopt) << name;
  }
}

TEST(OnlyTheConfigurationAndTheData, AreBeyondAnotherTry) {
  for (int number = 0; number <= static_cast<int>(Cause::unknown); ++number) {
    const auto cause = static_cast<Cause>(number);
    EXPECT_EQ(is_permanent(cause), cause == Cause::bad_configuration || cause == Cause::bad_data) << to_string(cause);
  }
}

TEST(TheWaitBeforeARelaunch, IsNoneThenGrowsThenStays) {
  const Policy policy;
  const std::array<std::int64_t, 12> expected = {0,     0,      1000,   2000,   4000,   8000,
                                                 16000, 32'000, 64'000, 128000, 256000, 300'000};
  for (std::size_t incidents = 0; incidents < expected.size(); ++incidents) {
    EXPECT_EQ(restart_delay(static_cast<std::int64_t>(incidents), policy, 0.0).count(), expected[incidents]);
  }
  for (const std::int64_t many : {12LL, 100LL, 5000LL, 9'223'372'036'854'775'807LL}) {
    EXPECT_EQ(restart_delay(many, policy, 0.0), policy.backoff_max) << many;
  }
}

TEST(TheWaitBeforeARelaunch, StaysWithinItsJitter) {
  Policy policy;
  policy.backoff_initial = milliseconds{8000};
  policy.jitter = 0.25;
  EXPECT_EQ(restart_delay(2, policy, -1.0), milliseconds{6000});
  EXPECT_EQ(restart_delay(2, policy, +1.0), milliseconds{10000});
  // A spread outside of its range is taken for its end.
  EXPECT_EQ(restart_delay(2, policy, -7.0), milliseconds{6000});
  EXPECT_EQ(restart_delay(2, policy, +7.0), milliseconds{10000});
  for (std::int64_t incidents = 2; incidents < 40; ++incidents) {
    for (const double spread : {-1.0, -0.3, 0.0, 0.7, 1.0}) {
      const auto delay = restart_delay(incidents, policy, spread);
      EXPECT_GT(delay, milliseconds{0});
      EXPECT_LE(delay, policy.backoff_max);
    }
  }
}

TEST(TheWaitBeforeARelaunch, FollowsEveryPolicyThatTheConfigurationAllows) {
  Policy policy;
  policy.backoff_initial = policy.backoff_max = milliseconds{0};
  EXPECT_EQ(restart_delay(7, policy, 1.0), milliseconds{0});
  policy.backoff_initial = policy.backoff_max = milliseconds{500};
  policy.backoff_factor = 1.0;
  policy.jitter = 0.0;
  EXPECT_EQ(restart_delay(2, policy, 1.0), milliseconds{500});
  EXPECT_EQ(restart_delay(50, policy, -1.0), milliseconds{500});
  policy.jitter = 1.0;
  EXPECT_EQ(restart_delay(50, policy, -1.0), milliseconds{0});
}

TEST(TheSpread, LiesBetweenMinusOneAndOneAndDependsOnItsSeedAlone) {
  double sum = 0.0;
  double lowest = 1.0;
  double highest = -1.0;
  for (std::uint64_t seed = 0; seed < 10'000; ++seed) {
    const double spread = spread_from(seed);
    ASSERT_GE(spread, -1.0);
    ASSERT_LE(spread, 1.0);
    ASSERT_EQ(spread, spread_from(seed));
    sum += spread;
    lowest = std::min(lowest, spread);
    highest = std::max(highest, spread);
  }
  EXPECT_NEAR(sum / 10'000, 0.0, 0.03);
  EXPECT_LT(lowest, -0.99);
  EXPECT_GT(highest, 0.99);
  for (const std::uint64_t seed : {~std::uint64_t{0}, std::uint64_t{1} << 63}) {
    EXPECT_LE(std::abs(spread_from(seed)), 1.0);
  }
}

}  // namespace
}  // namespace ts::core
