// Experience replay: the newest transitions, as indices into the market data.
//
// A transition is (day, position, action, reward): the next day is day + 1 and the next position is the action's, so
// eleven bytes hold what two windows of observations would take hundreds for, and the saved state stays small.
//
// Source: Lin: Self-Improving Reactive Agents, Machine Learning 8 (1992). Threading: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/base/result.h"
#include "common/checkpoint/state.h"
#include "worker/dqn/random_state.h"

namespace ts::dqn {

struct Transition {
  std::int32_t day = 0;      // row of the market data
  std::int8_t position = 0;  // action index of the position held before: 0 short, 1 flat, 2 long
  std::int8_t action = 0;    // taken at the close of `day`
  float reward = 0.0F;
};

class Replay {
 public:
  explicit Replay(std::size_t capacity);

  void add(const Transition& transition);
  std::size_t size() const { return static_cast<std::size_t>(count_); }

  // `count` transitions drawn with replacement. REQUIRES: size() > 0.
  void sample(std::size_t count, RandomState& random, std::vector<Transition>& out) const;

  // Fixed names and shapes, whatever the fill.
  checkpoint::Dict state() const;

  // Days must lie in [first_day, end_day). Leaves this one as it was on an error.
  Result<> load(const checkpoint::Dict& state, std::int64_t first_day, std::int64_t end_day);

 private:
  std::vector<std::int32_t> days_;
  std::vector<std::int8_t> positions_;
  std::vector<std::int8_t> actions_;
  std::vector<float> rewards_;
  std::int64_t next_ = 0;  // where the next one goes
  std::int64_t count_ = 0;
};

}  // namespace ts::dqn
