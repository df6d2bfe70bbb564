#include "worker/trading/splits.h"

#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/trading/market_fixture.h"

namespace ts::trading {
namespace {

MarketData flat_market(std::size_t rows) {
  return market_of(std::vector<double>(rows, 100.0));
}

TEST(Splits, AHundredRowsDivideAsComputedByHand) {
  // Rows 0-69 train, 70-84 validation, 85-99 test; a block's last day takes no decision.
  const Result<Splits> splits = split_by_date(flat_market(100), 10);
  ASSERT_TRUE(splits.has_value()) << splits.error().message;
  EXPECT_EQ(splits->train, (Span{10, 69}));
  EXPECT_EQ(splits->validation, (Span{70, 84}));
  EXPECT_EQ(splits->test, (Span{85, 99}));
  EXPECT_EQ(splits->train.size(), 59U);
}

TEST(Splits, FractionsAreOfAllRows) {
  const Result<Splits> splits = split_by_date(flat_market(1000), 5, 0.2, 0.1);
  ASSERT_TRUE(splits.has_value());
  EXPECT_EQ(splits->train, (Span{5, 699}));
  EXPECT_EQ(splits->validation, (Span{700, 899}));
  EXPECT_EQ(splits->test, (Span{900, 999}));
}

TEST(Splits, NoCloseIsPartOfTheRewardsOfTwoSplits) {
  for (std::size_t rows = 40; rows < 400; rows += 7) {
    for (const std::size_t window : {1U, 2U, 10U}) {
      const Result<Splits> splits = split_by_date(flat_market(rows), window, 0.13, 0.17);
      ASSERT_TRUE(splits.has_value()) << rows << ": " << splits.error().message;
      EXPECT_EQ(splits->train.begin, window);
      EXPECT_GE(splits->train.size(), 1U);
      EXPECT_GE(splits->validation.size(), 1U);
      EXPECT_GE(splits->test.size(), 1U);
      // The last close a split earns from is close `end`.
      EXPECT_LT(splits->train.end, splits->validation.begin);
      EXPECT_LT(splits->validation.end, splits->test.begin);
      EXPECT_EQ(splits->test.end, rows - 1);
    }
  }
}

TEST(Splits, DataTooShortIsRefusedWithTheNumberOfRowsThatWouldDo) {
  for (const std::size_t window : {1U, 10U, 60U, 10000U}) {
    std::size_t needed = 0;
    for (std::size_t rows : {2U, 5U, 9U}) {
      const Result<Splits> splits = split_by_date(flat_market(rows), window);
      ASSERT_TRUE(splits.has_error());
      EXPECT_EQ(splits.error().kind, ErrorKind::data);
      const std::string& message = splits.error().message;
      EXPECT_TRUE(message.starts_with("fixture.csv: it has " + std::to_string(rows) + " rows")) << message;
      const std::string before = "need at least ";
      const std::size_t at = message.find(before);
      ASSERT_NE(at, std::string::npos) << message;
      needed = std::stoul(message.substr(at + before.size()));
    }
    EXPECT_TRUE(split_by_date(flat_market(needed), window).has_value()) << window;
    EXPECT_TRUE(split_by_date(flat_market(needed - 1), window).has_error()) << window;
  }
}

TEST(Splits, ParametersOutOfBoundsAreConfigurationErrors) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  const struct {
    std::size_t window;
    double validation;
    double test;
    const char* says;
  } cases[] = {
      {0, 0.15, 0.15, "window is 0"},         {10001, 0.15, 0.15, "from 1 to 10000"}, {SIZE_MAX, 0.15, 0.15, "window"},
      {10, 0.0, 0.15, "0.0000 and 0.1500"},   {10, 0.15, -0.1, "fractions"},          {10, 0.5, 0.5, "at most 0.90"},
      {10, nan, 0.15, "fractions"},           {10, 0.15, nan, "fractions"},           {10, infinity, 0.15, "fractions"},
      {10, -infinity, infinity, "fractions"}, {10, 1e-300, 0.15, "at least 0.01"},
  };
  const MarketData data = flat_market(100);
  for (const auto& test : cases) {
    const Result<Splits> splits = split_by_date(data, test.window, test.validation, test.test);
    ASSERT_TRUE(splits.has_error()) << test.says;
    EXPECT_EQ(splits.error().kind, ErrorKind::configuration) << test.says;
    EXPECT_NE(splits.error().message.find(test.says), std::string::npos) << splits.error().message;
  }
}

}  // namespace
}  // namespace ts::trading
