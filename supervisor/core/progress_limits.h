// How long a training may make no progress before it is taken to hang: learned, for each phase of the worker's, from
// the longest gap that was seen between two signs of progress. Pure.
//
// A limit is a multiple of that gap, so it fits training steps of a millisecond and evaluations of an hour alike, with
// a floor below which no machine is judged. What was seen fades with the time that passes in that phase, so that one
// outlier does not make the watch blind for good, and an evaluation that comes once in a thousand steps is still known:
// a gap that comes again before fifty times its own length has passed never exceeds its limit.
//
// Source: the idea of multiples of the observed maximum is that of NVIDIA's resiliency extension (fault tolerance,
// "calculated timeouts"), which keeps them in the worker; here the supervisor does, so they survive a worker that
// never came so far.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "common/protocol/notify_message.h"
#include "supervisor/core/policy.h"

namespace ts::core {

struct Gaps {
  Duration longest{0};
  std::int64_t seen = 0;

  bool operator==(const Gaps&) const = default;
};

// By phase; a worker that names none is taken to train.
using LearnedGaps = std::map<protocol::Phase, Gaps>;

// One gap between two signs of progress, all of it spent in `phase`.
void learn(LearnedGaps& learned, protocol::Phase phase, Duration gap);

// Without progress in one phase. Nothing: progress is not watched.
std::optional<Duration> progress_limit(const LearnedGaps& learned, protocol::Phase phase, const Policy& policy);

// Without progress, however often the phase changes meanwhile: one stay in each of them, or the time that was
// configured.
std::optional<Duration> progress_limit_of_all(const LearnedGaps& learned, const Policy& policy);

}  // namespace ts::core
