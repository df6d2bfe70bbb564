// Which events a person wants to see, and finding the newest of them. Pure but for what is fetched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "common/base/result.h"

namespace ts::ctl {

struct EventFilter {
  std::string level = "debug";     // this one, and what is more serious
  std::vector<std::string> types;  // empty: all

  bool passes(const boost::json::object& event) const;
};

// `types`: names with commas between them. A type that does not exist is refused with those that do.
Result<EventFilter> parse_event_filter(const std::string& level, std::string_view types);

struct FetchedEvents {
  std::vector<boost::json::object> events;  // ascending
  std::int64_t newest = 0;                  // that there is
};

// As GET /v1/events: the first ones after a number, or the newest.
using FetchEvents = std::function<Result<FetchedEvents>(std::optional<std::int64_t> since, std::size_t limit)>;

// The newest `count` that pass, ascending.
Result<FetchedEvents> newest_events(const FetchEvents& fetch, const EventFilter& filter, std::size_t count);

}  // namespace ts::ctl
