// The task that ships: a double DQN agent that trades one instrument. One implementation of session::TrainingTask.
//
// Threading: the training thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/config/config.h"
#include "worker/dqn/agent.h"
#include "worker/dqn/random_state.h"
#include "worker/dqn/replay.h"
#include "worker/session/training_task.h"
#include "worker/trading/environment.h"
#include "worker/trading/features.h"
#include "worker/trading/market_data.h"
#include "worker/trading/performance.h"
#include "worker/trading/splits.h"

namespace ts::dqn {

class TradingTask final : public session::TrainingTask {
 public:
  // Loads and checks the data; errors name file, row and column. `device` is a resolved one.
  static Result<std::unique_ptr<TradingTask>> create(const config::Config& config, const std::string& device);

  Result<std::optional<session::EpisodeResult>> run_episode(std::int64_t episode, session::StepGate& gate) override;
  checkpoint::Dict state() override;
  Result<> load(const checkpoint::Dict& state) override;
  Result<std::optional<std::string>> import_model(const checkpoint::Dict& state) override;
  boost::json::object hyperparameters() const override;
  boost::json::object exactness() const override;

  // The greedy policy beside buy-and-hold, over one split.
  struct Comparison {
    std::string split;
    std::string first_date;
    std::string last_date;
    trading::Performance policy;
    trading::Performance buy_and_hold;
  };
  std::vector<Comparison> compare();  // validation, test

 private:
  TradingTask(const config::Config& config, std::string device, trading::MarketData data, trading::Splits splits);
  double epsilon() const;

  config::Config config_;
  std::string device_;
  trading::MarketData data_;
  trading::Splits splits_;
  trading::FeatureTable features_;
  RandomState random_;
  Agent agent_;
  Replay replay_;
  trading::Performance held_;  // buy-and-hold over the validation split
  std::string data_digest_;
  std::int64_t steps_ = 0;
  // What state() points at besides the agent's own.
  std::vector<std::int64_t> engine_words_;
  std::vector<std::uint8_t> torch_generator_;
  double epsilon_now_ = 0.0;
};

}  // namespace ts::dqn
