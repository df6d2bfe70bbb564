// Where checkpoints go that are kept but no longer count, and the journal that makes moving many of them one step.
// Internal to common/checkpoint.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/checkpoint/directory.h"
#include "common/checkpoint/store.h"

namespace ts::checkpoint {

// What set_aside_newer_than is about to do, durable in `.intent.json` before it does it.
struct Intent {
  Episode newer_than = -1;
  std::string destination;  // below superseded/
  std::string metric;       // the best model is made anew by this one
  bool maximize = true;

  bool operator==(const Intent&) const = default;
};

std::string to_json(const Intent& intent);
Result<Intent> parse_intent(std::string_view text, std::string_view name);

// "2026-01-31T12-34-56.789Z-<label>-3fa9": sorts by time, and no two moves share one, not even within a millisecond.
std::string set_aside_name(std::string_view label);

// <kind>/<name>, made and synced. The kind is kSupersededDirectory or kQuarantineDirectory.
Result<Directory> make_set_aside_directory(const Directory& directory, std::string_view kind, std::string_view label);

// The episode whose pair went into a folder that was made with the label "epN"; nothing for any other name.
std::optional<Episode> episode_of_folder(std::string_view name);

// Beside a pair in quarantine/, for people: one sentence.
inline constexpr std::string_view kReasonFile = "why.txt";
Result<> write_reason(const Directory& folder, std::string_view why);

// The names of a pair's files that exist, the sidecar first: a record must never outlive its content. Its pin comes
// last: no interruption may leave a pair that was pinned without it.
std::vector<std::string> pair_files(Episode episode, const PairFiles& files);

}  // namespace ts::checkpoint
