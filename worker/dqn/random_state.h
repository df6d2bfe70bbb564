// The one random state that everything draws from: initial weights, episode starts, exploration, replay sampling.
//
// std::mt19937_64 gives the same numbers everywhere; what is made of them is spelled out here, because the standard's
// distributions may differ from library to library.
//
// Source: Matsumoto, Nishimura: Mersenne Twister, ACM TOMACS 8 (1998); Lemire: Fast Random Integer Generation in an
// Interval, ACM TOMACS 29 (2019), for the bounded integers.
// Threading: one thread.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "common/base/result.h"

namespace ts::dqn {

class RandomState {
 public:
  explicit RandomState(std::uint64_t seed) : engine_(seed) {}

  double uniform();                          // in [0, 1), 53 bits
  std::uint64_t below(std::uint64_t bound);  // in [0, bound), unbiased; bound > 0

  // 313 words: the engine's 312 and its position.
  std::vector<std::int64_t> save() const;
  // Refuses what is no state of this engine (kind checkpoint) and leaves this one as it was.
  Result<> restore(const std::vector<std::int64_t>& words);

  static constexpr std::int64_t kWords = 313;

 private:
  std::mt19937_64 engine_;
};

}  // namespace ts::dqn
