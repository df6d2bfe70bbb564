#include "supervisor/api/event_file.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace ts::api {
namespace {

// One that somebody else has made larger than ours ever get is not read.
constexpr std::uint64_t kReadBytesMax = 2 * kJournalFileBytesMax;

// As our own lines begin; 0: it is none.
std::int64_t id_of(std::string_view line) {
  constexpr std::string_view kBeginning = "{\"id\":";
  if (!line.starts_with(kBeginning)) return 0;
  line.remove_prefix(kBeginning.size());
  std::int64_t id = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), id);
  return error == std::errc() && id > 0 && id <= kEventIdMax ? id : 0;
}

// One file with its lines, which are looked at more closely only when they are wanted.
struct File {
  checkpoint::FileBytes bytes;
  std::vector<std::pair<std::int64_t, std::string_view>> lines;
};

File read(const checkpoint::Directory& directory, int number) {
  File out;
  auto bytes = directory.read_file(journal_file_name(number), kReadBytesMax);
  if (!bytes) return out;
  out.bytes = std::move(*bytes);
  std::string_view text = out.bytes.text();
  while (true) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return out;  // what has no end yet is being written, or never was
    const std::string_view line = text.substr(0, end);
    if (const std::int64_t id = id_of(line); id > 0) out.lines.emplace_back(id, line);
    text.remove_prefix(end + 1);
  }
}

void take(std::string_view line, EventLines& into) {
  auto event = parse_event_line(line);
  if (event) into.push_back(std::make_shared<const EventLine>(std::move(*event)));
}

EventPage newest_ones(const checkpoint::Directory& directory, std::size_t limit) {
  EventLines found;  // newest first; one more than wanted, if there is one
  for (int number = 0; number < kJournalFilesMax && found.size() <= limit; ++number) {
    const File file = read(directory, number);
    for (auto line = file.lines.rbegin(); line != file.lines.rend() && found.size() <= limit; ++line) {
      if (found.empty() || line->first < found.back()->id) take(line->second, found);
    }
  }
  EventPage page;
  if (!found.empty()) page.newest = found.front()->id;
  page.more = found.size() > limit;
  if (page.more) found.pop_back();
  page.events.assign(std::make_move_iterator(found.rbegin()), std::make_move_iterator(found.rend()));
  return page;
}

EventPage ones_since(const checkpoint::Directory& directory, std::int64_t since, std::size_t limit) {
  int oldest = 0;
  for (int number = 0; number < kJournalFilesMax; ++number) {
    const File file = read(directory, number);
    if (file.lines.empty()) continue;
    oldest = number;
    if (file.lines.front().first <= since + 1) break;
  }
  EventPage page;
  for (int number = oldest; number >= 0 && page.events.size() <= limit; --number) {
    for (const auto& [id, line] : read(directory, number).lines) {
      if (page.events.size() > limit) break;
      if (id > since && (page.events.empty() || id > page.events.back()->id)) take(line, page.events);
    }
  }
  page.more = page.events.size() > limit;
  if (page.more) page.events.pop_back();
  return page;
}

}  // namespace

std::string journal_file_name(int number) {
  return number == 0 ? "events.jsonl" : "events.jsonl." + std::to_string(number);
}

EventPage read_events(const checkpoint::Directory& directory, const EventQuery& query) {
  if (!query.since) return newest_ones(directory, query.limit);
  const std::int64_t newest = newest_ones(directory, 1).newest;
  EventPage page = ones_since(directory, *query.since > newest ? 0 : *query.since, query.limit);
  page.newest = newest;
  return page;
}

}  // namespace ts::api
