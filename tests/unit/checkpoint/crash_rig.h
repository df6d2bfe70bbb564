// A training run that saves, what it was promised, and a look at whether the promise was kept. The fault and power cut
// tests differ only in what they do to the run meanwhile.
//
// Threading: single-threaded. Errors: broken promises are returned as sentences, so that a negative control can demand
// some.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/checkpoint/file_system.h"
#include "common/checkpoint/names.h"
#include "common/checkpoint/retention.h"

namespace ts::checkpoint {

struct Promises {
  std::map<Episode, std::string> must;  // acknowledged, and kept by the retention policy: their digests
  std::map<Episode, std::string> may;   // handed in but not acknowledged, or no longer kept
  std::set<std::string> best;           // digests that the best pair may have; empty when it was never acknowledged
  bool best_must = false;

  bool operator==(const Promises&) const = default;
  auto operator<=>(const Promises&) const = default;
};

inline constexpr RetentionPolicy kKeepTwo{2, 0};
inline const std::vector<Episode> kSaves = {9, 10, 100};  // 9, 10 and 100 sort otherwise as text

// Plants files that are none of ours.
void plant_foreign_files(const std::filesystem::path& directory);

// Saves kSaves with their best models, pruning after each; whatever fails is tried once more at once. Promises are
// updated at the moment they are made, and `promised` is called.
void train(const std::filesystem::path& directory, FileSystem& fs, Promises& promises,
           const std::function<void()>& promised = {});

// Broken promises as they stand, before or after recovery.
std::vector<std::string> broken(const std::filesystem::path& directory, const Promises& promises);

// Broken promises before recovery, after it and after a second one; litter; foreign files that changed.
std::vector<std::string> broken_after_recovery(const std::filesystem::path& directory, const Promises& promises);

}  // namespace ts::checkpoint
