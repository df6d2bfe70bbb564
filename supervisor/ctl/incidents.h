// supervisorctl incidents: the documents of supervisor/api/incidents.h, from the daemon or, without one, from the
// directory, and the text that a person reads.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

#include <boost/json/object.hpp>

#include "common/config/config.h"
#include "supervisor/ctl/client.h"
#include "supervisor/ctl/commands.h"

namespace ts::ctl {

// Pure. Members that are missing or of another type are passed over. `now` is for "2h 10m ago". Where a table is wider
// than `width` columns (0: it may be), each incident has lines of its own.
std::string render_incidents(const boost::json::object& document, std::chrono::system_clock::time_point now,
                             std::size_t width = 0);
std::string render_incident(const boost::json::object& document, std::chrono::system_clock::time_point now);

// Where incidents are looked up: the daemon is asked; when none answers and a directory is known, that is read.
struct IncidentSource {
  Client client;
  std::optional<std::filesystem::path> state_directory;
};

Exit list_incidents(const IncidentSource& source, std::size_t limit, bool as_json);
// Exit::usage, with the list of what there is, for one that is not there.
Exit show_incident(const IncidentSource& source, const std::string& selector, bool as_json);

}  // namespace ts::ctl
