#include "common/checkpoint/retention.h"

#include <algorithm>

namespace ts::checkpoint {

std::vector<Episode> plan_prune(std::vector<Episode> committed, Episode verified, const RetentionPolicy& policy) {
  std::sort(committed.begin(), committed.end(), std::greater<>());
  const auto keep = static_cast<std::size_t>(std::max(1, policy.max_keep));
  std::vector<Episode> victims;
  for (std::size_t rank = keep; rank < committed.size(); ++rank) {
    const Episode episode = committed[rank];
    const bool milestone = policy.keep_every > 0 && episode % policy.keep_every == 0;
    if (!milestone && episode < verified) victims.push_back(episode);
  }
  std::reverse(victims.begin(), victims.end());
  return victims;
}

}  // namespace ts::checkpoint
