// The agent without a market: a table of features made up for the case.
#include "worker/dqn/agent.h"

#include <limits>

#include <gtest/gtest.h>

#include "common/checkpoint/archive_reader.h"
#include "common/checkpoint/archive_writer.h"
#include "worker/dqn/torch_runtime.h"

namespace ts::dqn {
namespace {

using checkpoint::Dict;
using checkpoint::DType;

constexpr std::size_t kFirstDay = 10;
constexpr std::size_t kRows = 30;

trading::FeatureTable features() {
  trading::FeatureTable table;
  table.first_day = kFirstDay;
  table.rows = kRows;
  table.width = 2;
  for (std::size_t i = 0; i < kRows * 2; ++i) table.values.push_back(static_cast<float>(i % 7) / 3.0F - 1.0F);
  return table;
}

config::Dqn small(std::vector<std::int64_t> hidden = {8}) {
  config::Dqn dqn;
  dqn.hidden = std::move(hidden);
  return dqn;
}

std::vector<std::byte> bytes_of(Agent& agent) {
  Dict state;
  agent.add_state(state);
  return checkpoint::write_archive(state);
}

std::vector<Transition> batch(std::int32_t first) {
  std::vector<Transition> out;
  for (std::int32_t i = 0; i < 16; ++i) {
    out.push_back({first + i % 8, static_cast<std::int8_t>(i % 3), static_cast<std::int8_t>((i + 1) % 3),
                   0.01F * static_cast<float>(i - 8)});
  }
  return out;
}

class AnAgent : public testing::Test {
 protected:
  static void SetUpTestSuite() { set_up_torch(1, 42); }
};

TEST_F(AnAgent, IsAFunctionOfItsSeed) {
  RandomState one(42);
  RandomState same(42);
  RandomState other(43);
  Agent a(small(), features(), "cpu", one);
  Agent b(small(), features(), "cpu", same);
  Agent c(small(), features(), "cpu", other);
  EXPECT_EQ(bytes_of(a), bytes_of(b));
  EXPECT_NE(bytes_of(a), bytes_of(c));
  for (const std::int32_t first : {10, 15, 20}) {
    EXPECT_EQ(a.learn(batch(first)).value(), b.learn(batch(first)).value());
  }
  a.update_target();
  b.update_target();
  EXPECT_EQ(bytes_of(a), bytes_of(b));
  EXPECT_EQ(one.save(), same.save());
}

TEST_F(AnAgent, ComesBackFromItsStateAndLearnsOnTheSame) {
  RandomState random(42);
  Agent agent(small(), features(), "cpu", random);
  for (const std::int32_t first : {10, 15, 20}) ASSERT_TRUE(agent.learn(batch(first)));
  const auto saved = bytes_of(agent);
  const auto archive = checkpoint::read_archive(saved, "saved", checkpoint::CrcCheck::verify);
  ASSERT_TRUE(archive);

  RandomState other_random(7);
  Agent other(small(), features(), "cpu", other_random);
  ASSERT_TRUE(other.load(archive->root));
  EXPECT_EQ(bytes_of(other), saved);
  for (const std::int32_t first : {12, 17}) {
    EXPECT_EQ(other.learn(batch(first)).value(), agent.learn(batch(first)).value());
  }
  EXPECT_EQ(bytes_of(other), bytes_of(agent));
}

TEST_F(AnAgent, RefusesAnotherArchitectureByNameAndShapesAndStaysAsItWas) {
  RandomState random(42);
  Agent agent(small({8}), features(), "cpu", random);
  const auto before = bytes_of(agent);
  const std::pair<std::vector<std::int64_t>, std::vector<std::string>> cases[] = {
      {{4}, {"model.0.weight", "[4, 5]", "[8, 5]"}},
      {{8, 8}, {"model.2.weight", "[8, 8]", "[3, 8]"}},
      {{}, {"model.0.weight", "[3, 5]", "[8, 5]"}},
  };
  for (const auto& [hidden, parts] : cases) {
    RandomState other_random(1);
    Agent other(small(hidden), features(), "cpu", other_random);
    Dict state;
    other.add_state(state);
    const auto loaded = agent.load(state);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().kind, ErrorKind::checkpoint);
    for (const auto& part : parts) {
      EXPECT_NE(loaded.error().message.find(part), std::string::npos) << loaded.error().message;
    }
    EXPECT_EQ(bytes_of(agent), before);
  }
  EXPECT_FALSE(agent.load(Dict{}));
  EXPECT_EQ(bytes_of(agent), before);
}

TEST_F(AnAgent, WalksGreedilyAsItActsStepByStep) {
  RandomState random(5);
  Agent agent(small(), features(), "cpu", random);
  const trading::Span span{kFirstDay + 1, kFirstDay + kRows - 1};
  const auto positions = agent.greedy_positions(span);
  ASSERT_EQ(positions.size(), span.size());
  std::int64_t held = trading::action_of(trading::Position::flat);
  for (std::size_t i = 0; i < positions.size(); ++i) {
    held = agent.best_action(span.begin + i, held);
    EXPECT_EQ(trading::action_of(positions[i]), held) << i;
  }
}

TEST_F(AnAgent, SaysSoWhenTheLossIsNotFinite) {
  RandomState random(42);
  Agent agent(small(), features(), "cpu", random);
  const auto before = bytes_of(agent);
  auto poisoned = batch(10);
  poisoned[3].reward = std::numeric_limits<float>::quiet_NaN();
  const auto learned = agent.learn(poisoned);
  ASSERT_FALSE(learned);
  EXPECT_EQ(learned.error().kind, ErrorKind::internal);
  EXPECT_EQ(bytes_of(agent), before);
}

// A network without hidden layers and with zero weights has its biases for values, so the loss can be done by hand.
struct Biases {
  std::vector<float> weights = std::vector<float>(15, 0.0F);
  std::vector<float> model{0.0F, 1.0F, 5.0F};
  std::vector<float> target{10.0F, 20.0F, 3.0F};
  std::vector<float> zeros = std::vector<float>(3, 0.0F);
  std::int64_t step = 0;

  Dict layer(const std::vector<float>& bias) const {
    Dict out;
    out.add("0.weight", {DType::float32, {3, 5}, std::as_bytes(std::span(weights))});
    out.add("0.bias", checkpoint::view_of(DType::float32, bias));
    return out;
  }
  Dict state() const {
    Dict optimizer;
    optimizer.add("step", checkpoint::view_of(step));
    optimizer.add("exp_avg", layer(zeros));
    optimizer.add("exp_avg_sq", layer(zeros));
    Dict out;
    out.add("model", layer(model));
    out.add("target", layer(target));
    out.add("optimizer", std::move(optimizer));
    return out;
  }
};

TEST_F(AnAgent, ChoosesWithOneNetworkAndValuesWithTheOther) {
  config::Dqn dqn = small({});
  dqn.gamma = 0.9;
  RandomState random(42);
  Agent agent(dqn, features(), "cpu", random);
  const Biases biases;
  ASSERT_TRUE(agent.load(biases.state()));
  // The model prefers action 2, which the target values at 3: wanted is 100 * 0.01 + 0.9 * 3 = 3.7, the value of action
  // 0 is 0, and the smooth L1 loss of 3.7 is 3.2. A plain DQN would take the target's own best, 20.
  EXPECT_NEAR(agent.learn({{15, 1, 0, 0.01F}}).value(), 3.2, 1e-5);
  Agent updated(dqn, features(), "cpu", random);
  ASSERT_TRUE(updated.load(biases.state()));
  updated.update_target();
  EXPECT_NEAR(updated.learn({{15, 1, 0, 0.01F}}).value(), 5.0, 1e-5);  // 1 + 0.9 * 5 - 0.5
}

}  // namespace
}  // namespace ts::dqn
