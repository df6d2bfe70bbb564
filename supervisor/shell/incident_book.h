// The book of incidents, written: a folder for each unplanned end of a worker, `incidents/<time>-attempt<N>-<cause>/`,
// with `report.json` and the evidence beside it. supervisor/api/incidents.h reads it.
//
// A report is written when its incident begins and whole again whenever more is known: durably, by rename over the old
// one. The newest hundred folders are kept. Removed are only folders with a name of this pattern; a link is neither
// followed nor removed, and a folder that holds a folder stays.
//
// An incident is worth recording and never worth stopping for: every error comes back as a sentence, and without a
// folder supervision goes on.
//
// Ownership: owns its directory. Threading: one writer at a time (the holder of the state directory's lock); readers
// beside it see the old or the new report.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/checkpoint/directory.h"
#include "supervisor/api/incident_report.h"

namespace ts::shell {

using api::EvidencePart;
using api::IncidentReport;

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

 private:
  explicit IncidentBook(checkpoint::Directory directory) : directory_(std::move(directory)) {}

  Result<std::vector<std::string>> ids() const;  // ascending
  Result<checkpoint::Directory> folder(const std::string& id) const;
  Result<> write_report(const checkpoint::Directory& folder, const IncidentReport& report) const;
  void remove_oldest(const std::string& but) const;

  checkpoint::Directory directory_;
};

}  // namespace ts::shell
