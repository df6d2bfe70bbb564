#include "common/checkpoint/history.h"

#include <fcntl.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <span>

#include <boost/json/object.hpp>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/checkpoint/set_aside.h"

namespace ts::checkpoint {
namespace {

namespace json = boost::json;

constexpr std::size_t kLineBytesMax = 64 * 1024;
constexpr std::string_view kBeginning = R"({"episode":)";

// Calls `take` with each finished line and where it ends.
template <class Take>
void for_each_line(std::string_view text, Take&& take) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) return;
    take(text.substr(begin, end - begin), end + 1);
    begin = end + 1;
  }
}

std::optional<json::object> parse_line(std::string_view line) {
  if (line.empty() || line.size() > kLineBytesMax || line.front() != '{') return std::nullopt;
  const auto document = parse_json(line, kHistoryFile, kLineBytesMax);
  if (!document || !document->is_object()) return std::nullopt;
  return document->get_object();
}

bool is_episode(std::int64_t number) {
  return number > 0 && number <= kEpisodeMax;
}

// The lines that we write begin with it, so that a long file is cut without reading all of every line.
std::optional<Episode> episode_of_line(std::string_view line) {
  if (line.starts_with(kBeginning) && line.ends_with('}') && line.size() <= kLineBytesMax) {
    const std::string_view rest = line.substr(kBeginning.size());
    const auto number = parse_plain_integer(rest.substr(0, rest.find(',')));
    if (number && is_episode(*number)) return number;
  }
  const auto object = parse_line(line);
  const auto number = object ? integer_member(*object, "episode") : std::nullopt;
  return number && is_episode(*number) ? number : std::nullopt;
}

}  // namespace

HistoryEntry history_entry(const Sidecar& sidecar) {
  HistoryEntry entry{sidecar.episode, sidecar.created, sidecar.run_id, sidecar.attempt, {}};
  for (const auto& member : sidecar.metrics) {
    if (member.value().is_number()) entry.metrics[member.key()] = member.value().to_number<double>();
  }
  return entry;
}

std::string to_line(const HistoryEntry& entry) {
  json::object metrics;
  for (const auto& [name, value] : entry.metrics) metrics[name] = value;
  json::object out;
  out["episode"] = entry.episode;
  out["time"] = entry.time;
  out["run_id"] = entry.run_id;
  out["attempt"] = entry.attempt;
  out["metrics"] = std::move(metrics);
  return compact_json(out) + "\n";
}

std::vector<HistoryEntry> parse_history(std::string_view text) {
  std::vector<HistoryEntry> entries;
  for_each_line(text, [&](std::string_view line, std::size_t) {
    const auto object = parse_line(line);
    const auto episode = object ? integer_member(*object, "episode") : std::nullopt;
    const json::object* metrics = object ? object_member(*object, "metrics") : nullptr;
    if (!episode || !is_episode(*episode) || metrics == nullptr) return;
    while (!entries.empty() && entries.back().episode >= *episode) entries.pop_back();
    HistoryEntry entry{*episode,
                       string_member(*object, "time").value_or(""),
                       string_member(*object, "run_id").value_or(""),
                       integer_member(*object, "attempt").value_or(0),
                       {}};
    for (const auto& member : *metrics) {
      const bool is_number = member.value().is_number();
      entry.metrics[member.key()] =
          is_number ? member.value().to_number<double>() : std::numeric_limits<double>::quiet_NaN();
    }
    entries.push_back(std::move(entry));
  });
  return entries;
}

HistoryCut cut_history(std::string_view text, Episode episode) {
  HistoryCut cut;
  std::size_t whole = 0;  // the end of the last finished line
  for_each_line(text, [&](std::string_view line, std::size_t end) {
    whole = end;
    const auto number = episode_of_line(line);
    if (!number) return;
    cut.newer = *number > episode;
    if (cut.newer) return;
    cut.last = *number;
    cut.keep = end;
  });
  if (!cut.newer) cut.keep = whole;  // lines of others at the end are left where they are
  return cut;
}

Result<> cut_open_history(const Directory& directory, int fd, std::uint64_t keep) {
  const int cut = directory.fs().resize(fd, keep);
  if (cut < 0) return directory.failure("shorten", kHistoryFile, cut);
  const int synced = directory.fs().fsync(fd);
  if (synced < 0) return directory.failure("sync", kHistoryFile, synced);
  return {};
}

Result<> set_aside_history(const Directory& directory, Episode episode, const Directory& destination) {
  if (episode < 0) {
    const auto moved = directory.rename_new_into(std::string(kHistoryFile), destination, std::string(kHistoryFile));
    if (!moved) return moved.error().kind == ErrorKind::not_found ? Result<>() : moved.error();
    const auto arrived = destination.sync();
    return arrived ? directory.sync() : arrived;
  }
  const auto file = directory.read_file(std::string(kHistoryFile), kHistoryBytesMax);
  if (!file) return file.error().kind == ErrorKind::not_found ? Result<>() : file.error();
  const HistoryCut cut = cut_history(file->text(), episode);
  if (!cut.newer) return {};
  // One that is there was written by an attempt that came no further than this.
  const auto cleared = destination.unlink(std::string(kHistoryFile));
  if (!cleared) return cleared.error();
  const auto copied = destination.write_synced(std::string(kHistoryFile), file->bytes().subspan(cut.keep));
  if (!copied) return copied.error();
  const auto arrived = destination.sync();
  if (!arrived) return arrived.error();
  FileSystem& fs = directory.fs();
  const int fd = fs.open(directory.fd(), std::string(kHistoryFile), O_WRONLY | O_NOFOLLOW | O_NONBLOCK, 0);
  if (fd < 0) return directory.failure("open", kHistoryFile, fd);
  const auto shortened = cut_open_history(directory, fd, cut.keep);
  fs.close(fd);
  return shortened;
}

}  // namespace ts::checkpoint
