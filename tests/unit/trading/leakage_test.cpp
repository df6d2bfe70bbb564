// Nothing of a later split reaches an earlier one. Metamorphic: change everything that lies in the future of a split,
// and whatever can be observed, earned or measured inside it must stay the same to the last bit.

#include <algorithm>
#include <filesystem>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/trading/market_fixture.h"
#include "worker/trading/environment.h"
#include "worker/trading/features.h"
#include "worker/trading/performance.h"
#include "worker/trading/splits.h"

namespace ts::trading {
namespace {

constexpr std::size_t kWindow = 20;
constexpr double kCost = 0.0005;

// The future, from row `first` on, as it was not: other prices, other volumes, and far larger ones.
MarketData with_other_future(MarketData data, std::size_t first) {
  for (std::size_t day = first; day < data.rows(); ++day) {
    const double factor = day % 2 == 0 ? 5.0 : 0.2;
    for (auto* column : {&data.open, &data.high, &data.low, &data.close}) (*column)[day] *= factor;
    data.volume[day] = data.volume[day] * 1000 + 17;
  }
  return data;
}

// What a rule that looks at every column of the observation would hold on each day of the span.
std::vector<Position> decisions(const FeatureTable& features, Span span) {
  std::vector<Position> positions;
  for (std::size_t day = span.begin; day < span.end; ++day) {
    float sum = 0;
    for (const float value : features.at(day)) sum += value;
    positions.push_back(sum > 1 ? Position::long_ : sum < -1 ? Position::short_ : Position::flat);
  }
  return positions;
}

std::vector<double> rewards(const MarketData& data, Span span, const std::vector<Position>& positions) {
  Environment environment = Environment::create(data, span, span.size(), kCost).value();
  environment.start(span.begin);
  std::vector<double> out;
  for (const Position position : positions) out.push_back(environment.step(action_of(position)).reward);
  EXPECT_TRUE(environment.done());
  return out;
}

// Observations from the span's first day to the one its last decision leads to.
void expect_same_observations(const FeatureTable& a, const FeatureTable& b, Span span) {
  for (std::size_t day = span.begin; day <= span.end; ++day) {
    ASSERT_TRUE(std::ranges::equal(a.at(day), b.at(day))) << "day " << day;
  }
}

class Leakage : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (GetParam() == 0) {
      const auto path = std::filesystem::path(TS_SOURCE_DIR) / "data" / "sp500-daily.csv";
      data_ = load_market_data(path).value();
    } else {
      data_ = random_market(300, static_cast<std::uint32_t>(GetParam()));
    }
    splits_ = split_by_date(data_, kWindow).value();
  }

  MarketData data_;
  Splits splits_;
};

TEST_P(Leakage, WhatComesAfterTrainingChangesNothingInTraining) {
  const Span train = splits_.train;
  const MarketData changed = with_other_future(data_, train.end + 1);
  const FeatureTable before = make_features(data_, train, kWindow);
  const FeatureTable after = make_features(changed, train, kWindow);
  expect_same_observations(before, after, train);
  const std::vector<Position> positions = decisions(before, train);
  EXPECT_EQ(positions, decisions(after, train));
  EXPECT_EQ(rewards(data_, train, positions), rewards(changed, train, positions));
  EXPECT_EQ(measure(data_, train, positions, kCost), measure(changed, train, positions, kCost));
  // The change was there to be seen.
  EXPECT_FALSE(std::ranges::equal(before.at(train.end + 1), after.at(train.end + 1)));
}

TEST_P(Leakage, WhatComesAfterValidationChangesNothingInValidation) {
  const Span validation = splits_.validation;
  const MarketData changed = with_other_future(data_, validation.end + 1);
  const FeatureTable before = make_features(data_, splits_.train, kWindow);
  const FeatureTable after = make_features(changed, splits_.train, kWindow);
  expect_same_observations(before, after, validation);
  const std::vector<Position> positions = decisions(before, validation);
  EXPECT_EQ(positions, decisions(after, validation));
  EXPECT_EQ(measure(data_, validation, positions, kCost), measure(changed, validation, positions, kCost));
  EXPECT_EQ(buy_and_hold(data_, validation, kCost), buy_and_hold(changed, validation, kCost));
  EXPECT_FALSE(std::ranges::equal(before.at(validation.end + 1), after.at(validation.end + 1)));
}

TEST_P(Leakage, TheRewardsOfTheSplitsUseDisjointCloses) {
  // Changing only the closes of one block changes the measurement of that block and of no other.
  const Span blocks[] = {splits_.train, splits_.validation, splits_.test};
  for (const Span& changed_block : blocks) {
    MarketData changed = data_;
    for (std::size_t day = changed_block.begin; day <= changed_block.end; day += 2) changed.close[day] *= 1.5;
    for (const Span& block : blocks) {
      const bool same = buy_and_hold(data_, block, kCost) == buy_and_hold(changed, block, kCost);
      EXPECT_EQ(same, !(block == changed_block));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Markets, Leakage, testing::Values(0, 1, 2));  // 0: the data that ships

}  // namespace
}  // namespace ts::trading
