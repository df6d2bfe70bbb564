// The trading task as the session uses it: one seed, one state; later data changes nothing; a resume is exact (P3).
#include "worker/dqn/trading_task.h"

#include <sstream>

#include <gtest/gtest.h>

#include "common/checkpoint/archive_reader.h"
#include "common/checkpoint/archive_writer.h"
#include "common/checkpoint/digest.h"
#include "tests/unit/session/temp_directory.h"
#include "tests/unit/trading/market_fixture.h"
#include "worker/dqn/torch_runtime.h"

namespace ts::dqn {
namespace {

class OpenGate final : public session::StepGate {
 public:
  explicit OpenGate(std::int64_t steps = 1'000'000) : left_(steps) {}
  bool step(std::int64_t) override { return left_-- > 0; }
  void enter(protocol::Phase) override {}

 private:
  std::int64_t left_;
};

class Trading : public testing::Test {
 protected:
  static void SetUpTestSuite() { set_up_torch(1, 42); }

  Trading() {
    config_.data.path = directory_ / "market.csv";
    config_.trading.window = 5;
    config_.trading.episode_length = 20;
    config_.dqn.hidden = {8};
    config_.dqn.batch_size = 8;
    config_.dqn.replay_capacity = 64;
    config_.dqn.learn_start = 16;
    config_.dqn.target_update = 10;
    config_.dqn.epsilon_decay_steps = 60;
    write_market(trading::random_market(300, 3));
  }

  void write_market(const trading::MarketData& data) const {
    std::ostringstream csv;
    csv.precision(17);
    csv << "date,open,high,low,close,volume\n";
    for (std::size_t i = 0; i < data.rows(); ++i) {
      csv << trading::format_date(data.dates[i]) << ',' << data.open[i] << ',' << data.high[i] << ',' << data.low[i]
          << ',' << data.close[i] << ',' << data.volume[i] << '\n';
    }
    write_text(config_.data.path, csv.str());
  }
  std::unique_ptr<TradingTask> task() const {
    auto created = TradingTask::create(config_, "cpu");
    EXPECT_TRUE(created) << created.error().message;
    return std::move(*created);
  }
  static void train(TradingTask& task, std::int64_t from, std::int64_t to) {
    OpenGate gate;
    for (std::int64_t episode = from; episode <= to; ++episode) {
      const auto result = task.run_episode(episode, gate);
      ASSERT_TRUE(result && *result);
    }
  }
  static std::vector<std::byte> archive(TradingTask& task) { return checkpoint::write_archive(task.state()); }
  static std::string digest(TradingTask& task) { return checkpoint::digest_of(archive(task)); }

  TempDirectory directory_;
  config::Config config_;
};

TEST_F(Trading, IsAFunctionOfItsSeed) {
  const auto a = task();
  const auto b = task();
  config_.training.seed = 43;
  const auto c = task();
  for (auto* each : {a.get(), b.get(), c.get()}) train(*each, 1, 2);
  EXPECT_EQ(digest(*a), digest(*b));
  EXPECT_NE(digest(*a), digest(*c));
}

TEST_F(Trading, ResumesBitForBitAfterAnyEpisode) {
  const auto straight = task();
  std::vector<std::vector<std::byte>> after = {archive(*straight)};
  for (std::int64_t episode = 1; episode <= 6; ++episode) {
    train(*straight, episode, episode);
    after.push_back(archive(*straight));
  }
  for (std::int64_t k = 0; k <= 6; ++k) {
    const auto read =
        checkpoint::read_archive(after[static_cast<std::size_t>(k)], "saved", checkpoint::CrcCheck::verify);
    ASSERT_TRUE(read);
    const auto resumed = task();
    train(*resumed, 1, k % 3);  // whatever it did before
    ASSERT_TRUE(resumed->load(read->root));
    train(*resumed, k + 1, 6);
    EXPECT_EQ(archive(*resumed), after[6]) << "resumed after episode " << k;
  }
}

// Metamorphic: other data after the training split, and the training must not notice.
TEST_F(Trading, DoesNotLearnFromWhatComesLater) {
  auto data = trading::random_market(300, 3);
  const auto before = task();
  train(*before, 1, 3);
  const auto splits = trading::split_by_date(data, 5, config_.data.validation_fraction, config_.data.test_fraction);
  for (std::size_t day = splits->train.end + 1; day < data.rows(); ++day) {
    for (auto* column : {&data.open, &data.high, &data.low, &data.close}) (*column)[day] *= day % 2 == 0 ? 3.0 : 0.4;
    data.volume[day] += 12345;
  }
  write_market(data);
  const auto after = task();
  train(*after, 1, 3);
  EXPECT_EQ(digest(*before), digest(*after));
  EXPECT_NE(before->exactness(), after->exactness());  // the change was there, and a resume across it is called inexact
}

TEST_F(Trading, ReportsFiniteMetricsByTheirNames) {
  const auto trader = task();
  OpenGate gate;
  const auto result = trader->run_episode(1, gate).value().value();
  for (const auto* name :
       {"profit", "sharpe", "max_drawdown", "trades", "win_rate", "loss", "reward", "epsilon", "buy_and_hold_profit"}) {
    ASSERT_TRUE(result.metrics.contains(name)) << name;
    EXPECT_TRUE(std::isfinite(result.metrics.at(name))) << name;
  }
  EXPECT_GT(result.epsilon, config_.dqn.epsilon_end);
  EXPECT_LT(result.epsilon, config_.dqn.epsilon_start);
}

TEST_F(Trading, GivesUpAnEpisodeWhenItIsTold) {
  const auto trader = task();
  OpenGate gate(7);
  const auto result = trader->run_episode(1, gate);
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->has_value());
}

TEST_F(Trading, HasTheSameStructureAtEveryMoment) {
  const auto trader = task();
  const auto layout = checkpoint::ArchiveLayout::plan(trader->state());
  train(*trader, 1, 3);
  EXPECT_TRUE(layout.fits(trader->state()));
}

TEST_F(Trading, RefusesAStateOfAnotherShapeAndStaysAsItWas) {
  const auto trader = task();
  train(*trader, 1, 2);
  std::vector<config::Config> configs(4, config_);
  configs[0].dqn.hidden = {9};
  configs[1].dqn.replay_capacity = 65;
  configs[2].trading.window = 6;
  configs[3].dqn.hidden = {8, 8};
  std::vector<std::unique_ptr<TradingTask>> others;
  for (const config::Config& config : configs) others.push_back(TradingTask::create(config, "cpu").value());
  // From here on: libtorch's generator is part of every task's state, and making a network draws from it.
  const std::string before = digest(*trader);
  for (const auto& other : others) {
    const auto loaded = trader->load(other->state());
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().kind, ErrorKind::checkpoint);
    EXPECT_EQ(digest(*trader), before) << loaded.error().message;
  }
  EXPECT_FALSE(trader->load(checkpoint::Dict{}));
  EXPECT_EQ(digest(*trader), before);
}

// A dict of the same tensors under other names, as another program arranges them.
checkpoint::Dict only(const checkpoint::Dict& state, std::initializer_list<const char*> names) {
  checkpoint::Dict out;
  for (const char* name : names) out.add(name, *state.dict(name));
  return out;
}

std::string digest_of(const checkpoint::Dict& dict) {
  return checkpoint::digest_of(checkpoint::write_archive(dict));
}

TEST_F(Trading, TakesOverAModelThatIsNoCompleteState) {
  const auto teacher = task();
  train(*teacher, 1, 3);
  const checkpoint::Dict taught = teacher->state();
  const std::string weights = digest_of(*taught.dict("model"));
  for (const bool bare : {false, true}) {
    const auto learner = task();
    const std::string moments = digest_of(*learner->state().dict("optimizer"));
    ASSERT_FALSE(learner->load(only(taught, {"model"})));
    const auto imported = learner->import_model(bare ? *taught.dict("model") : only(taught, {"model"}));
    ASSERT_TRUE(imported) << imported.error().message;
    EXPECT_NE((*imported)->find("start at zero"), std::string::npos);
    const checkpoint::Dict state = learner->state();
    EXPECT_EQ(digest_of(*state.dict("model")), weights);
    EXPECT_EQ(digest_of(*state.dict("target")), weights);
    EXPECT_EQ(digest_of(*state.dict("optimizer")), moments);
  }
}

TEST_F(Trading, TakesOverAdamsMomentsInBothForms) {
  const auto teacher = task();
  train(*teacher, 1, 3);
  const checkpoint::Dict taught = teacher->state();
  const checkpoint::Dict& ours = *taught.dict("optimizer");
  // As torch.optim.Adam.state_dict() has it: by the parameters' numbers, and the step is a floating-point number.
  const double steps = static_cast<double>(*checkpoint::whole_number(ours, "step"));
  checkpoint::Dict by_number;
  std::size_t number = 0;
  for (const auto& [name, unused] : ours.dict("exp_avg")->items()) {
    checkpoint::Dict moments;
    moments.add("step", checkpoint::view_of(steps));
    moments.add("exp_avg", *ours.dict("exp_avg")->tensor(name));
    moments.add("exp_avg_sq", *ours.dict("exp_avg_sq")->tensor(name));
    by_number.add(std::to_string(number++), std::move(moments));
  }
  checkpoint::Dict optimizer;
  optimizer.add("state", std::move(by_number));
  checkpoint::Dict python = only(taught, {"model"});
  python.add("optimizer", std::move(optimizer));

  for (const checkpoint::Dict& file : {python, only(taught, {"model", "optimizer"})}) {
    const auto learner = task();
    const auto imported = learner->import_model(file);
    ASSERT_TRUE(imported);
    EXPECT_NE((*imported)->find("Adam's moments are taken over"), std::string::npos);
    EXPECT_EQ(digest_of(*learner->state().dict("optimizer")), digest_of(ours));
  }
}

TEST_F(Trading, RefusesAModelOfAnotherShapeAndStaysAsItWas) {
  const auto trader = task();
  config_.dqn.hidden = {9};
  const auto other = task();
  const std::string before = digest(*trader);
  const auto imported = trader->import_model(only(other->state(), {"model"}));
  ASSERT_FALSE(imported);
  EXPECT_NE(imported.error().message.find("model.0.weight"), std::string::npos) << imported.error().message;
  EXPECT_FALSE(trader->import_model(checkpoint::Dict{}));
  EXPECT_EQ(digest(*trader), before);
}

TEST_F(Trading, RefusesWhatCannotBeTradedWithASentence) {
  config_.data.path = directory_ / "missing.csv";
  EXPECT_FALSE(TradingTask::create(config_, "cpu"));
  config_.data.path = directory_ / "market.csv";
  config_.trading.episode_length = 100'000;
  EXPECT_FALSE(TradingTask::create(config_, "cpu"));
}

TEST(TheDevice, IsResolvedOrRefused) {
  EXPECT_EQ(resolve_device("cpu").value(), "cpu");
  EXPECT_TRUE(resolve_device("auto"));
  const auto refused = resolve_device("cuda:99");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::configuration);
}

TEST(TheGeneratorOfLibtorch, ComesBackAndRefusesNonsense) {
  set_up_torch(1, 7);
  const auto saved = save_torch_generator();
  set_up_torch(1, 8);
  EXPECT_NE(save_torch_generator(), saved);
  ASSERT_TRUE(restore_torch_generator(saved));
  EXPECT_EQ(save_torch_generator(), saved);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, saved.size() - 1}) {
    EXPECT_FALSE(restore_torch_generator(std::vector<std::uint8_t>(size, 0xFF)));
    EXPECT_EQ(save_torch_generator(), saved);
  }
  EXPECT_FALSE(restore_torch_generator(std::vector<std::uint8_t>(saved.size(), 0xFF)));
  EXPECT_EQ(save_torch_generator(), saved);
}

}  // namespace
}  // namespace ts::dqn
