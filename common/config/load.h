// From a YAML file to a checked Config.
//
// A file says only what differs from the defaults; an empty one is a valid configuration. Whatever a file contains, the
// outcome is a Config or an Error that names every problem of the file (the first Problems::kMostReported of them), one
// line each: `config/config.yaml:12:3: unknown key "save_freqency" in checkpoints; did you mean "save_frequency"?`.
//
// Ownership and threading: nothing is kept; call from any thread. Errors: ErrorKind::configuration, always.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/config/config.h"
#include "common/config/settings.h"

namespace ts::config {

// Reads the regular file at `path`. Blocks on the disk only.
Result<Config> load_config(const std::filesystem::path& path);

// The same, with the place of each key that it gives.
Result<ConfigFile> load_config_file(const std::filesystem::path& path);

// The control socket that the file names, whatever else is wrong in it: a supervisor that runs already has not read
// that yet, and whoever edits the file still has to reach it. Nothing where what decides the socket cannot be read, or
// may hide behind a misspelt name.
std::optional<std::filesystem::path> control_socket_in(const std::filesystem::path& path);

// The same for a text that is already here. Pure; `file_name` is for the sentences.
Result<ConfigFile> parse_config(std::string_view yaml, std::string_view file_name);

// One key of the file, for help texts and for the tests that keep the annotated file and the code together.
struct KeyDescription {
  std::string section;
  std::string name;
  std::string expects;  // "a whole number from 1 to 1024"
};

// Every key there is, in the order of config/config.yaml.
std::vector<KeyDescription> known_keys();

}  // namespace ts::config
