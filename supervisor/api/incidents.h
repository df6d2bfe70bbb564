// The incidents on record, read: for the daemon's control API and for supervisorctl without a daemon, which so say the
// same. Changes nothing.
//
// Whatever lies in the folders is bounded in size and escaped, and never followed out of them: a report that is torn,
// hostile or of another version is listed with a sentence in its place. One that is being written or removed meanwhile
// is seen as it was, as it is, or as a sentence.
//
// The documents are those of docs/FORMATS.md, "Incidents", format 1.
// Threading: values and plain functions; blocking on the disk, so the daemon calls them on another thread than its
// event loop's.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "common/base/result.h"
#include "common/checkpoint/directory.h"
#include "supervisor/api/incident_report.h"

namespace ts::api {

inline constexpr std::int64_t kIncidentsFormat = 1;

// The record of one state directory. With nothing on record there may be no folder at all, which is no error.
class IncidentReader {
 public:
  static Result<IncidentReader> open(const std::filesystem::path& state_directory);

  // Newest first.
  Result<std::vector<std::string>> ids() const;
  Result<IncidentReport> read(const std::string& id) const;

  std::string path_of(std::string_view name) const;
  Result<checkpoint::Directory> folder(const std::string& id) const;

 private:
  IncidentReader(std::filesystem::path path, std::optional<checkpoint::Directory> directory)
      : path_(std::move(path)), directory_(std::move(directory)) {}

  std::filesystem::path path_;
  std::optional<checkpoint::Directory> directory_;  // nothing: there is none
};

// The one that a person means: a name, `latest`, an attempt's number (the newest of that number), or the beginning of
// one name only. Otherwise kind not_found and what there is. Pure.
Result<std::string> resolve_incident(std::string_view selector, const std::vector<std::string>& newest_first);

// The newest `limit`.
Result<boost::json::object> incidents_document(const std::filesystem::path& state_directory, std::size_t limit);

// The whole report, the files beside it, and the last lines that the worker printed. kind not_found as above.
Result<boost::json::object> incident_document(const std::filesystem::path& state_directory, std::string_view selector);

}  // namespace ts::api
