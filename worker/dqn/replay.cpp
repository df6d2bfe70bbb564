#include "worker/dqn/replay.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace ts::dqn {
namespace {

using checkpoint::DType;

constexpr std::int8_t kActions = 3;

bool is_action(std::int8_t value) {
  return value >= 0 && value < kActions;
}

}  // namespace

Replay::Replay(std::size_t capacity) : days_(capacity), positions_(capacity), actions_(capacity), rewards_(capacity) {}

void Replay::add(const Transition& transition) {
  const auto at = static_cast<std::size_t>(next_);
  days_[at] = transition.day;
  positions_[at] = transition.position;
  actions_[at] = transition.action;
  rewards_[at] = transition.reward;
  const auto capacity = static_cast<std::int64_t>(days_.size());
  next_ = (next_ + 1) % capacity;
  count_ = std::min(count_ + 1, capacity);
}

void Replay::sample(std::size_t count, RandomState& random, std::vector<Transition>& out) const {
  out.clear();
  for (std::size_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(random.below(size()));
    out.push_back({days_[at], positions_[at], actions_[at], rewards_[at]});
  }
}

checkpoint::Dict Replay::state() const {
  checkpoint::Dict state;
  state.add("day", checkpoint::view_of(DType::int32, days_));
  state.add("position", checkpoint::view_of(DType::int8, positions_));
  state.add("action", checkpoint::view_of(DType::int8, actions_));
  state.add("reward", checkpoint::view_of(DType::float32, rewards_));
  state.add("next", checkpoint::view_of(next_));
  state.add("count", checkpoint::view_of(count_));
  return state;
}

Result<> Replay::load(const checkpoint::Dict& state, std::int64_t first_day, std::int64_t end_day) {
  const std::array<std::int64_t, 1> shape = {static_cast<std::int64_t>(days_.size())};
  const auto days = checkpoint::expect_tensor(state, "day", DType::int32, shape, "replay.");
  if (!days) return days.error();
  const auto positions = checkpoint::expect_tensor(state, "position", DType::int8, shape, "replay.");
  if (!positions) return positions.error();
  const auto actions = checkpoint::expect_tensor(state, "action", DType::int8, shape, "replay.");
  if (!actions) return actions.error();
  const auto rewards = checkpoint::expect_tensor(state, "reward", DType::float32, shape, "replay.");
  if (!rewards) return rewards.error();
  const auto next = checkpoint::expect_int64(state, "next");
  if (!next) return next.error();
  const auto count = checkpoint::expect_int64(state, "count");
  if (!count) return count.error();

  Replay loaded(days_.size());
  loaded.days_ = checkpoint::copy_elements<std::int32_t>(*days);
  loaded.positions_ = checkpoint::copy_elements<std::int8_t>(*positions);
  loaded.actions_ = checkpoint::copy_elements<std::int8_t>(*actions);
  loaded.rewards_ = checkpoint::copy_elements<float>(*rewards);
  loaded.next_ = *next;
  loaded.count_ = *count;
  bool sane = *next >= 0 && *next < shape[0] && *count >= 0 && *count <= shape[0];
  for (std::size_t i = 0; sane && i < loaded.size(); ++i) {
    sane = loaded.days_[i] >= first_day && loaded.days_[i] < end_day && is_action(loaded.positions_[i]) &&
           is_action(loaded.actions_[i]) && std::isfinite(loaded.rewards_[i]);
  }
  if (!sane) {
    return make_error(ErrorKind::checkpoint, "\"replay\" holds transitions that this market data cannot have made");
  }
  *this = std::move(loaded);
  return {};
}

}  // namespace ts::dqn
