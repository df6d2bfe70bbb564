// One thing worth knowing that happened, with its reason: what the journal keeps, the control API tells, hooks get and
// the log says. docs/FORMATS.md, "Events", is the same for readers. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

namespace ts::api {

inline constexpr std::int64_t kEventsFormat = 1;
inline constexpr std::size_t kEventBytesMax = 16 * 1024;  // of one line
inline constexpr std::int64_t kEventIdMax = std::int64_t{1} << 53;

// A closed list; the names do not change.
enum class EventType {
  supervisor,  // it has started, it leaves
  state,       // from one state to another, and why
  decision,    // what was seen and decided without a change of state
  alarm,       // a person should look: nothing becomes durable, something does not end
  request,     // somebody asked for something, with process and user: the audit
  launch,      // where an attempt begins, and why there
  resumed,     // the worker has confirmed it
  adoption,    // a worker of an earlier supervisor goes on under this one, or was found gone
  incident,    // an unplanned end, with its cause and what was decided
  rescue,      // what became of a dead worker's memory
  checkpoint,  // one has become durable
  store,       // what was rejected, set aside or repaired in the models directory
  leftover,    // processes that a worker has left behind
  exactness,   // the run is no longer bit-exact
  worker,      // what the worker says of itself (STATUS=)
  config,      // what a reload changed, or why a setting could not be put in force
  trouble,     // something of the supervisor's own went wrong, and it goes on
  hook,        // a hook failed, or was left out
};

std::string_view to_string(EventType type);

enum class EventLevel { debug, info, warn, error };

std::string_view to_string(EventLevel level);

struct Event {
  std::int64_t id = 0;  // ascending over the life of the state directory; some numbers may be left out
  std::string time;     // RFC 3339, UTC
  EventType type = EventType::supervisor;
  EventLevel level = EventLevel::info;
  std::string message;  // a sentence for people
  std::string run_id;
  std::int64_t attempt = 0;
  std::int64_t episode = 0;
  boost::json::object details;  // by type
};

// An event as it is kept and sent: one line of JSON, without its newline.
struct EventLine {
  std::int64_t id = 0;
  std::string type;
  std::string json;
};

using EventLines = std::vector<std::shared_ptr<const EventLine>>;

// Whatever the texts hold, the line is valid UTF-8 without control characters and within its bound: what is too long is
// cut, and details that do not fit are left out.
EventLine to_line(const Event& event);

// Nothing when `text` is no event: other people's lines, half a line, a line of a disk that failed.
std::optional<EventLine> parse_event_line(std::string_view text);

// Which events are wanted.
struct EventQuery {
  std::optional<std::int64_t> since;  // those after this one, oldest first; nothing: the newest ones
  std::size_t limit = 100;
};

struct EventPage {
  EventLines events;        // ascending
  std::int64_t newest = 0;  // the newest id there is, 0: there is none
  bool more = false;        // further ones than these: newer with `since`, older without
};

// {"format": 1, "newest": …, "more": …, "events": […]}
std::string to_json(const EventPage& page);

}  // namespace ts::api
