// A training task that takes no time, and sessions of it in processes of their own: a stop is a signal, and a signal is
// for a whole process.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/checkpoint/store.h"
#include "common/config/config.h"
#include "tests/unit/session/temp_directory.h"
#include "worker/session/session.h"

namespace ts::session {

// Each step draws from a random state and moves the weights with it: whoever loses a step, or takes one twice, ends
// with other numbers.
class ToyTask final : public TrainingTask {
 public:
  explicit ToyTask(std::size_t width = 5) : weights_(width, 1.0F) {}

  std::map<std::int64_t, double> profits;  // of episodes; others have one that the weights decide
  std::string metric = "profit";
  std::string build = "1";                                             // part of what a bit-exact resume needs
  std::function<void(std::int64_t, int)> on_step = [](auto, auto) {};  // of an episode, before its step 0, 1, 2
  std::function<void(std::int64_t)> on_episode = [](auto) {};          // after its last step
  std::function<void(std::int64_t)> before_episode = [](auto) {};      // the session's tests wait for the disk here
  bool is_stuck = false;                                               // nothing changes any more

  Result<std::optional<EpisodeResult>> run_episode(std::int64_t episode, StepGate& gate) override;
  checkpoint::Dict state() override;
  Result<> load(const checkpoint::Dict& state) override;
  Result<std::optional<std::string>> import_model(const checkpoint::Dict& state) override;
  boost::json::object hyperparameters() const override { return {{"width", weights_.size()}}; }
  boost::json::object exactness() const override { return {{"build", build}}; }

  const std::vector<float>& weights() const { return weights_; }

 private:
  std::vector<float> weights_;
  std::int64_t random_ = 42;
  std::int64_t steps_ = 0;
};

inline constexpr int kStepsPerEpisode = 3;

// Trains on and tells nobody.
class QuietGate final : public StepGate {
 public:
  bool step(std::int64_t) override { return true; }
  void enter(protocol::Phase) override {}
};

// How a session ended: by an exit code of the contract, or by a signal.
struct Outcome {
  int code = -1;
  int signal = 0;
  std::string output;  // stdout; ends with the error's sentence where there was one

  bool said(const std::string& part) const { return output.find(part) != std::string::npos; }
};

class ToySession : public testing::Test {
 protected:
  ToySession() {
    config.checkpoints.directory = directory / "models";
    config.checkpoints.save_frequency = 3;
    config.checkpoints.max_keep = 100;
    config.checkpoints.save_interval = std::chrono::milliseconds{0};
    config.training.episodes = 10;
  }

  // Training of no duration would outrun the disk, and which episodes are saved would be a matter of luck: each session
  // waits at its next episode for a save that is due.
  bool keep_pace = true;

  Outcome run(const ResumeRequest& resume = {ResumeRequest::Kind::automatic, ""}) { return run_in(config, resume); }
  Outcome run_from(const std::string& selector) { return run({ResumeRequest::Kind::selector, selector}); }
  // Called here when the session's process has begun: a thread that ran earlier might hold a lock as the process is
  // forked, and the copy would wait for it for ever.
  std::function<void()> on_begun = [] {};

  Outcome run_in(const config::Config& configuration, const ResumeRequest& resume);

  // Raises `signal` in the session's process, before the given step.
  void raise_at(int signal, std::int64_t episode, int step = 1);
  void calm_down() {
    task.on_step = [](auto, auto) {};
  }

  std::filesystem::path models(const std::string& name = "") const { return config.checkpoints.directory / name; }
  bool exists(const std::string& name) const { return std::filesystem::exists(models(name)); }
  std::vector<std::int64_t> episodes() const;  // committed, ascending
  checkpoint::Sidecar sidecar(std::int64_t episode) const;
  checkpoint::Sidecar best_sidecar() const;
  std::string archive(std::int64_t episode) const { return read_text(models(checkpoint::archive_name(episode))); }

  // The same training as configured, never interrupted, in a directory of its own; the archive of its last episode.
  std::string uninterrupted(std::int64_t episodes);

  TempDirectory directory;
  config::Config config;
  ToyTask task;  // as each session begins with it
};

}  // namespace ts::session
