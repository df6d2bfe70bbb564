// The one list of what a configuration file may say. Parsing, writing, comparing, the lists of known names,
// `known_keys()` and the tests all come from it; a key is declared in schema.cpp once and nowhere else.
//
// Ownership and threading: built on first use, never changed afterwards, so it may be read from any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/config.h"
#include "common/config/readers.h"
#include "common/config/settings.h"

namespace ts::config {

struct Key {
  std::string_view section;
  std::string_view name;
  std::string expects;  // completes "<section>.<name> must be"
  Applies applies = Applies::next_launch;
  std::function<std::optional<Refusal>(const Node&, Config&)> set;
  std::function<std::string(const Config&)> show;  // as the file would say it
  std::function<void(const Config& from, Config& to)> copy;

  std::string full_name() const { return std::string(section) + "." + std::string(name); }
};

// In the order of config/config.yaml.
const std::vector<Key>& schema();

// The sections in the same order.
const std::vector<std::string_view>& section_names();

}  // namespace ts::config
