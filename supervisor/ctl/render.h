// JSON to the text a person reads at a terminal. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "common/checkpoint/sidecar.h"
#include "common/config/settings.h"

namespace ts::ctl {

// How a terminal wants it.
struct Look {
  std::size_t width = 0;  // columns; 0: lines may be as long as they are
  bool color = false;
};

// At a glance: what it does and why, how far it is, what would be lost, what has happened so far.
std::string render_status(const boost::json::object& status, const Look& look = {});

// "2026-01-31T12:34:56.789Z  warn   incident    …", one line.
std::string render_event(const boost::json::object& event);

struct CheckpointRow {
  std::string name;  // "ep250", "best"
  checkpoint::Sidecar sidecar;
  std::string problem;  // empty when there is none
  bool pinned = false;
};

std::string render_checkpoints(const std::vector<CheckpointRow>& rows, const std::string& metric);

// The documents of documents.h. Members that are missing or of another type are passed over.
std::string render_checkpoint(const boost::json::object& document);
std::string render_verification(const boost::json::object& document);
std::string render_difference(const boost::json::object& document);
std::string render_release(const boost::json::object& document);

// A file that is right, value by value; and how it differs from what a supervisor runs with.
std::string render_settings(const std::string& file, const std::vector<config::Setting>& settings);
std::string render_differences(const std::vector<config::Change>& changes);

}  // namespace ts::ctl
