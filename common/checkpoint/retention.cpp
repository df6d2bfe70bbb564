#include "common/checkpoint/retention.h"

#include <algorithm>

namespace ts::checkpoint {

std::vector<Episode> plan_prune(std::vector<Episode> committed, Episode verified, const RetentionPolicy& policy,
                                const std::set<Episode>& pinned, const BelongsToRun& belongs) {
  std::sort(committed.begin(), committed.end(), std::greater<>());
  const int keep = std::max(1, policy.max_keep);
  int kept = 0;
  std::vector<Episode> victims;
  for (const Episode episode : committed) {
    if (pinned.contains(episode)) continue;
    const bool beyond = kept == keep;
    const bool milestone = policy.keep_every > 0 && episode % policy.keep_every == 0;
    if (beyond && (milestone || episode >= verified)) continue;
    if (belongs && !belongs(episode)) continue;
    if (beyond) {
      victims.push_back(episode);
    } else {
      ++kept;
    }
  }
  std::reverse(victims.begin(), victims.end());
  return victims;
}

}  // namespace ts::checkpoint
