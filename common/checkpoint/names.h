// The names of checkpoint files, built and parsed in one place. Pure.
//
// A file whose name is not built here is not ours: it is never chosen by itself, pruned, moved or swept.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "common/base/result.h"

namespace ts::checkpoint {

// Episodes completed; a checkpoint's number. Nine digits at most, so that a name stays sane.
using Episode = std::int64_t;
inline constexpr Episode kEpisodeMax = 999'999'999;

inline constexpr std::string_view kBestArchive = "best_model.pt";
inline constexpr std::string_view kBestSidecar = "best_model.json";
// A best sidecar written and synced but not yet in place: see Store::commit_best for what it is good for.
inline constexpr std::string_view kBestSidecarNext = ".best_model.json.next";
// One line for each episode: history.h.
inline constexpr std::string_view kHistoryFile = "metrics.jsonl";
inline constexpr std::string_view kLockFile = ".lock";
inline constexpr std::string_view kIntentFile = ".intent.json";
inline constexpr std::string_view kSupersededDirectory = "superseded";
inline constexpr std::string_view kQuarantineDirectory = "quarantine";
inline constexpr std::string_view kSupervisorDirectory = ".supervisor";

std::string archive_name(Episode episode);  // model_ep10.pt
std::string sidecar_name(Episode episode);  // model_ep10.json
std::string pin_name(Episode episode);      // model_ep10.pin

enum class FileKind { archive, sidecar, pin };

struct EpisodeFile {
  Episode episode = 0;
  FileKind kind = FileKind::archive;

  bool operator==(const EpisodeFile&) const = default;
};

// "model_ep10.pt", "model_ep10.json" and "model_ep10.pin", nothing else: no sign, no leading zero, no other extension,
// no path.
std::optional<EpisodeFile> parse_episode_file(std::string_view name);

// Temporary files carry their writer, so that two never meet on one name: ".model_ep10.pt.tmp-<pid>-<sequence>".
// Whoever writes one holds the directory's lock, so whoever gets the lock next knows that those it finds are of the
// dead.
struct TemporaryName {
  std::string final_name;
  std::int64_t pid = 0;
  std::int64_t sequence = 0;

  bool operator==(const TemporaryName&) const = default;
};

std::string temporary_name(const TemporaryName& name);
std::optional<TemporaryName> parse_temporary_name(std::string_view name);

// How a person names a checkpoint: "latest", "best", "ep200" (or "200"), or a path.
struct Latest {
  bool operator==(const Latest&) const = default;
};
struct Best {
  bool operator==(const Best&) const = default;
};
struct AtEpisode {
  Episode episode = 0;
  bool operator==(const AtEpisode&) const = default;
};
struct AtPath {
  std::string path;
  bool operator==(const AtPath&) const = default;
};
using Selector = std::variant<Latest, Best, AtEpisode, AtPath>;

// Anything with a '/' or ending in ".pt" is a path. The rest must be one of the words above.
Result<Selector> parse_selector(std::string_view text);
std::string to_string(const Selector& selector);

}  // namespace ts::checkpoint
