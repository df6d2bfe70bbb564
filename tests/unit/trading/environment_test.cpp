#include "worker/trading/environment.h"

#include <cmath>
#include <stdexcept>

#include <gtest/gtest.h>

#include "tests/unit/trading/market_fixture.h"

namespace ts::trading {
namespace {

constexpr std::int64_t kShort = 0;
constexpr std::int64_t kFlat = 1;
constexpr std::int64_t kLong = 2;

TEST(Environment, AnEpisodeEarnsWhatWasComputedByHand) {
  const MarketData data = market_of({50, 100, 110, 99, 99, 120, 60});
  Environment environment = Environment::create(data, Span{1, 5}, 4, 0.001).value();
  ASSERT_EQ(environment.start_count(), 1U);
  environment.start(1);
  const struct {
    std::int64_t action;
    double reward;
    Position position;
  } steps[] = {
      {kLong, std::log(1.1) - 0.001, Position::long_},
      {kShort, -std::log(0.9) - 0.002, Position::short_},
      {kShort, 0.0, Position::short_},
      {kFlat, -0.001, Position::flat},
  };
  std::size_t day = 1;
  for (const auto& expected : steps) {
    EXPECT_FALSE(environment.done());
    EXPECT_EQ(environment.day(), day);
    const Step step = environment.step(expected.action);
    ++day;
    EXPECT_NEAR(step.reward, expected.reward, 1e-15) << day;
    EXPECT_EQ(step.next_day, day);
    EXPECT_EQ(step.next_position, expected.position);
    EXPECT_EQ(environment.position(), expected.position);
    EXPECT_EQ(step.done, day == 5);
  }
  EXPECT_TRUE(environment.done());
}

TEST(Environment, EveryStartGivesAnEpisodeOfFullLengthInsideTheSplit) {
  const MarketData data = random_market(60, 5);
  const Span split{10, 40};
  Environment environment = Environment::create(data, split, 7, 0.0).value();
  EXPECT_EQ(environment.first_start(), 10U);
  EXPECT_EQ(environment.start_count(), 24U);
  for (std::size_t start = 10; start < 10 + environment.start_count(); ++start) {
    environment.start(start);
    EXPECT_EQ(environment.position(), Position::flat);
    Step step;
    std::size_t steps = 0;
    do {
      EXPECT_TRUE(split.contains(environment.day()));
      step = environment.step(kLong);
      ++steps;
    } while (!step.done);
    EXPECT_EQ(steps, 7U);
    EXPECT_EQ(step.next_day, start + 7);
    EXPECT_LE(step.next_day, split.end);
  }
}

TEST(Environment, AnEpisodeStartsFlatAfterOneThatEndedLong) {
  const MarketData data = market_of({100, 100, 100, 100, 100});
  Environment environment = Environment::create(data, Span{1, 4}, 1, 0.01).value();
  environment.start(1);
  EXPECT_DOUBLE_EQ(environment.step(kLong).reward, -0.01);
  environment.start(2);
  EXPECT_DOUBLE_EQ(environment.step(kLong).reward, -0.01);
}

TEST(Environment, ACopyGoesItsOwnWay) {
  const MarketData data = random_market(30, 9);
  Environment environment = Environment::create(data, Span{1, 29}, 10, 0.001).value();
  environment.start(3);
  environment.step(kLong);
  Environment copy = environment;
  const Step taken = environment.step(kShort);
  EXPECT_EQ(copy.day(), 4U);
  EXPECT_EQ(copy.position(), Position::long_);
  EXPECT_EQ(copy.step(kShort).reward, taken.reward);
}

TEST(Environment, LengthsAndCostsThatCannotBeAreConfigurationErrors) {
  const MarketData data = random_market(30, 9);
  const struct {
    std::size_t length;
    double cost;
    const char* says;
  } cases[] = {{0, 0.0, "episode length is 0"},
               {20, 0.0, "must be from 1 to 19"},
               {SIZE_MAX, 0.0, "episode length"},
               {5, -1.0, "trading cost"},
               {5, std::nan(""), "trading cost"}};
  for (const auto& test : cases) {
    const Result<Environment> environment = Environment::create(data, Span{1, 20}, test.length, test.cost);
    ASSERT_TRUE(environment.has_error()) << test.says;
    EXPECT_EQ(environment.error().kind, ErrorKind::configuration);
    EXPECT_NE(environment.error().message.find(test.says), std::string::npos) << environment.error().message;
  }
  EXPECT_TRUE(Environment::create(data, Span{1, 20}, 19, 0.0).has_value());
}

TEST(Environment, MisuseThrows) {
  const MarketData data = random_market(30, 9);
  EXPECT_THROW((void)Environment::create(data, Span{1, 30}, 5, 0.0), std::out_of_range);
  EXPECT_THROW((void)Environment::create(data, Span{9, 2}, 5, 0.0), std::out_of_range);
  Environment environment = Environment::create(data, Span{5, 20}, 15, 0.0).value();
  EXPECT_TRUE(environment.done());
  EXPECT_THROW(environment.step(kFlat), std::logic_error);
  for (const std::size_t day : {std::size_t{0}, std::size_t{4}, std::size_t{6}, SIZE_MAX}) {
    EXPECT_THROW(environment.start(day), std::out_of_range) << day;
  }
  environment.start(5);
  EXPECT_THROW(environment.step(3), std::out_of_range);
  EXPECT_EQ(environment.day(), 5U);  // a refused action changes nothing
  for (int i = 0; i < 15; ++i) environment.step(kFlat);
  EXPECT_THROW(environment.step(kFlat), std::logic_error);
}

}  // namespace
}  // namespace ts::trading
