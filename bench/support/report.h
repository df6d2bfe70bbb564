// What a benchmark program says: one JSON object on a line of stdout for each measurement. bench/checkpoints.py reads
// these lines and passes over all others.
#pragma once

#include <chrono>
#include <cstddef>
#include <string_view>
#include <utility>

#include "common/base/result.h"

namespace ts::bench {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point begun, Clock::time_point ended);

// `what`: "ours", a peer's name, or "ours: " and a part of ours.
void report(std::string_view figure, std::size_t bytes, std::string_view what, double seconds);

template <class Work>
double seconds_of(Work&& work) {
  const auto begun = Clock::now();
  std::forward<Work>(work)();
  return seconds_between(begun, Clock::now());
}

// The value, or the end of the program with the error's sentence: a benchmark goes on from no failure.
[[noreturn]] void give_up(const Error& error);

template <class T>
T require(Result<T> result) {
  if (!result) give_up(result.error());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace ts::bench
