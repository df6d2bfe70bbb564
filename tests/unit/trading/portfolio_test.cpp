#include "worker/trading/portfolio.h"

#include <cmath>
#include <limits>
#include <stdexcept>

#include <gtest/gtest.h>

namespace ts::trading {
namespace {

constexpr Position kAll[] = {Position::short_, Position::flat, Position::long_};

TEST(Portfolio, ActionsZeroOneTwoAreShortFlatLong) {
  EXPECT_EQ(position_of(0), Position::short_);
  EXPECT_EQ(position_of(1), Position::flat);
  EXPECT_EQ(position_of(2), Position::long_);
  for (std::int64_t action = 0; action < kActionCount; ++action) EXPECT_EQ(action_of(position_of(action)), action);
}

TEST(Portfolio, AnActionThatDoesNotExistThrows) {
  for (const std::int64_t action : {std::int64_t{-1}, std::int64_t{3}, INT64_MIN, INT64_MAX}) {
    EXPECT_THROW(position_of(action), std::out_of_range);
  }
}

TEST(Portfolio, TurnoverIsTheDistanceBetweenPositions) {
  const double expected[3][3] = {{0, 1, 2}, {1, 0, 1}, {2, 1, 0}};
  for (int from = 0; from < 3; ++from) {
    for (int to = 0; to < 3; ++to) EXPECT_EQ(turnover(kAll[from], kAll[to]), expected[from][to]);
  }
}

TEST(Portfolio, RewardIsPositionTimesReturnLessCostTimesTurnover) {
  const struct {
    Position from;
    Position to;
    double market;
    double reward;
  } cases[] = {{Position::flat, Position::flat, 0.05, 0.0},     {Position::long_, Position::long_, 0.05, 0.05},
               {Position::flat, Position::long_, 0.05, 0.049},  {Position::short_, Position::long_, 0.05, 0.048},
               {Position::long_, Position::flat, 0.05, -0.001}, {Position::long_, Position::short_, -0.05, 0.048},
               {Position::flat, Position::short_, 0.05, -0.051}};
  for (const auto& test : cases) EXPECT_NEAR(step_reward(test.from, test.to, test.market, 0.001), test.reward, 1e-15);
}

TEST(Portfolio, MirroringTheMarketAndThePositionsKeepsTheReward) {
  for (const Position from : kAll) {
    for (const Position to : kAll) {
      const Position mirrored_from = position_of(2 - action_of(from));
      const Position mirrored_to = position_of(2 - action_of(to));
      EXPECT_EQ(step_reward(from, to, 0.03, 0.002), step_reward(mirrored_from, mirrored_to, -0.03, 0.002));
    }
  }
}

TEST(Portfolio, LogReturnsAddUp) {
  EXPECT_NEAR(log_return(100, 110) + log_return(110, 90), std::log(0.9), 1e-15);
}

TEST(Portfolio, CostsOutOfBoundsAreConfigurationErrors) {
  for (const double cost : {0.0, 0.0005, 0.1}) EXPECT_TRUE(check_cost(cost).has_value()) << cost;
  for (const double cost : {-0.001, 0.11, std::numeric_limits<double>::quiet_NaN(), HUGE_VAL, -HUGE_VAL}) {
    ASSERT_TRUE(check_cost(cost).has_error()) << cost;
    EXPECT_EQ(check_cost(cost).error().kind, ErrorKind::configuration);
  }
}

}  // namespace
}  // namespace ts::trading
