// Episodes per second over the last while. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "supervisor/core/time.h"

namespace ts::shell {

class EpisodeRate {
 public:
  void reset() { samples_.clear(); }

  // A step back (another attempt) starts anew.
  void add(std::int64_t episode, core::Instant now) {
    if (!samples_.empty() && episode < samples_.back().second) samples_.clear();
    if (!samples_.empty() && episode == samples_.back().second) return;
    samples_.emplace_back(now, episode);
    while (samples_.size() > kSamplesMin && now - samples_.front().first > kWindow) samples_.pop_front();
  }

  std::optional<double> per_second() const {
    if (samples_.size() < kSamplesMin) return std::nullopt;
    const std::chrono::duration<double> span = samples_.back().first - samples_.front().first;
    if (span.count() <= 0.0) return std::nullopt;
    return static_cast<double>(samples_.back().second - samples_.front().second) / span.count();
  }

 private:
  static constexpr std::size_t kSamplesMin = 2;
  static constexpr std::chrono::seconds kWindow{30};
  std::deque<std::pair<core::Instant, std::int64_t>> samples_;
};

}  // namespace ts::shell
