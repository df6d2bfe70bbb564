// The newest events in memory, for quick answers: most questions are about what has just happened.
//
// Threading: a plain value; one thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "supervisor/api/event.h"

namespace ts::api {

class EventRing {
 public:
  explicit EventRing(std::size_t capacity) : capacity_(capacity) {}

  // What was there before us; older events than these are elsewhere, where the page says so.
  void begin_with(const EventPage& page) {
    events_.assign(page.events.begin(), page.events.end());
    whole_ = !page.more;
    trim();
  }

  // REQUIRES: its id is greater than the ones before.
  void add(std::shared_ptr<const EventLine> event) {
    events_.push_back(std::move(event));
    trim();
  }

  std::int64_t newest() const { return events_.empty() ? 0 : events_.back()->id; }

  // Nothing: only who has the older ones can answer.
  std::optional<EventPage> answer(const EventQuery& query) const {
    EventPage page;
    page.newest = newest();
    if (!query.since) {
      if (events_.size() < query.limit && !whole_) return std::nullopt;
      const std::size_t count = std::min(query.limit, events_.size());
      page.events.assign(events_.end() - static_cast<std::ptrdiff_t>(count), events_.end());
      page.more = count < events_.size() || !whole_;
      return page;
    }
    const std::int64_t since = effective_since(*query.since);
    if (!whole_ && (events_.empty() || events_.front()->id > since + 1)) return std::nullopt;
    const auto first = std::upper_bound(events_.begin(), events_.end(), since,
                                        [](std::int64_t id, const auto& event) { return id < event->id; });
    const auto count = std::min(query.limit, static_cast<std::size_t>(events_.end() - first));
    page.events.assign(first, first + static_cast<std::ptrdiff_t>(count));
    page.more = first + static_cast<std::ptrdiff_t>(count) != events_.end();
    return page;
  }

  // All that is left where the journal has nothing.
  EventPage oldest(std::size_t limit) const {
    EventPage page;
    page.newest = newest();
    const std::size_t count = std::min(limit, events_.size());
    page.events.assign(events_.begin(), events_.begin() + static_cast<std::ptrdiff_t>(count));
    page.more = count < events_.size();
    return page;
  }

  // Whoever knows a later event than there is knows those of another journal: this one is new to them from its start.
  std::int64_t effective_since(std::int64_t since) const { return since > newest() ? 0 : since; }

 private:
  void trim() {
    while (events_.size() > capacity_) {
      events_.pop_front();
      whole_ = false;
    }
  }

  std::size_t capacity_;
  std::deque<std::shared_ptr<const EventLine>> events_;
  bool whole_ = true;  // there are no older ones than these
};

}  // namespace ts::api
