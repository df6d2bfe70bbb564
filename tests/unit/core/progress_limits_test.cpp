// What is learned about how long a training stands still when all is well (P9).
#include "supervisor/core/progress_limits.h"

#include <gtest/gtest.h>

namespace ts::core {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using enum protocol::Phase;

LearnedGaps after(int times, Duration gap) {
  LearnedGaps learned;
  for (int i = 0; i < times; ++i) learn(learned, train, gap);
  return learned;
}

TEST(ALimit, IsGenerousUntilEnoughWasSeen) {
  const Policy policy;
  EXPECT_EQ(progress_limit({}, train, policy), policy.progress_unlearned);
  EXPECT_EQ(progress_limit(after(4, hours{1}), train, policy), policy.progress_unlearned);
  EXPECT_EQ(progress_limit(after(5, hours{1}), train, policy), hours{5});
}

TEST(ALimit, IsFiveTimesTheLongestGapAndNeverBelowTheFloor) {
  const Policy policy;
  EXPECT_EQ(progress_limit(after(50, seconds{20}), train, policy), seconds{100});
  EXPECT_EQ(progress_limit(after(50, seconds{12}), train, policy), policy.progress_floor);
  EXPECT_EQ(progress_limit(after(50, milliseconds{1}), train, policy), policy.progress_floor);
  EXPECT_EQ(progress_limit(after(50, Duration::zero()), train, policy), policy.progress_floor);
  EXPECT_GT(*progress_limit(after(50, seconds{13}), train, policy), policy.progress_floor);
}

// Found by the random histories: each gap near its limit made the next limit five times as long, to the end of time.
TEST(ALimit, IsNeverLongerThanADay) {
  EXPECT_EQ(progress_limit(after(50, hours{10}), train, Policy{}), hours{24});
}

TEST(ALimit, IsOfItsPhase) {
  const Policy policy;
  LearnedGaps learned = after(10, seconds{20});
  for (int i = 0; i < 10; ++i) learn(learned, evaluate, hours{1});
  EXPECT_EQ(progress_limit(learned, train, policy), seconds{100});
  EXPECT_EQ(progress_limit(learned, evaluate, policy), hours{5});
  EXPECT_EQ(progress_limit(learned, save, policy), policy.progress_unlearned);
}

TEST(AConfiguredLimit, HoldsWhateverWasLearnedAndZeroIsNone) {
  Policy policy;
  policy.progress_timeout = seconds{7};  // below the floor, too: a person knows
  EXPECT_EQ(progress_limit(after(50, hours{1}), train, policy), seconds{7});
  EXPECT_EQ(progress_limit({}, load, policy), seconds{7});
  policy.progress_timeout = Duration::zero();
  EXPECT_EQ(progress_limit(after(50, hours{1}), train, policy), std::nullopt);
}

TEST(TheLimitOfAllPhasesTogether, IsOneStayInEachOrTheConfiguredTime) {
  Policy policy;
  EXPECT_EQ(progress_limit_of_all({}, policy), 4 * policy.progress_unlearned);
  EXPECT_EQ(progress_limit_of_all(after(5, seconds{20}), policy), 3 * policy.progress_unlearned + seconds{100});
  policy.progress_timeout = seconds{7};
  EXPECT_EQ(progress_limit_of_all(after(5, seconds{20}), policy), seconds{7});
  policy.progress_timeout = Duration::zero();
  EXPECT_EQ(progress_limit_of_all({}, policy), std::nullopt);
}

TEST(AnOutlier, FadesButNotSoon) {
  const Policy policy;
  LearnedGaps learned = after(50, seconds{1});
  learn(learned, train, minutes{10});
  EXPECT_EQ(progress_limit(learned, train, policy), minutes{50});
  Duration before = minutes{50};
  for (int hour = 0; hour < 20; ++hour) {
    for (int i = 0; i < 3600; ++i) learn(learned, train, seconds{1});
    const Duration limit = *progress_limit(learned, train, policy);
    EXPECT_LE(limit, before);
    before = limit;
  }
  EXPECT_EQ(before, policy.progress_floor);
}

// A worker that names no phases: thousands of steps of a second, and then minutes of evaluation.
TEST(AGapThatComesAgainAndAgain, NeverExceedsItsLimitHoweverManySmallOnesLieBetween) {
  const Policy policy;
  LearnedGaps learned = after(50, seconds{1});
  for (int round = 0; round < 20; ++round) {
    if (round > 0) {
      EXPECT_GE(*progress_limit(learned, train, policy), minutes{10}) << round;
    }
    learn(learned, train, minutes{10});
    for (int i = 0; i < 8 * 3600; ++i) learn(learned, train, seconds{1});
  }
}

TEST(WhatIsLearned, StaysBounded) {
  LearnedGaps learned;
  for (int i = 0; i < 1'100'000; ++i) learn(learned, train, seconds{1});
  EXPECT_EQ(learned.at(train).seen, 1'000'000);
  EXPECT_EQ(learned.at(train).longest, seconds{1});
}

}  // namespace
}  // namespace ts::core
