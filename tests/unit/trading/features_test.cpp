#include "worker/trading/features.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/trading/market_fixture.h"

namespace ts::trading {
namespace {

TEST(Features, ARowHoldsTheLastReturnsThenTheLastVolumeChangesOldestFirst) {
  // Log returns of the training block (days 1 to 4): ln 2, -ln 2, ln 2, -ln 2. Mean 0, deviation ln 2.
  // ln(1 + volume): ln 2, ln 4, ln 8, ln 4, ln 2, ln 2, ...: changes ln 2 * {1, 1, -1, -1}. Mean 0, deviation ln 2.
  const MarketData data = market_of({1, 2, 1, 2, 1, 1, 4, 4}, {1, 3, 7, 3, 1, 1, 1, 7});
  const FeatureTable table = make_features(data, Span{2, 4}, 2);
  EXPECT_EQ(table.first_day, 2U);
  EXPECT_EQ(table.rows, 6U);
  EXPECT_EQ(table.width, 4U);
  ASSERT_EQ(table.values.size(), 24U);
  EXPECT_NEAR(table.log_return.mean, 0.0, 1e-15);
  EXPECT_NEAR(table.log_return.deviation, std::log(2.0), 1e-15);
  const std::vector<std::vector<float>> expected = {
      {1, -1, 1, 1},                                                // day 2
      {-1, 1, 1, -1},                                               // day 3
      {1, -1, -1, -1}, {-1, 0, -1, 0}, {0, 2, 0, 0}, {2, 0, 0, 2},  // day 7, the last one
  };
  for (std::size_t r = 0; r < expected.size(); ++r) {
    const std::span<const float> row = table.at(2 + r);
    ASSERT_EQ(row.size(), 4U);
    for (std::size_t c = 0; c < 4; ++c) EXPECT_NEAR(row[c], expected[r][c], 1e-6) << "day " << 2 + r << " column " << c;
  }
}

TEST(Features, TrainingRowsAreStandardised) {
  const MarketData data = random_market(1000, 7);
  const Result<Splits> splits = split_by_date(data, 1);
  ASSERT_TRUE(splits.has_value());
  const FeatureTable table = make_features(data, splits->train, 1);
  for (const std::size_t column : {0U, 1U}) {
    double sum = 0;
    double squares = 0;
    const std::size_t last = splits->train.end;
    for (std::size_t day = 1; day <= last; ++day) {
      sum += table.at(day)[column];
      squares += table.at(day)[column] * table.at(day)[column];
    }
    EXPECT_NEAR(sum / static_cast<double>(last), 0.0, 1e-5);
    EXPECT_NEAR(squares / static_cast<double>(last), 1.0, 1e-4);
  }
}

TEST(Features, ASeriesThatDoesNotVaryBecomesZeros) {
  std::vector<double> steady;  // the same return every day, but for rounding
  for (int i = 0; i < 50; ++i) steady.push_back(100.0 * std::pow(1.001, i));
  for (const MarketData& data : {market_of(std::vector<double>(50, 3.0)), market_of(steady)}) {
    const FeatureTable table = make_features(data, Span{5, 30}, 5);
    EXPECT_EQ(table.log_return.deviation, 1.0);
    for (const float value : table.values) EXPECT_NEAR(value, 0.0F, 1e-9F);
  }
}

TEST(Features, ExtremesAreClippedAndEverythingIsFinite) {
  MarketData data = random_market(100, 3);
  data.close[60] = kHighestPrice;
  data.close[61] = kLowestPrice;
  data.volume[60] = 0;
  data.volume[61] = 1e308;
  const FeatureTable table = make_features(data, Span{4, 50}, 4);
  for (const float value : table.values) {
    ASSERT_TRUE(std::isfinite(value));
    ASSERT_LE(std::abs(value), static_cast<float>(kFeatureLimit));
  }
  EXPECT_EQ(table.at(60)[3], 5.0F);
  EXPECT_EQ(table.at(61)[3], -5.0F);
  EXPECT_EQ(table.at(61)[7], 5.0F);
}

TEST(Features, ARowDoesNotDependOnAnyLaterDay) {
  const MarketData data = random_market(200, 11);
  const Span train{8, 120};
  const FeatureTable before = make_features(data, train, 8);
  // Days up to train.end feed the scale, so the claim is about the days after.
  for (std::size_t day = train.end; day + 1 < data.rows(); ++day) {
    MarketData changed = data;
    for (std::size_t later = day + 1; later < data.rows(); ++later) {
      changed.close[later] *= 1.7;
      changed.volume[later] += 12345;
    }
    const FeatureTable after = make_features(changed, train, 8);
    const auto same = static_cast<std::ptrdiff_t>((day - before.first_day + 1) * before.width);
    ASSERT_TRUE(std::equal(before.values.begin(), before.values.begin() + same, after.values.begin())) << day;
    ASSERT_FALSE(std::ranges::equal(before.at(day + 1), after.at(day + 1))) << day;
  }
}

TEST(Features, OnlyTheLastWindowDaysAreSeen) {
  const MarketData data = random_market(200, 12);
  MarketData changed = data;
  changed.close[150] *= 1.01;
  changed.volume[150] += 1000;
  const Span train{8, 120};
  const FeatureTable before = make_features(data, train, 8);
  const FeatureTable after = make_features(changed, train, 8);
  // Price 150 is in the returns of days 150 and 151; the last row with day 151 in its window is that of day 158.
  for (std::size_t day = 8; day < data.rows(); ++day) {
    EXPECT_EQ(std::ranges::equal(before.at(day), after.at(day)), day < 150 || day > 158) << day;
  }
}

TEST(Features, WhatDoesNotFitIsABugOfTheCaller) {
  const MarketData data = random_market(50, 1);
  EXPECT_THROW(make_features(data, Span{0, 20}, 0), std::invalid_argument);
  EXPECT_THROW(make_features(data, Span{5, 20}, 4), std::invalid_argument);
  EXPECT_THROW(make_features(data, Span{5, 5}, 5), std::invalid_argument);
  EXPECT_THROW(make_features(data, Span{5, 50}, 5), std::invalid_argument);
  const FeatureTable table = make_features(data, Span{5, 49}, 5);
  EXPECT_THROW(table.at(4), std::out_of_range);
  EXPECT_THROW(table.at(50), std::out_of_range);
  EXPECT_NO_THROW(table.at(49));
}

}  // namespace
}  // namespace ts::trading
