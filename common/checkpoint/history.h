// The history of a run, `metrics.jsonl`: one line for each episode, with its metrics. docs/FORMATS.md describes it.
//
// What is appended is never changed; a line of an episode makes void what stands before it about that episode and later
// ones, so a reader is right even where going back could not cut the file. Lines that are not ours are passed over.
//
// Threading: plain functions. Whoever cuts or appends holds the directory's lock; reading needs none.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/checkpoint/directory.h"
#include "common/checkpoint/names.h"
#include "common/checkpoint/sidecar.h"

namespace ts::checkpoint {

inline constexpr std::uint64_t kHistoryBytesMax = std::uint64_t{256} << 20;  // a million episodes and more

struct HistoryEntry {
  Episode episode = 0;
  std::string time;  // RFC 3339: when the episode was completed
  std::string run_id;
  std::int64_t attempt = 0;
  std::map<std::string, double> metrics;  // NaN: there was something that is no number
};

// The same of an episode that was saved; its time is that of the save.
HistoryEntry history_entry(const Sidecar& sidecar);

// One line of JSON, its newline included.
std::string to_line(const HistoryEntry& entry);

// What counts, ascending by episode.
std::vector<HistoryEntry> parse_history(std::string_view text);

// Where to cut a file so that nothing later than an episode remains. Only what comes behind the cut goes, and a last
// line that was never finished.
struct HistoryCut {
  std::size_t keep = 0;  // bytes
  Episode last = 0;      // the newest episode that remains; 0: none
  bool newer = false;    // something later is there
};

HistoryCut cut_history(std::string_view text, Episode episode);

// What is newer than `episode` goes to the file of that name in `destination`, durable there before it is cut off here;
// with -1 the whole file. Can be repeated after any interruption. Where there is no history nothing happens.
Result<> set_aside_history(const Directory& directory, Episode episode, const Directory& destination);

// Cuts the open history to `keep` bytes, durably. A sync that fails is final for this file, as always.
Result<> cut_open_history(const Directory& directory, int fd, std::uint64_t keep);

}  // namespace ts::checkpoint
