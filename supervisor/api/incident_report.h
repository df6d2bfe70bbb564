// The report on an unplanned end of a worker: a value, its JSON, and the name of the folder it lies in. The format
// stands in docs/FORMATS.md, "Incidents".
//
// What a report says is escaped when it is written and once more when it is read, since whoever can write there could
// have changed it. Pure. Threading: plain values and functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "common/base/result.h"
#include "supervisor/core/cause.h"
#include "supervisor/core/silence.h"

namespace ts::api {

inline constexpr const char* kIncidentsFolder = "incidents";
inline constexpr const char* kIncidentReport = "report.json";
inline constexpr std::size_t kIncidentsMax = 100;
inline constexpr std::size_t kReportBytesMax = std::size_t{1} << 18;

// A file of an incident's folder. Without bytes there is none; with both, it holds a part, and why_not says why.
struct EvidencePart {
  std::string name;
  std::optional<std::uint64_t> bytes;
  std::string why_not;

  bool operator==(const EvidencePart&) const = default;
};

struct IncidentReport {
  std::string id;    // the folder's name; begin gives it
  std::string time;  // RFC 3339; begin gives it
  std::string run_id;
  std::int64_t attempt = 0;
  std::int64_t pid = 0;  // 0: it never ran
  core::Cause cause = core::Cause::unknown;
  std::string what;         // a sentence
  std::string detected_by;  // what told: "exit", "heartbeat", …
  std::string phase;        // what the worker last told that it did; empty: nothing
  std::int64_t episode = 0;
  std::optional<double> last_heard_s;  // before `time`
  std::optional<core::SilenceVerdict> silence;
  std::optional<core::ExitStatus> exit;  // nothing: it has not ended yet; empty: nobody can tell how
  std::string decision;                  // a sentence; empty: not decided yet
  std::optional<std::int64_t> lost_episodes;
  std::optional<double> detect_s;            // from the last sign of what was missed until it was noticed
  std::optional<double> relaunch_s;          // from then until the next worker ran
  std::optional<double> first_step_s;        // from then until training advanced again
  std::optional<std::int64_t> resumed_from;  // by the next attempt; nothing: there has been none yet
  std::vector<EvidencePart> evidence;

  bool operator==(const IncidentReport&) const = default;
};

boost::json::object to_object(const IncidentReport& report);
std::string to_json(const IncidentReport& report);
Result<IncidentReport> parse_incident(std::string_view text, std::string_view name);

// What the name of an incident's folder says.
struct IncidentName {
  std::string time;  // RFC 3339
  std::int64_t attempt = 0;
  core::Cause cause = core::Cause::unknown;
};

// Nothing when a folder of this name is no incident's.
std::optional<IncidentName> parse_incident_id(std::string_view name);
bool is_incident_id(std::string_view name);

}  // namespace ts::api
