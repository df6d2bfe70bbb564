// What a command line of supervisorctl said, and finding from it whom to ask. Internal to supervisor/ctl.
//
// Threading: for the program's one thread. Errors: sentences.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "common/base/result.h"
#include "common/config/config.h"
#include "supervisor/ctl/answers.h"
#include "supervisor/ctl/client.h"
#include "supervisor/ctl/commands.h"

namespace ts::ctl {

struct Arguments {
  std::string config_file;
  bool config_given = false;
  std::string socket;
  bool json = false;
  bool no_wait = false;
  std::int64_t timeout_s = 120;
  bool watch = false;
  std::string until;
  std::int64_t patience_s = 0;  // wait: 0: for ever
  std::string from;
  std::string selector;
  std::string other_selector;  // diff: the second one
  std::string plot;
  std::optional<std::size_t> last;
  std::size_t limit = 20;  // incidents: how many
  EventsOptions events;
  LogsOptions logs;
};

inline std::optional<std::string> given(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional<std::string>(text);
}

// The configuration that is meant where none is named: that of the training here or, where there is none, that of the
// machine's service. Pure but for what `there` does.
std::string default_config_file(const std::function<bool(const std::string&)>& there);

Result<config::Config> load(const Arguments& arguments);

// A socket that --socket or, unless --config is given, TRAINER_SUPERVISOR_SOCKET names.
struct NamedSocket {
  std::filesystem::path path;
  std::string origin;  // for people: how it was chosen
};
std::optional<NamedSocket> named_socket(const Arguments& arguments);
inline std::optional<std::filesystem::path> named_path(const Arguments& arguments) {
  const auto named = named_socket(arguments);
  return named ? std::optional(named->path) : std::nullopt;
}

// That one, else the configuration's, else the system's. A configuration with errors is complained about, and the
// supervisor asked all the same where it says for sure on which socket: that one runs on with what it read before.
Result<Client> find_client(const Arguments& arguments);

template <class Command>
Exit with_client(const Arguments& arguments, Command&& command) {
  const auto client = find_client(arguments);
  return client ? command(*client) : complain(client.error().message, Exit::usage);
}

template <class Command>
Exit with_config(const Arguments& arguments, Command&& command) {
  const auto config = load(arguments);
  return config ? command(*config) : complain(config.error().message, Exit::usage);
}

}  // namespace ts::ctl
