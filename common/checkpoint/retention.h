// Which checkpoints to keep. Pure.
#pragma once

#include <functional>
#include <set>
#include <vector>

#include "common/checkpoint/names.h"

namespace ts::checkpoint {

struct RetentionPolicy {
  int max_keep = 5;        // newest, at least 1
  Episode keep_every = 0;  // besides: every multiple of this; 0 for none
};

// Whether an episode's pair belongs to the run that prunes. To answer costs reading a sidecar, so it is asked as seldom
// as can be: newest first until max_keep are known, then only about what would otherwise be removed.
using BelongsToRun = std::function<bool(Episode)>;

// The episodes to remove, oldest first, of the pairs `committed` (any order), given that `verified` is known to be
// valid on disk. Never the verified one, never one newer than it: pruning must not outrun what is proven. Never a
// pinned one, nor another run's; neither takes up a place among the max_keep. The best model is a pair of its own
// (best_model.*), so its episode needs no place here. Without `belongs` all are the run's.
std::vector<Episode> plan_prune(std::vector<Episode> committed, Episode verified, const RetentionPolicy& policy,
                                const std::set<Episode>& pinned = {}, const BelongsToRun& belongs = {});

}  // namespace ts::checkpoint
