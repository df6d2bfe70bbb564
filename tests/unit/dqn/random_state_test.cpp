// The one random state: the same numbers everywhere, and back again after a save.
#include "worker/dqn/random_state.h"

#include <array>
#include <limits>

#include <gtest/gtest.h>

namespace ts::dqn {
namespace {

constexpr auto kWords = static_cast<std::size_t>(RandomState::kWords);

TEST(TheRandomState, IsTheEngineOfTheStandard) {
  RandomState random(5489);
  for (int i = 0; i < 9999; ++i) random.uniform();
  // [rand.predef] names the 10000th number of mt19937_64.
  EXPECT_EQ(random.uniform(), static_cast<double>(9981545732273789042ULL >> 11) * 0x1.0p-53);
}

TEST(TheNumbers, LieWithinTheirBounds) {
  RandomState random(42);
  for (int i = 0; i < 10'000; ++i) {
    const double number = random.uniform();
    ASSERT_GE(number, 0.0);
    ASSERT_LT(number, 1.0);
  }
  for (const std::uint64_t bound : {1ULL, 2ULL, 3ULL, 1000ULL, (1ULL << 63) + 1, ~0ULL}) {
    for (int i = 0; i < 1000; ++i) ASSERT_LT(random.below(bound), bound);
  }
}

TEST(TheBoundedNumbers, AreEquallyLikely) {
  RandomState random(7);
  std::array<int, 3> counts{};
  for (int i = 0; i < 30'000; ++i) ++counts[random.below(3)];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 400);
}

TEST(ASavedState, GoesOnWithTheVeryNextNumber) {
  RandomState random(42);
  for (int drawn = 0; drawn < 700; drawn += 13) {  // through more than one refill of the engine
    for (int i = 0; i < 13; ++i) random.uniform();
    const auto words = random.save();
    ASSERT_EQ(words.size(), kWords);
    RandomState other(1);
    ASSERT_TRUE(other.restore(words));
    EXPECT_EQ(other.save(), words);
    RandomState same = random;
    for (int i = 0; i < 400; ++i) ASSERT_EQ(other.below(1000), same.below(1000));
  }
}

TEST(WhatIsNoState, IsRefusedAndTheOldOneStays) {
  RandomState random(42);
  const auto before = random.save();
  auto position_too_great = before;
  position_too_great.back() = 313;
  auto position_negative = before;
  position_negative.back() = -1;
  auto position_absurd = before;
  position_absurd.back() = std::numeric_limits<std::int64_t>::max();
  auto too_short = before;
  too_short.pop_back();
  auto too_long = before;
  too_long.push_back(1);
  // From all zeros the engine never gets away: the next bounded number would be searched for ever.
  const std::vector<std::int64_t> zeros(kWords, 0);
  for (const auto& words : {std::vector<std::int64_t>{}, position_too_great, position_negative, position_absurd,
                            too_short, too_long, zeros}) {
    const auto restored = random.restore(words);
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().kind, ErrorKind::checkpoint);
    EXPECT_EQ(random.save(), before);
  }
}

}  // namespace
}  // namespace ts::dqn
