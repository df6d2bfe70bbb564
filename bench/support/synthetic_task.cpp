#include "bench/support/synthetic_task.h"

#include <array>
#include <cstring>
#include <string>
#include <utility>

namespace ts::bench {
namespace {

constexpr std::array<const char*, 3> kGroups = {"model", "exp_avg", "exp_avg_sq"};

}  // namespace

// A multiple of 16 elements, so that every tensor begins at a multiple of 64 bytes from the first one.
SyntheticTask::SyntheticTask(std::size_t bytes)
    : elements_per_tensor_(bytes / kTensors / 64 * 16), elements_(elements_per_tensor_ * kTensors, 1.0F) {}

void SyntheticTask::train() {
  for (float& element : elements_) element = element * 0.999F + 0.01F;
}

std::span<const float> SyntheticTask::tensor(std::size_t index) const {
  return std::span(elements_).subspan(index * elements_per_tensor_, elements_per_tensor_);
}

Result<std::optional<session::EpisodeResult>> SyntheticTask::run_episode(std::int64_t, session::StepGate&) {
  train();
  return std::optional(session::EpisodeResult());
}

checkpoint::Dict SyntheticTask::state() {
  checkpoint::Dict state;
  for (std::size_t group = 0; group < kGroups.size(); ++group) {
    checkpoint::Dict members;
    for (std::size_t layer = 0; layer < kLayers; ++layer) {
      const auto elements = tensor(group * kLayers + layer);
      members.add(std::to_string(layer) + ".weight",
                  {checkpoint::DType::float32, {static_cast<std::int64_t>(elements.size())}, std::as_bytes(elements)});
    }
    state.add(kGroups[group], std::move(members));
  }
  return state;
}

Result<> SyntheticTask::load(const checkpoint::Dict& state) {
  const std::array<std::int64_t, 1> shape = {static_cast<std::int64_t>(elements_per_tensor_)};
  float* to = elements_.data();
  for (const char* group : kGroups) {
    const auto members = checkpoint::expect_dict(state, group);
    if (!members) return members.error();
    for (std::size_t layer = 0; layer < kLayers; ++layer, to += elements_per_tensor_) {
      const std::string name = std::to_string(layer) + ".weight";
      const auto found = checkpoint::expect_tensor(**members, name, checkpoint::DType::float32, shape, group);
      if (!found) return found.error();
      std::memcpy(to, found->bytes.data(), found->bytes.size());
    }
  }
  return {};
}

}  // namespace ts::bench
