// Which checkpoints to keep. Pure.
#pragma once

#include <vector>

#include "common/checkpoint/names.h"

namespace ts::checkpoint {

struct RetentionPolicy {
  int max_keep = 5;        // newest, at least 1
  Episode keep_every = 0;  // besides: every multiple of this; 0 for none
};

// The episodes to remove, oldest first, of `committed` (any order), given that `verified` is known to be valid on disk.
// Never the verified one, never one newer than it: pruning must not outrun what is proven. The best model is a pair of
// its own (best_model.*), so its episode needs no place here.
std::vector<Episode> plan_prune(std::vector<Episode> committed, Episode verified, const RetentionPolicy& policy);

}  // namespace ts::checkpoint
