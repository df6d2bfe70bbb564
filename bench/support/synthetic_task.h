// A training task without training: tensors of a given total size, shaped like a network and Adam's two moments, that
// change all over whenever they are told to. No libtorch.
//
// Ownership: owns the elements, in one piece, so that one memcpy of the same bytes is what a copy of them is compared
// with. Threading: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "worker/session/training_task.h"

namespace ts::bench {

inline constexpr std::size_t kLayers = 10;
inline constexpr std::size_t kTensors = 3 * kLayers;

class SyntheticTask final : public session::TrainingTask {
 public:
  // `bytes`: of all tensors together, rounded down to what divides evenly.
  explicit SyntheticTask(std::size_t bytes);

  // Writes every element, as a step of an optimizer would.
  void train();

  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(elements_)); }
  std::span<const float> tensor(std::size_t index) const;

  Result<std::optional<session::EpisodeResult>> run_episode(std::int64_t episode, session::StepGate& gate) override;
  checkpoint::Dict state() override;
  Result<> load(const checkpoint::Dict& state) override;
  boost::json::object hyperparameters() const override { return {}; }
  boost::json::object exactness() const override { return {}; }

 private:
  std::size_t elements_per_tensor_;
  std::vector<float> elements_;
};

}  // namespace ts::bench
