#include "worker/dqn/trading_task.h"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/json/array.hpp>

#include "common/checkpoint/digest.h"
#include "worker/dqn/torch_runtime.h"

namespace ts::dqn {
namespace {

using checkpoint::Dict;
using checkpoint::DType;

// Replay holds indices into the market data, so the same file is part of the state.
std::string digest_data(const trading::MarketData& data) {
  std::vector<double> columns = data.close;
  columns.insert(columns.end(), data.volume.begin(), data.volume.end());
  return checkpoint::digest_of(std::as_bytes(std::span(columns)));
}

}  // namespace

Result<std::unique_ptr<TradingTask>> TradingTask::create(const config::Config& config, const std::string& device) {
  auto data = trading::load_market_data(config.data.path);
  if (!data) return data.error();
  const auto window = static_cast<std::size_t>(config.trading.window);
  const auto splits = trading::split_by_date(*data, window, config.data.validation_fraction, config.data.test_fraction);
  if (!splits) return splits.error();
  const auto environment = trading::Environment::create(
      *data, splits->train, static_cast<std::size_t>(config.trading.episode_length), config.trading.cost);
  if (!environment) return environment.error();
  return std::unique_ptr<TradingTask>(new TradingTask(config, device, std::move(*data), *splits));
}

TradingTask::TradingTask(const config::Config& config, std::string device, trading::MarketData data,
                         trading::Splits splits)
    : config_(config),
      device_(std::move(device)),
      data_(std::move(data)),
      splits_(splits),
      features_(trading::make_features(data_, splits_.train, static_cast<std::size_t>(config.trading.window))),
      random_(config.training.seed),
      agent_(config.dqn, features_, device_, random_),
      replay_(static_cast<std::size_t>(config.dqn.replay_capacity)),
      held_(trading::buy_and_hold(data_, splits_.validation, config.trading.cost)),
      data_digest_(digest_data(data_)) {}

double TradingTask::epsilon() const {
  const config::Dqn& dqn = config_.dqn;
  const double share = std::min(
      1.0, static_cast<double>(steps_) / static_cast<double>(std::max<std::int64_t>(1, dqn.epsilon_decay_steps)));
  return dqn.epsilon_start + share * (dqn.epsilon_end - dqn.epsilon_start);
}

Result<std::optional<session::EpisodeResult>> TradingTask::run_episode(std::int64_t, session::StepGate& gate) {
  const config::Dqn& dqn = config_.dqn;
  auto environment = trading::Environment::create(
      data_, splits_.train, static_cast<std::size_t>(config_.trading.episode_length), config_.trading.cost);
  if (!environment) return environment.error();
  environment->start(environment->first_start() + random_.below(environment->start_count()));
  std::vector<Transition> batch;
  double reward = 0.0;
  double loss = 0.0;
  std::int64_t losses = 0;
  while (!environment->done()) {
    if (!gate.step(steps_)) return std::optional<session::EpisodeResult>();
    const std::size_t day = environment->day();
    const std::int64_t held = trading::action_of(environment->position());
    const bool explore = random_.uniform() < epsilon();
    const std::int64_t action =
        explore ? static_cast<std::int64_t>(random_.below(trading::kActionCount)) : agent_.best_action(day, held);
    const trading::Step step = environment->step(action);
    replay_.add({static_cast<std::int32_t>(day), static_cast<std::int8_t>(held), static_cast<std::int8_t>(action),
                 static_cast<float>(step.reward)});
    reward += step.reward;
    ++steps_;
    if (steps_ >= dqn.learn_start && steps_ % dqn.learn_every == 0) {
      replay_.sample(static_cast<std::size_t>(dqn.batch_size), random_, batch);
      const auto learned = agent_.learn(batch);
      if (!learned) return learned.error();
      loss += *learned;
      ++losses;
    }
    if (steps_ % dqn.target_update == 0) agent_.update_target();
  }
  gate.enter(protocol::Phase::evaluate);
  const auto positions = agent_.greedy_positions(splits_.validation);
  const trading::Performance validation = trading::measure(data_, splits_.validation, positions, config_.trading.cost);
  gate.enter(protocol::Phase::train);

  session::EpisodeResult result;
  result.epsilon = epsilon();
  result.metrics = {{"profit", validation.profit_percent},
                    {"sharpe", validation.sharpe},
                    {"max_drawdown", validation.max_drawdown_percent},
                    {"trades", static_cast<double>(validation.trades)},
                    {"win_rate", validation.win_rate_percent},
                    {"buy_and_hold_profit", held_.profit_percent},
                    {"buy_and_hold_sharpe", held_.sharpe},
                    {"loss", losses == 0 ? 0.0 : loss / static_cast<double>(losses)},
                    {"reward", reward},
                    {"epsilon", result.epsilon}};
  return std::optional(std::move(result));
}

Dict TradingTask::state() {
  Dict state;
  agent_.add_state(state);
  engine_words_ = random_.save();
  torch_generator_ = save_torch_generator();
  Dict rng;
  rng.add("engine", checkpoint::view_of(DType::int64, engine_words_));
  rng.add("torch_cpu", checkpoint::view_of(DType::uint8, torch_generator_));
  state.add("rng", std::move(rng));
  state.add("replay", replay_.state());
  state.add("steps", checkpoint::view_of(steps_));
  epsilon_now_ = epsilon();
  state.add("epsilon", checkpoint::view_of(epsilon_now_));
  return state;
}

Result<> TradingTask::load(const Dict& state) {
  const auto rng = checkpoint::expect_dict(state, "rng");
  if (!rng) return rng.error();
  const std::array<std::int64_t, 1> engine_shape = {RandomState::kWords};
  const auto engine = checkpoint::expect_tensor(**rng, "engine", DType::int64, engine_shape, "rng.");
  if (!engine) return engine.error();
  const std::array<std::int64_t, 1> torch_shape = {static_cast<std::int64_t>(save_torch_generator().size())};
  const auto torch_cpu = checkpoint::expect_tensor(**rng, "torch_cpu", DType::uint8, torch_shape, "rng.");
  if (!torch_cpu) return torch_cpu.error();
  const auto replay = checkpoint::expect_dict(state, "replay");
  if (!replay) return replay.error();
  const auto steps = checkpoint::expect_int64(state, "steps");
  if (!steps) return steps.error();

  // Each part leaves itself alone when it refuses; the networks come first, the random state last, so that nothing that
  // draws can follow it.
  Replay loaded_replay(static_cast<std::size_t>(config_.dqn.replay_capacity));
  const auto replayed = loaded_replay.load(**replay, static_cast<std::int64_t>(splits_.train.begin),
                                           static_cast<std::int64_t>(splits_.train.end));
  if (!replayed) return replayed.error();
  RandomState loaded_random(config_.training.seed);
  const auto restored = loaded_random.restore(checkpoint::copy_elements<std::int64_t>(*engine));
  if (!restored) return restored.error();
  const auto networks = agent_.load(state);
  if (!networks) return networks.error();
  const auto generator = restore_torch_generator(checkpoint::copy_elements<std::uint8_t>(*torch_cpu));
  if (!generator) return generator.error();
  replay_ = std::move(loaded_replay);
  steps_ = *steps;
  random_ = loaded_random;
  return {};
}

Result<std::optional<std::string>> TradingTask::import_model(const Dict& state) {
  const auto imported = agent_.import_model(state);
  if (!imported) return imported.error();
  return std::optional<std::string>(
      std::string(*imported ? "its weights and Adam's moments are taken over"
                            : "its weights are taken over, and Adam's moments start at zero") +
      "; the target network is a copy of it; replay, random state and exploration start anew");
}

boost::json::object TradingTask::hyperparameters() const {
  const config::Dqn& dqn = config_.dqn;
  boost::json::array hidden;
  for (const std::int64_t units : dqn.hidden) hidden.emplace_back(units);
  boost::json::object out;
  out["seed"] = static_cast<std::int64_t>(config_.training.seed);
  out["window"] = config_.trading.window;
  out["episode_length"] = config_.trading.episode_length;
  out["cost"] = config_.trading.cost;
  out["validation_fraction"] = config_.data.validation_fraction;
  out["test_fraction"] = config_.data.test_fraction;
  out["hidden"] = std::move(hidden);
  out["learning_rate"] = dqn.learning_rate;
  out["gamma"] = dqn.gamma;
  out["batch_size"] = dqn.batch_size;
  out["replay_capacity"] = dqn.replay_capacity;
  out["learn_start"] = dqn.learn_start;
  out["learn_every"] = dqn.learn_every;
  out["target_update"] = dqn.target_update;
  out["epsilon_start"] = dqn.epsilon_start;
  out["epsilon_end"] = dqn.epsilon_end;
  out["epsilon_decay_steps"] = dqn.epsilon_decay_steps;
  out["grad_clip"] = dqn.grad_clip;
  return out;
}

boost::json::object TradingTask::exactness() const {
  boost::json::object out = describe_exactness(device_);
  out["data"] = data_digest_;
  return out;
}

std::vector<TradingTask::Comparison> TradingTask::compare() {
  std::vector<Comparison> rows;
  for (const auto& [name, span] : {std::pair{"validation", splits_.validation}, std::pair{"test", splits_.test}}) {
    const auto positions = agent_.greedy_positions(span);
    rows.push_back({name, trading::format_date(data_.dates[span.begin]), trading::format_date(data_.dates[span.end]),
                    trading::measure(data_, span, positions, config_.trading.cost),
                    trading::buy_and_hold(data_, span, config_.trading.cost)});
  }
  return rows;
}

}  // namespace ts::dqn
