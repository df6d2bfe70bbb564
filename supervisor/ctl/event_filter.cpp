#include "supervisor/ctl/event_filter.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "common/base/json.h"
#include "common/base/text.h"
#include "supervisor/api/event.h"

namespace ts::ctl {
namespace {

namespace json = boost::json;

constexpr std::size_t kPage = 1000;

// -1: none of ours.
int seriousness(std::string_view level) {
  for (const auto known :
       {api::EventLevel::debug, api::EventLevel::info, api::EventLevel::warn, api::EventLevel::error}) {
    if (api::to_string(known) == level) return static_cast<int>(known);
  }
  return -1;
}

std::vector<std::string> all_types() {
  std::vector<std::string> out;
  for (int type = 0; type <= static_cast<int>(api::EventType::hook); ++type) {
    out.emplace_back(api::to_string(static_cast<api::EventType>(type)));
  }
  return out;
}

std::int64_t id_of(const json::object& event) {
  return integer_member(event, "id").value_or(0);
}

// Those before event `end` that pass, the newest `count` of them.
Result<std::vector<json::object>> older_ones(const FetchEvents& fetch, const EventFilter& filter, std::int64_t end,
                                             std::size_t count) {
  std::vector<json::object> found;
  for (std::int64_t since = 0; since < end;) {
    auto page = fetch(since, kPage);
    if (!page) return page.error();
    if (page->events.empty() || id_of(page->events.back()) <= since) break;
    since = id_of(page->events.back());
    for (json::object& event : page->events) {
      if (id_of(event) < end && filter.passes(event)) found.push_back(std::move(event));
    }
    if (found.size() > count) found.erase(found.begin(), found.end() - static_cast<std::ptrdiff_t>(count));
  }
  return found;
}

}  // namespace

bool EventFilter::passes(const json::object& event) const {
  const std::string type = string_member(event, "type").value_or("");
  // What a newer supervisor may call a level of its own is shown rather than hidden.
  const int level_of_event = seriousness(string_member(event, "level").value_or(""));
  if (level_of_event >= 0 && level_of_event < seriousness(level)) return false;
  return types.empty() || std::find(types.begin(), types.end(), type) != types.end();
}

Result<EventFilter> parse_event_filter(const std::string& level, std::string_view types) {
  EventFilter filter{level, {}};
  const std::vector<std::string> known = all_types();
  while (!types.empty()) {
    const std::string_view type = types.substr(0, types.find(','));
    types.remove_prefix(std::min(types.size(), type.size() + 1));
    if (std::find(known.begin(), known.end(), type) == known.end()) {
      return make_error(ErrorKind::configuration,
                        "there is no type of event " + escape_control(type) + "; there are " + join(known, ", ") + ".");
    }
    filter.types.emplace_back(type);
  }
  return filter;
}

Result<FetchedEvents> newest_events(const FetchEvents& fetch, const EventFilter& filter, std::size_t count) {
  const bool all = filter.types.empty() && seriousness(filter.level) <= 0;
  auto page = fetch(std::nullopt, all ? std::max<std::size_t>(count, 1) : kPage);
  if (!page) return page.error();
  const std::int64_t oldest = page->events.empty() ? 0 : id_of(page->events.front());
  const bool whole = page->events.size() < kPage;
  std::erase_if(page->events, [&](const json::object& event) { return !filter.passes(event); });
  const auto surplus = static_cast<std::ptrdiff_t>(page->events.size()) - static_cast<std::ptrdiff_t>(count);
  if (surplus >= 0) page->events.erase(page->events.begin(), page->events.begin() + surplus);
  if (all || whole || surplus >= 0) return page;
  auto older = older_ones(fetch, filter, oldest, count - page->events.size());
  if (!older) return older.error();
  page->events.insert(page->events.begin(), std::make_move_iterator(older->begin()),
                      std::make_move_iterator(older->end()));
  return page;
}

}  // namespace ts::ctl
