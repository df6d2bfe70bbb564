// A configuration and what became of its changes, as programs and people are told: GET /v1/config, POST /v1/reload and
// `supervisorctl config check`. Pure.
#pragma once

#include <string>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "common/config/settings.h"

namespace ts::api {

// {"format", "file", "settings": [{"key", "value", "line", "column", "applies"}]}; line and column are null where the
// file leaves the default. docs/PROTOCOL.md describes format 1.
boost::json::object settings_document(const std::string& file, const std::vector<config::Setting>& settings);

// [{"key", "from", "to", "applies"}]
boost::json::array changes_document(const std::vector<config::Change>& changes);

// What a supervisor that runs with the first has done by reading the second, one sentence for each time at which
// changes count.
std::string what_reload_did(const std::string& file, const std::vector<config::Change>& changes);

}  // namespace ts::api
