// toy_trainer: a worker for tests of the supervisor, in a build with no libtorch too. It is the real session (loop,
// saving, resuming, signals, beats) around a training task of a few small tensors.
//
// It misbehaves when told to on its own command line, so that the shipped programs need no switches for that. Exit
// status: the worker contract's, or the one asked for.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "common/checkpoint/state.h"
#include "common/config/load.h"
#include "common/protocol/worker_contract.h"
#include "worker/session/session.h"
#include "worker/session/signals.h"

namespace {

using ts::checkpoint::Dict;
using ts::checkpoint::DType;

constexpr std::int64_t kNever = -1;
constexpr std::int64_t kInputs = 4;

struct Arguments {
  std::string config_file = "config/config.yaml";
  std::string resume;
  bool auto_resume = false;
  bool fresh = false;
  std::int64_t step_ms = 1;       // so that an episode takes longer than a save, as in life
  std::int64_t steps = 5;         // in an episode
  std::int64_t only_attempt = 0;  // misbehave in this attempt only; 0: in every one
  std::int64_t hang_at = kNever;  // all of them when this episode is about to begin
  std::int64_t crash_at = kNever;
  std::pair<std::int64_t, int> exit_at{kNever, 0};
  std::int64_t slow_start_ms = 0;
  bool ignore_sigterm = false;
  std::string trail;
};

[[noreturn]] void hang() {
  while (true) ::pause();
}

// Weights that wander: every step draws from the generator and pulls the weights towards what was drawn, so each bit
// depends on the whole history.
class ToyTask final : public ts::session::TrainingTask {
 public:
  ToyTask(const ts::config::Config& config, const Arguments& arguments)
      : arguments_(arguments),
        seed_(static_cast<std::int64_t>(config.training.seed)),
        units_(config.dqn.hidden.front()),
        random_(config.training.seed + 1),
        weights_(static_cast<std::size_t>(units_ * kInputs), 0.0F),
        momentum_(weights_.size(), 0.0F) {}

  ts::Result<std::optional<ts::session::EpisodeResult>> run_episode(std::int64_t episode,
                                                                    ts::session::StepGate& gate) override {
    leave_trail(episode);
    misbehave(episode);
    for (std::int64_t i = 0; i < arguments_.steps; ++i) {
      if (!gate.step(steps_)) return std::optional<ts::session::EpisodeResult>();
      std::this_thread::sleep_for(std::chrono::milliseconds(arguments_.step_ms));
      ++steps_;
      for (std::size_t w = 0; w < weights_.size(); ++w) {
        momentum_[w] = 0.9F * momentum_[w] + 0.1F * (draw() - weights_[w]);
        weights_[w] += 0.1F * momentum_[w];
      }
    }
    ts::session::EpisodeResult result;
    result.epsilon = 1.0 / static_cast<double>(1 + episode);
    result.metrics = {{"profit", 100.0 * static_cast<double>(weights_.front())},
                      {"sharpe", static_cast<double>(weights_.back())},
                      {"epsilon", result.epsilon}};
    return std::optional(std::move(result));
  }

  Dict state() override {
    words_ = {static_cast<std::int64_t>(random_)};
    Dict model;
    model.add("weight", floats(weights_));
    Dict optimizer;
    optimizer.add("momentum", floats(momentum_));
    Dict rng;
    rng.add("engine", ts::checkpoint::view_of(DType::int64, words_));
    Dict state;
    state.add("model", std::move(model));
    state.add("optimizer", std::move(optimizer));
    state.add("rng", std::move(rng));
    state.add("steps", ts::checkpoint::view_of(steps_));
    return state;
  }

  ts::Result<> load(const Dict& state) override {
    const std::array<std::int64_t, 2> shape = {units_, kInputs};
    const std::array<std::int64_t, 1> one_word = {1};
    const auto model = ts::checkpoint::expect_dict(state, "model");
    if (!model) return model.error();
    const auto weights = ts::checkpoint::expect_tensor(**model, "weight", DType::float32, shape, "model.");
    if (!weights) return weights.error();
    const auto optimizer = ts::checkpoint::expect_dict(state, "optimizer");
    if (!optimizer) return optimizer.error();
    const auto momentum = ts::checkpoint::expect_tensor(**optimizer, "momentum", DType::float32, shape, "optimizer.");
    if (!momentum) return momentum.error();
    const auto rng = ts::checkpoint::expect_dict(state, "rng");
    if (!rng) return rng.error();
    const auto engine = ts::checkpoint::expect_tensor(**rng, "engine", DType::int64, one_word, "rng.");
    if (!engine) return engine.error();
    const auto steps = ts::checkpoint::expect_int64(state, "steps");
    if (!steps) return steps.error();
    weights_ = ts::checkpoint::copy_elements<float>(*weights);
    momentum_ = ts::checkpoint::copy_elements<float>(*momentum);
    random_ = static_cast<std::uint64_t>(ts::checkpoint::copy_elements<std::int64_t>(*engine).front());
    steps_ = *steps;
    return {};
  }

  boost::json::object hyperparameters() const override { return {{"seed", seed_}, {"units", units_}}; }
  boost::json::object exactness() const override { return {{"threads", 1}, {"deterministic", true}}; }

 private:
  // How far it has come, seen from outside, whatever is said or saved about it.
  void leave_trail(std::int64_t episode) const {
    if (!arguments_.trail.empty()) std::ofstream(arguments_.trail, std::ios::app) << episode << '\n';
  }

  void misbehave(std::int64_t episode) const {
    if (episode == arguments_.crash_at) std::abort();
    if (episode == arguments_.exit_at.first) ::_exit(arguments_.exit_at.second);
    if (episode == arguments_.hang_at) hang();
  }

  ts::checkpoint::TensorView floats(const std::vector<float>& values) const {
    return {DType::float32, {units_, kInputs}, std::as_bytes(std::span(values))};
  }

  // In [-1, 1). Source of the generator: Knuth, The Art of Computer Programming 2, 3.3.4, line 26 of table 1 (MMIX).
  float draw() {
    random_ = random_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<float>(static_cast<std::int32_t>(random_ >> 32)) * 0x1.0p-31F;
  }

  const Arguments& arguments_;
  std::int64_t seed_;
  std::int64_t units_;
  std::uint64_t random_;
  std::vector<float> weights_;
  std::vector<float> momentum_;
  std::vector<std::int64_t> words_;
  std::int64_t steps_ = 0;
};

int refuse(const ts::Error& error) {
  std::printf("%s\n", error.message.c_str());
  return static_cast<int>(ts::protocol::exit_code_for(error.kind));
}

int run(Arguments arguments) {
  const auto config = ts::config::load_config(arguments.config_file);
  if (!config) return refuse(config.error());
  const char* attempt = std::getenv(ts::protocol::kEnvAttempt);
  if (arguments.only_attempt > 0 && std::to_string(arguments.only_attempt) != (attempt == nullptr ? "0" : attempt)) {
    arguments.hang_at = arguments.crash_at = arguments.exit_at.first = kNever;
    arguments.slow_start_ms = 0;
    arguments.ignore_sigterm = false;
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(arguments.slow_start_ms));
  ts::session::install_signal_handlers();
  if (arguments.ignore_sigterm) ::signal(SIGTERM, SIG_IGN);
  ToyTask task(*config, arguments);
  ts::session::ResumeRequest request;
  if (!arguments.resume.empty()) request = {ts::session::ResumeRequest::Kind::selector, arguments.resume};
  if (arguments.auto_resume) request = {ts::session::ResumeRequest::Kind::automatic, {}};
  if (arguments.fresh) request = {ts::session::ResumeRequest::Kind::fresh, {}};
  const auto ended = ts::session::run_session(task, *config, {request, "toy_trainer"});
  return ended ? static_cast<int>(*ended) : refuse(ended.error());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"A worker for tests: the trainer's session around a toy."};
  Arguments arguments;
  app.add_option("--config", arguments.config_file, "Configuration (YAML)")->capture_default_str();
  app.add_option("--resume", arguments.resume, "As of the trainer");
  app.add_flag("--auto-resume", arguments.auto_resume, "As of the trainer");
  app.add_flag("--fresh", arguments.fresh, "As of the trainer");
  app.add_option("--step-ms", arguments.step_ms, "Each step takes at least this long")->capture_default_str();
  app.add_option("--steps", arguments.steps, "Steps in an episode")->capture_default_str();
  app.add_option("--only-attempt", arguments.only_attempt, "Misbehave in this attempt (TRAINER_ATTEMPT) only");
  app.add_option("--hang-at-episode", arguments.hang_at, "Stop beating where this episode would begin");
  app.add_option("--crash-at-episode", arguments.crash_at, "Abort there");
  app.add_option("--exit-code-at-episode", arguments.exit_at, "Exit there, with this status, saving nothing");
  app.add_option("--slow-start-ms", arguments.slow_start_ms, "Say READY=1 so much later");
  app.add_flag("--ignore-sigterm", arguments.ignore_sigterm, "Do not stop when asked");
  app.add_option("--trail", arguments.trail, "Append the number of each episode that begins to this file");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ts::protocol::ExitCode::configuration);
  }
  return run(std::move(arguments));
}
