#include "supervisor/api/incident_report.h"

#include <algorithm>
#include <utility>

#include <boost/json/array.hpp>

#include "common/base/json.h"
#include "common/base/text.h"

namespace ts::api {
namespace {

namespace json = boost::json;

constexpr std::int64_t kFormat = 1;
constexpr std::size_t kTextMax = 4096;  // of one text of a report
constexpr std::size_t kEvidenceMax = 64;

std::string clean(std::string_view text) {
  return shorten(escape_control(text), kTextMax);
}

std::string clean_member(const json::object& object, std::string_view key) {
  return clean(string_member(object, key).value_or(""));
}

template <class Number>
json::value optional_number(const std::optional<Number>& number) {
  return number ? json::value(*number) : json::value(nullptr);
}

json::value exit_to_json(const std::optional<core::ExitStatus>& exit) {
  if (!exit) return nullptr;
  if (exit->code) return json::object{{"code", *exit->code}};
  if (exit->signal) return json::object{{"signal", *exit->signal}};
  return json::object{{"unknown", true}};
}

std::optional<core::ExitStatus> exit_from_json(const json::object& report) {
  const json::object* object = object_member(report, "exit");
  if (object == nullptr) return std::nullopt;
  const auto number = [&](const char* key) -> std::optional<int> {
    const auto value = integer_member(*object, key);
    if (!value || *value < 0 || *value > 255) return std::nullopt;
    return static_cast<int>(*value);
  };
  core::ExitStatus out{number("code"), std::nullopt};
  if (!out.code) out.signal = number("signal");
  return out;
}

json::value silence_to_json(const std::optional<core::SilenceVerdict>& silence) {
  if (!silence) return nullptr;
  const bool starved = silence->kind == core::SilenceVerdict::Kind::starved;
  return json::object{{"verdict", starved ? "starved" : "hung"}, {"why", clean(silence->why)}};
}

std::optional<core::SilenceVerdict> silence_from_json(const json::object& report) {
  const json::object* object = object_member(report, "silence");
  if (object == nullptr) return std::nullopt;
  using Kind = core::SilenceVerdict::Kind;
  const bool starved = string_member(*object, "verdict") == "starved";
  return core::SilenceVerdict{starved ? Kind::starved : Kind::hung, clean_member(*object, "why")};
}

json::array evidence_to_json(const std::vector<EvidencePart>& parts) {
  json::array out;
  for (const EvidencePart& part : parts) {
    json::object object;
    object["name"] = clean(part.name);
    if (part.bytes) object["bytes"] = *part.bytes;
    if (!part.why_not.empty()) object["why_not"] = clean(part.why_not);
    out.push_back(std::move(object));
  }
  return out;
}

std::vector<EvidencePart> evidence_from_json(const json::object& report) {
  std::vector<EvidencePart> out;
  const json::value* parts = report.if_contains("evidence");
  if (parts == nullptr || !parts->is_array()) return out;
  for (const json::value& value : parts->get_array()) {
    if (out.size() == kEvidenceMax) break;
    if (!value.is_object()) continue;
    const json::object& object = value.get_object();
    EvidencePart part{clean_member(object, "name"), std::nullopt, clean_member(object, "why_not")};
    const auto bytes = integer_member(object, "bytes");
    if (bytes && *bytes >= 0) part.bytes = static_cast<std::uint64_t>(*bytes);
    out.push_back(std::move(part));
  }
  return out;
}

bool matches(std::string_view text, std::string_view pattern) {  // '0' in the pattern stands for any digit
  return text.size() == pattern.size() && std::equal(text.begin(), text.end(), pattern.begin(), [](char c, char p) {
           return p == '0' ? c >= '0' && c <= '9' : c == p;
         });
}

}  // namespace

json::object to_object(const IncidentReport& report) {
  json::object out;
  out["format"] = kFormat;
  out["id"] = clean(report.id);
  out["time"] = clean(report.time);
  out["run_id"] = clean(report.run_id);
  out["attempt"] = report.attempt;
  out["pid"] = report.pid;
  out["cause"] = core::to_string(report.cause);
  out["what"] = clean(report.what);
  out["detected_by"] = clean(report.detected_by);
  out["phase"] = clean(report.phase);
  out["episode"] = report.episode;
  out["last_heard_s"] = optional_number(report.last_heard_s);
  out["silence"] = silence_to_json(report.silence);
  out["exit"] = exit_to_json(report.exit);
  out["decision"] = clean(report.decision);
  out["lost_episodes"] = optional_number(report.lost_episodes);
  out["detect_s"] = optional_number(report.detect_s);
  out["relaunch_s"] = optional_number(report.relaunch_s);
  out["first_step_s"] = optional_number(report.first_step_s);
  out["resumed_from"] = optional_number(report.resumed_from);
  out["evidence"] = evidence_to_json(report.evidence);
  return out;
}

std::string to_json(const IncidentReport& report) {
  return pretty_json(to_object(report));
}

Result<IncidentReport> parse_incident(std::string_view text, std::string_view name) {
  const auto document = parse_json(text, name, kReportBytesMax);
  if (!document) return document.error();
  const std::string who = escape_control(name);
  if (!document->is_object()) return make_error(ErrorKind::unavailable, who + " is not a JSON object.");
  const json::object& object = document->get_object();
  const auto format = integer_member(object, "format");
  if (format != kFormat) {
    return make_error(ErrorKind::unavailable,
                      who + (format ? " has format " + std::to_string(*format) + "; this version reads format 1."
                                    : std::string(" does not say its format.")));
  }
  const auto cause = core::parse_cause(string_member(object, "cause").value_or(""));
  if (!cause) return make_error(ErrorKind::unavailable, who + " names no cause that this version knows.");
  IncidentReport out;
  out.id = clean_member(object, "id");
  out.time = clean_member(object, "time");
  out.run_id = clean_member(object, "run_id");
  out.attempt = integer_member(object, "attempt").value_or(0);
  out.pid = integer_member(object, "pid").value_or(0);
  out.cause = *cause;
  out.what = clean_member(object, "what");
  out.detected_by = clean_member(object, "detected_by");
  out.phase = clean_member(object, "phase");
  out.episode = integer_member(object, "episode").value_or(0);
  out.last_heard_s = number_member(object, "last_heard_s");
  out.silence = silence_from_json(object);
  out.exit = exit_from_json(object);
  out.decision = clean_member(object, "decision");
  out.lost_episodes = integer_member(object, "lost_episodes");
  out.detect_s = number_member(object, "detect_s");
  out.relaunch_s = number_member(object, "relaunch_s");
  out.first_step_s = number_member(object, "first_step_s");
  out.resumed_from = integer_member(object, "resumed_from");
  out.evidence = evidence_from_json(object);
  return out;
}

std::optional<IncidentName> parse_incident_id(std::string_view name) {
  constexpr std::string_view kStamp = "0000-00-00T00-00-00.000Z";
  constexpr std::string_view kAttempt = "-attempt";
  constexpr std::size_t kMinutesAt = 13;  // the places of the two colons, where the name has dashes
  constexpr std::size_t kSecondsAt = 16;
  IncidentName out;
  if (!matches(name.substr(0, kStamp.size()), kStamp)) return std::nullopt;
  out.time = name.substr(0, kStamp.size());
  out.time[kMinutesAt] = out.time[kSecondsAt] = ':';
  name.remove_prefix(kStamp.size());
  if (!name.starts_with(kAttempt)) return std::nullopt;
  name.remove_prefix(kAttempt.size());
  const std::size_t number_end = name.find('-');
  if (number_end == std::string_view::npos) return std::nullopt;
  const auto attempt = parse_plain_integer(name.substr(0, number_end));
  if (!attempt) return std::nullopt;
  out.attempt = *attempt;
  name.remove_prefix(number_end + 1);
  const std::size_t cause_end = std::min(name.find('-'), name.size());
  const auto cause = core::parse_cause(name.substr(0, cause_end));
  if (!cause) return std::nullopt;
  out.cause = *cause;
  if (cause_end != name.size() && !parse_plain_integer(name.substr(cause_end + 1))) return std::nullopt;
  return out;
}

bool is_incident_id(std::string_view name) {
  return parse_incident_id(name).has_value();
}

}  // namespace ts::api
