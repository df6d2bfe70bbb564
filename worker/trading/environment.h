// The market as an episode: from a day of the training split on, `episode_length` decisions, starting flat.
//
// No randomness in here: the caller draws the starting day from its own random state, among start_count() days from
// first_start() on. All of them are equally long episodes that stay inside the split.
//
// `done` says that the episode's time is up, not that anything ended in the market: the day after has a value like any
// other, so an agent should bootstrap from the last step too (F. Pardo et al., "Time Limits in Reinforcement Learning",
// 2018). next_day always has an observation, the last one at the split's last day (splits.h).
//
// Ownership: a value that can be copied at will; it looks at the closes of a MarketData that must outlive it unchanged.
// Threading: as a plain value. Errors: create() returns them; a start outside the split, a step past the end and an
// action that does not exist are bugs of the caller and throw std::out_of_range or std::logic_error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/base/result.h"
#include "worker/trading/market_data.h"
#include "worker/trading/portfolio.h"
#include "worker/trading/splits.h"

namespace ts::trading {

struct Step {
  double reward = 0.0;
  std::size_t next_day = 0;
  Position next_position = Position::flat;  // the one the action chose, held on the way into next_day
  bool done = false;
};

class Environment {
 public:
  // Errors: ErrorKind::configuration for a cost out of bounds (portfolio.h), an episode length of 0 or one longer than
  // the split. A split that reaches past the data throws std::out_of_range.
  static Result<Environment> create(const MarketData& data, Span split, std::size_t episode_length, double cost);

  std::size_t first_start() const { return split_.begin; }
  std::size_t start_count() const { return split_.size() - episode_length_ + 1; }
  std::size_t episode_length() const { return episode_length_; }

  // Begins an episode at the close of `day`, flat. Until then the environment is done.
  void start(std::size_t day);

  // Holds what `action` says from the close of day() to the next.
  Step step(std::int64_t action);

  std::size_t day() const { return day_; }
  Position position() const { return position_; }
  bool done() const { return day_ == end_day_; }

 private:
  Environment(std::span<const double> close, Span split, std::size_t episode_length, double cost)
      : close_(close), split_(split), episode_length_(episode_length), cost_(cost) {}

  std::span<const double> close_;
  Span split_;
  std::size_t episode_length_;
  double cost_;
  std::size_t day_ = 0;
  std::size_t end_day_ = 0;  // the day on which the episode is over
  Position position_ = Position::flat;
};

}  // namespace ts::trading
