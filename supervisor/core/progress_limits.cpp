#include "supervisor/core/progress_limits.h"

#include <algorithm>

namespace ts::core {
namespace {

constexpr int kLimitFactor = 5;               // of the longest gap seen
constexpr std::chrono::hours kLimitMax{24};   // gaps near their limit would raise it without end
constexpr std::int64_t kSeenEnough = 5;       // gaps, before a limit is taken from them
constexpr int kFadingShare = 64;              // of each gap is taken from the memory of the longest
constexpr std::int64_t kSeenMax = 1'000'000;  // counting further tells nothing
constexpr protocol::Phase kEveryPhase[] = {protocol::Phase::train, protocol::Phase::evaluate, protocol::Phase::save,
                                           protocol::Phase::load};

}  // namespace

void learn(LearnedGaps& learned, protocol::Phase phase, Duration gap) {
  Gaps& gaps = learned[phase];
  gaps.longest = std::max(gap, gaps.longest - gap / kFadingShare);
  gaps.seen = std::min(gaps.seen + 1, kSeenMax);
}

std::optional<Duration> progress_limit(const LearnedGaps& learned, protocol::Phase phase, const Policy& policy) {
  if (policy.progress_timeout) {
    return *policy.progress_timeout > Duration::zero() ? policy.progress_timeout : std::nullopt;
  }
  const auto found = learned.find(phase);
  if (found == learned.end() || found->second.seen < kSeenEnough) return policy.progress_unlearned;
  return std::max(policy.progress_floor, std::min<Duration>(kLimitMax, kLimitFactor * found->second.longest));
}

std::optional<Duration> progress_limit_of_all(const LearnedGaps& learned, const Policy& policy) {
  if (policy.progress_timeout) return progress_limit(learned, protocol::Phase::train, policy);
  Duration all{0};
  for (const auto phase : kEveryPhase) all += *progress_limit(learned, phase, policy);
  return all;
}

}  // namespace ts::core
