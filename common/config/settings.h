// A configuration key by key: what each value is, where it came from, when a change of it counts, and the whole as a
// file. What people and other programs are shown, and what a reload does, come from here.
//
// Ownership and threading: plain values and pure functions.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/config.h"
#include "common/config/problems.h"

namespace ts::config {

// When a changed value counts for a supervisor that reads its file again.
enum class Applies {
  at_once,
  next_launch,         // of the worker
  supervisor_restart,  // until then the old value stays
};

// "at_once", "next_launch" and "supervisor_restart", for programs.
std::string_view to_string(Applies applies);

struct Setting {
  std::string key;             // "training.episodes"
  std::string value;           // as the file would say it, on one line
  std::optional<Place> place;  // nothing: the file does not say it, so it is the default
  Applies applies = Applies::next_launch;

  bool operator==(const Setting&) const = default;
};

struct Change {
  std::string key;
  std::string from;
  std::string to;
  Applies applies = Applies::next_launch;

  bool operator==(const Change&) const = default;
};

// A configuration, and where in its file each key stands that it gives ("training.episodes").
struct ConfigFile {
  Config config;
  std::map<std::string, Place, std::less<>> places;
};

// Every key there is, in the order of config/config.yaml.
std::vector<Setting> settings_of(const ConfigFile& file);

// What differs, in the same order.
std::vector<Change> changes_between(const Config& from, const Config& to);

// What runs after `file` was read again by a supervisor that runs with `running`: all of it, but for the values that
// only a restart of the supervisor changes.
Config reloaded(const Config& running, const Config& file);

// A file that says all of it: reading it gives the same Config.
std::string to_yaml(const Config& config);

}  // namespace ts::config
