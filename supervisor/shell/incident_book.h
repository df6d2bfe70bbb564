// The book of incidents: a folder for each unplanned end of a worker, `incidents/<time>-attempt<N>-<cause>/`, with
// `report.json` and the evidence beside it. The format stands in docs/FORMATS.md, "Incidents".
//
// A report is written when its incident begins and whole again whenever more is known: durably, by rename over the old
// one. The newest hundred folders are kept. Removed are only folders with a name of this pattern; a link is neither
// followed nor removed, and a folder that holds a folder stays.
//
// An incident is worth recording and never worth stopping for: every error comes back as a sentence, and without a
// folder supervision goes on. What a report says is escaped when it is written and once more when it is read, since
// whoever can write here could have changed it.
//
// Ownership: owns its directory. Threading: one writer at a time (the holder of the state directory's lock); readers
// beside it see the old or the new report.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/checkpoint/directory.h"
#include "supervisor/core/cause.h"
#include "supervisor/core/silence.h"

namespace ts::shell {

inline constexpr const char* kIncidentsFolder = "incidents";
inline constexpr std::size_t kIncidentsMax = 100;

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

std::string to_json(const IncidentReport& report);
Result<IncidentReport> parse_incident(std::string_view text, std::string_view name);

// Whether a folder of this name is an incident's.
bool is_incident_id(std::string_view name);

struct ListedIncident {
  std::string id;
  Result<IncidentReport> report;  // or a sentence about what is wrong with it
};

class IncidentBook {
 public:
  // Makes the folder `incidents` in the state directory if it is missing.
  static Result<IncidentBook> open(const checkpoint::Directory& state_directory);

  struct Begun {
    IncidentReport report;         // with its id and time
    checkpoint::Directory folder;  // for the evidence
  };

  // Makes a folder of its own for this incident, writes the report, and removes the oldest folders beyond the hundred.
  // After an error there is none.
  Result<Begun> begin(IncidentReport report, std::chrono::system_clock::time_point when) const;

  // The report as it is by now, over the one in the folder `report.id`.
  Result<> amend(const IncidentReport& report) const;

  // Removes what one that was killed as it wrote has left half-written. For the one who writes here, before it begins.
  void sweep() const;

  // The newest hundred, newest first. One that is being made or removed just now is listed with a sentence.
  Result<std::vector<ListedIncident>> list() const;
  Result<IncidentReport> read(const std::string& id) const;

 private:
  explicit IncidentBook(checkpoint::Directory directory) : directory_(std::move(directory)) {}

  Result<std::vector<std::string>> ids() const;  // ascending
  Result<checkpoint::Directory> folder(const std::string& id) const;
  Result<> write_report(const checkpoint::Directory& folder, const IncidentReport& report) const;
  void remove_oldest(const std::string& but) const;

  checkpoint::Directory directory_;
};

}  // namespace ts::shell
