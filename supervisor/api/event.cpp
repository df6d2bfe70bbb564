#include "supervisor/api/event.h"

#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "common/base/json.h"
#include "common/base/text.h"

namespace ts::api {
namespace {

namespace json = boost::json;

constexpr std::size_t kMessageBytesMax = 4096;
constexpr std::size_t kTextBytesMax = 2048;  // of one text in the details

json::value cleaned(const json::value& value) {
  if (const auto* text = value.if_string()) return json::string(escape_control(shorten(*text, kTextBytesMax)));
  if (const auto* array = value.if_array()) {
    json::array out;
    for (const json::value& item : *array) out.push_back(cleaned(item));
    return out;
  }
  if (const auto* object = value.if_object()) {
    json::object out;
    for (const auto& member : *object) out[escape_control(member.key())] = cleaned(member.value());
    return out;
  }
  return value;
}

}  // namespace

std::string_view to_string(EventType type) {
  switch (type) {
    case EventType::supervisor: return "supervisor";
    case EventType::state: return "state";
    case EventType::decision: return "decision";
    case EventType::alarm: return "alarm";
    case EventType::request: return "request";
    case EventType::launch: return "launch";
    case EventType::resumed: return "resumed";
    case EventType::adoption: return "adoption";
    case EventType::incident: return "incident";
    case EventType::rescue: return "rescue";
    case EventType::checkpoint: return "checkpoint";
    case EventType::store: return "store";
    case EventType::leftover: return "leftover";
    case EventType::exactness: return "exactness";
    case EventType::worker: return "worker";
    case EventType::config: return "config";
    case EventType::trouble: return "trouble";
    case EventType::hook: return "hook";
  }
  return "trouble";
}

std::string_view to_string(EventLevel level) {
  switch (level) {
    case EventLevel::debug: return "debug";
    case EventLevel::info: return "info";
    case EventLevel::warn: return "warn";
    case EventLevel::error: return "error";
  }
  return "error";
}

EventLine to_line(const Event& event) {
  json::object out;
  out["id"] = event.id;
  out["time"] = event.time;
  out["type"] = to_string(event.type);
  out["level"] = to_string(event.level);
  out["message"] = escape_control(shorten(event.message, kMessageBytesMax));
  out["run_id"] = escape_control(shorten(event.run_id, kTextBytesMax));
  out["attempt"] = event.attempt;
  out["episode"] = event.episode;
  out["details"] = cleaned(event.details);
  EventLine line{event.id, std::string(to_string(event.type)), compact_json(out)};
  if (line.json.size() <= kEventBytesMax) return line;
  out["details"] = json::object();
  line.json = compact_json(out);
  return line;
}

std::optional<EventLine> parse_event_line(std::string_view text) {
  const auto document = parse_json(text, "an event", kEventBytesMax);
  if (!document) return std::nullopt;
  const json::object* object = document->if_object();
  if (object == nullptr) return std::nullopt;
  const auto id = integer_member(*object, "id");
  const auto type = string_member(*object, "type");
  if (!id || *id <= 0 || *id > kEventIdMax || !type) return std::nullopt;
  for (const char* name : {"time", "level", "message"}) {
    if (!string_member(*object, name)) return std::nullopt;
  }
  return EventLine{*id, escape_control(*type), compact_json(*object)};
}

std::string to_json(const EventPage& page) {
  std::string out = "{\"format\":" + std::to_string(kEventsFormat) + ",\"newest\":" + std::to_string(page.newest) +
                    ",\"more\":" + (page.more ? "true" : "false") + ",\"events\":[";
  for (const auto& event : page.events) {
    if (&event != &page.events.front()) out += ",";
    out += "\n" + event->json;
  }
  return out + "]}\n";
}

}  // namespace ts::api
