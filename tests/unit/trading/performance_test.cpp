#include "worker/trading/performance.h"

#include <cmath>
#include <random>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/trading/market_fixture.h"

namespace ts::trading {
namespace {

constexpr Position S = Position::short_;
constexpr Position F = Position::flat;
constexpr Position L = Position::long_;
using Positions = std::vector<Position>;

Performance measured(const std::vector<double>& close, const Positions& positions, double cost) {
  return measure(market_of(close), Span{0, close.size() - 1}, positions, cost);
}

void expect_finite(const Performance& result) {
  for (const double value : {result.profit_percent, result.sharpe, result.max_drawdown_percent, result.win_rate_percent,
                             result.final_equity}) {
    EXPECT_TRUE(std::isfinite(value));
  }
  EXPECT_GE(result.final_equity, 0.0);
  EXPECT_GE(result.max_drawdown_percent, 0.0);
  EXPECT_LE(result.max_drawdown_percent, 100.0);
  EXPECT_GE(result.win_rate_percent, 0.0);
  EXPECT_LE(result.win_rate_percent, 100.0);
}

TEST(Performance, ARunComputedByHand) {
  // Daily market returns: +10 %, -10 %, +20 %, -50 %. Cost 1 %.
  // long: 1 + 0.10 - 0.01 = 1.09; short: 1 + 0.10 - 0.02 = 1.08; flat: 1 - 0.01 = 0.99; long: 1 - 0.50 - 0.01 = 0.49.
  const Performance result = measured({100, 110, 99, 118.8, 59.4}, {L, S, F, L}, 0.01);
  const double before_crash = 1.09 * 1.08 * 0.99;
  const double peak = 1.09 * 1.08;
  EXPECT_NEAR(result.final_equity, before_crash * 0.49, 1e-12);
  EXPECT_NEAR(result.profit_percent, (before_crash * 0.49 - 1) * 100, 1e-9);
  EXPECT_NEAR(result.max_drawdown_percent, (1 - before_crash * 0.49 / peak) * 100, 1e-9);
  EXPECT_EQ(result.trades, 3);
  EXPECT_NEAR(result.win_rate_percent, 200.0 / 3.0, 1e-9);
  EXPECT_EQ(result.days, 4);
  // Returns 0.09, 0.08, -0.01, -0.51: mean -0.0875, squared deviations sum to 0.24385, over 3: 0.0812... .
  const double mean = -0.0875;
  const double variance = (0.1775 * 0.1775 + 0.1675 * 0.1675 + 0.0775 * 0.0775 + 0.4225 * 0.4225) / 3;
  EXPECT_NEAR(result.sharpe, mean / std::sqrt(variance) * std::sqrt(252.0), 1e-9);
}

TEST(Performance, StayingFlatIsNothing) {
  const Performance result = measured({100, 120, 80, 100}, {F, F, F}, 0.01);
  EXPECT_EQ(result, (Performance{.days = 3}));
}

TEST(Performance, BuyAndHoldIsThePriceRatioLessTheCostOfEntering) {
  const MarketData data = market_of({100, 110, 121, 60.5, 200});
  EXPECT_NEAR(buy_and_hold(data, Span{0, 4}, 0.0).profit_percent, 100.0, 1e-9);
  EXPECT_NEAR(buy_and_hold(data, Span{1, 3}, 0.0).profit_percent, -45.0, 1e-9);
  EXPECT_NEAR(buy_and_hold(data, Span{0, 4}, 0.01).final_equity, 1.09 * 200 / 110, 1e-12);
  const Performance result = buy_and_hold(data, Span{0, 4}, 0.0);
  EXPECT_NEAR(result.max_drawdown_percent, 50.0, 1e-9);
  EXPECT_EQ(result.trades, 1);
  EXPECT_EQ(result.win_rate_percent, 100.0);
}

TEST(Performance, TradesAreTheLongestRunsOfOnePositionThatIsNotFlat) {
  const struct {
    Positions positions;
    std::int64_t trades;
  } cases[] = {{{F, F, F, F}, 0}, {{L, L, L, L}, 1}, {{L, F, L, F}, 2}, {{L, S, L, S}, 4},
               {{F, L, L, S}, 2}, {{S, S, F, S}, 2}, {{F, F, F, S}, 1}, {{L, L, S, F}, 2}};
  for (const auto& test : cases) EXPECT_EQ(measured({9, 8, 9, 8, 9}, test.positions, 0.0).trades, test.trades);
}

TEST(Performance, ATradeIsWonOnlyAfterItsOwnCosts) {
  // Up 1.5 % while long, then out: entering and leaving at 1 % each eats it, at 0.5 % it does not.
  EXPECT_EQ(measured({100, 101.5, 101.5}, {L, F}, 0.01).win_rate_percent, 0.0);
  EXPECT_EQ(measured({100, 101.5, 101.5}, {L, F}, 0.005).win_rate_percent, 100.0);
  // Still open at the end, only entering is charged.
  EXPECT_EQ(measured({100, 101.5, 101.5}, {L, L}, 0.01).win_rate_percent, 100.0);
  // A reversal: each of the two trades pays its own part. The first gains 1.5 % - 2 * 1 %, the second 3 % - 1 %.
  EXPECT_EQ(measured({100, 101.5, 98.455}, {L, S}, 0.01).win_rate_percent, 50.0);
  // Break-even is not won.
  EXPECT_EQ(measured({100, 100}, {L}, 0.0).win_rate_percent, 0.0);
}

TEST(Performance, DrawdownCountsFromTheStart) {
  EXPECT_NEAR(measured({100, 90, 95}, {L, L}, 0.0).max_drawdown_percent, 10.0, 1e-9);
  EXPECT_NEAR(measured({100, 110, 120}, {L, L}, 0.0).max_drawdown_percent, 0.0, 1e-9);
  EXPECT_NEAR(measured({100, 110, 120}, {S, S}, 0.0).max_drawdown_percent, (1 - 0.9 * (1 - 10.0 / 110)) * 100, 1e-9);
}

TEST(Performance, RuinIsFinal) {
  // Short while the price more than doubles; afterwards nothing is traded any more.
  const Performance result = measured({100, 250, 100, 200, 100}, {S, L, S, L}, 0.001);
  EXPECT_EQ(result.final_equity, 0.0);
  EXPECT_EQ(result.profit_percent, -100.0);
  EXPECT_EQ(result.max_drawdown_percent, 100.0);
  EXPECT_EQ(result.trades, 1);
  EXPECT_EQ(result.win_rate_percent, 0.0);
  EXPECT_EQ(result.days, 4);
  expect_finite(result);
  EXPECT_EQ(measured({100, 200}, {S}, 0.0).final_equity, 0.0);  // exactly -100 %
}

TEST(Performance, ReturnsThatDoNotVaryHaveSharpeZero) {
  EXPECT_EQ(measured({100, 100, 100}, {L, L}, 0.0).sharpe, 0.0);
  EXPECT_EQ(measured({100, 110}, {L}, 0.0).sharpe, 0.0);
  std::vector<double> steady;  // +0.1 % every day, equal but for rounding
  for (int i = 0; i < 100; ++i) steady.push_back(100 * std::pow(1.001, i));
  EXPECT_EQ(measured(steady, Positions(99, L), 0.0).sharpe, 0.0);
}

TEST(Performance, AnEmptySpanIsNothing) {
  EXPECT_EQ(measure(market_of({100, 101}), Span{1, 1}, Positions{}, 0.01), Performance{});
}

TEST(Performance, OnlyTheClosesOfTheSpanMatter) {
  const MarketData data = random_market(100, 21);
  const Positions positions(20, S);
  MarketData changed = data;
  for (std::size_t day = 0; day < 100; ++day) {
    if (day < 30 || day > 50) changed.close[day] *= 3;
    changed.open[day] = changed.high[day] = changed.low[day] = 1;
    changed.volume[day] = 0;
  }
  EXPECT_EQ(measure(data, Span{30, 50}, positions, 0.001), measure(changed, Span{30, 50}, positions, 0.001));
}

TEST(Performance, HigherCostsNeverEarnMore) {
  const MarketData data = random_market(200, 22);
  std::mt19937 random(5);
  Positions positions(199);
  for (Position& position : positions) position = position_of(random() % 3);
  double before = HUGE_VAL;
  for (const double cost : {0.0, 0.0001, 0.001, 0.01, 0.1}) {
    const Performance result = measure(data, Span{0, 199}, positions, cost);
    EXPECT_LT(result.final_equity, before);
    before = result.final_equity;
  }
}

TEST(Performance, EveryNumberIsFiniteHoweverAbsurdTheMarket) {
  constexpr std::uint32_t kSeed = 77;
  std::mt19937 random(kSeed);
  const double prices[] = {kLowestPrice, 1e-3, 1, 1.0000001, 100, 1e6, kHighestPrice};
  for (int round = 0; round < 500; ++round) {
    std::vector<double> close(2 + random() % 80);
    for (double& price : close) price = prices[random() % 7];
    Positions positions(close.size() - 1);
    const bool only_gains = round % 2 == 0;  // compounds beyond what a double holds
    for (std::size_t i = 0; i < positions.size(); ++i) {
      positions[i] = only_gains ? (close[i + 1] > close[i] ? L : F) : position_of(random() % 3);
    }
    expect_finite(measured(close, positions, 0.1 * static_cast<double>(random() % 2)));
    if (HasFailure()) FAIL() << "seed " << kSeed << " round " << round;
  }
}

TEST(Performance, MisuseThrows) {
  const MarketData data = market_of({1, 2, 3});
  EXPECT_THROW(measure(data, Span{0, 2}, Positions{L}, 0.0), std::invalid_argument);
  EXPECT_THROW(measure(data, Span{0, 3}, Positions{L, L, L}, 0.0), std::invalid_argument);
  EXPECT_THROW(measure(data, Span{0, 2}, Positions{L, L}, -0.1), std::invalid_argument);
  EXPECT_THROW(measure(data, Span{0, 2}, Positions{L, L}, std::nan("")), std::invalid_argument);
  EXPECT_THROW(buy_and_hold(data, Span{2, 1}, 0.0), std::invalid_argument);
  EXPECT_THROW(buy_and_hold(data, Span{0, SIZE_MAX}, 0.0), std::invalid_argument);
}

}  // namespace
}  // namespace ts::trading
