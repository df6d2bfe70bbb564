// supervisorctl: asks the supervisor, and looks at checkpoints.
//
// Exit status: 0 ok, 1 refused or failed, 2 usage or bad selector, 3 not running (status), 4 no daemon, 5 timed out.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "common/base/text.h"
#include "common/config/load.h"
#include "supervisor/api/incident_report.h"
#include "supervisor/api/version.h"
#include "supervisor/ctl/client.h"
#include "supervisor/ctl/commands.h"
#include "supervisor/ctl/doctor_command.h"
#include "supervisor/ctl/incidents.h"

namespace {

using ts::ctl::Exit;

constexpr const char* kSystemSocket = "/run/trainer-supervisor/control.sock";
constexpr const char* kSocketVariable = "TRAINER_SUPERVISOR_SOCKET";

struct Arguments {
  std::string config_file = "config/config.yaml";
  bool config_given = false;
  std::string socket;
  bool json = false;
  bool no_wait = false;
  int timeout_s = 120;
  std::string from;
  std::string selector;
  std::string other_selector;  // diff: the second one
  std::string plot;
  std::optional<std::size_t> last;
  std::size_t limit = 20;  // incidents: how many
  ts::ctl::EventsOptions events;
};

ts::Result<ts::config::Config> load(const Arguments& arguments) {
  return ts::config::load_config(arguments.config_file);
}

// --socket, then the environment, then the configuration's, then the system's.
ts::Result<std::filesystem::path> find_socket(const Arguments& arguments) {
  if (!arguments.socket.empty()) return std::filesystem::path(arguments.socket);
  const char* from_environment = std::getenv(kSocketVariable);
  if (from_environment != nullptr && *from_environment != '\0' && !arguments.config_given) {
    return std::filesystem::path(from_environment);
  }
  if (arguments.config_given || std::filesystem::exists(arguments.config_file)) {
    const auto config = load(arguments);
    if (!config) return config.error();
    return ts::config::resolved_control_socket(*config);
  }
  return std::filesystem::path(kSystemSocket);
}

int complain(const ts::Error& error, Exit status) {
  std::fprintf(stderr, "supervisorctl: %s\n", error.message.c_str());
  return static_cast<int>(status);
}

template <class Command>
int with_client(const Arguments& arguments, Command&& command) {
  const auto socket = find_socket(arguments);
  if (!socket) return complain(socket.error(), Exit::usage);
  return static_cast<int>(command(ts::ctl::Client(*socket)));
}

template <class Command>
int with_config(const Arguments& arguments, Command&& command) {
  const auto config = load(arguments);
  if (!config) return complain(config.error(), Exit::usage);
  return static_cast<int>(command(*config));
}

std::optional<std::string> given(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional<std::string>(text);
}

template <class On>
void add_checkpoint_verbs(CLI::App& app, Arguments& arguments, On&& on) {
  auto* checkpoints = app.add_subcommand(
      "checkpoints", "List, show, verify, compare, pin or put back checkpoints; needs no supervisor");
  checkpoints->require_subcommand(0, 1);
  const auto json_flag = [&](CLI::App* verb) { verb->add_flag("--json", arguments.json, "As JSON (format 1)"); };
  json_flag(checkpoints);
  const auto add = [&](const char* name, const char* help) {
    auto* verb = checkpoints->add_subcommand(name, help);
    json_flag(verb);
    return verb;
  };
  const char* const selector_help = "latest, best, ep200 or a .pt file";
  add("list", "What there is (the default)");
  auto* show = add("show", "What one holds, after verifying it");
  show->add_option("selector", arguments.selector, selector_help)->required();
  auto* verify = add("verify", "Read every byte and compare digests");
  verify->add_option("selector", arguments.selector, "latest, best, ep200 or a .pt file (default: all)");
  auto* diff = add("diff",
                   "Which tensors of two differ and by how much, and their metrics side by side; "
                   "exit status 0 when they could be compared, identical or not");
  diff->add_option("a", arguments.selector, selector_help)->required();
  diff->add_option("b", arguments.other_selector, selector_help)->required();
  auto* pin = add("pin", "Keep one from ever being pruned; training may go on meanwhile");
  pin->add_option("selector", arguments.selector, "latest, best, ep200 or a .pt file in the models directory")
      ->required();
  auto* unpin = add("unpin", "Let pruning have it again; exit status 1 if it is not pinned");
  unpin->add_option("selector", arguments.selector, "latest, best, ep200 or a .pt file in the models directory")
      ->required();
  auto* release = add("release",
                      "Put one that was set aside in quarantine/ back, e.g. release ep200; stop the training first "
                      "(supervisorctl stop)");
  release->add_option("selector", arguments.selector, "ep200: the newest folder of that episode in quarantine/")
      ->required();
  on(checkpoints, [&arguments, show, verify, diff, pin, unpin, release] {
    return with_config(arguments, [&](const auto& loaded) {
      const bool json = arguments.json;
      if (show->parsed()) return ts::ctl::show_checkpoint(loaded, arguments.selector, json);
      if (verify->parsed()) return ts::ctl::verify_checkpoints(loaded, given(arguments.selector), json);
      if (diff->parsed()) {
        return ts::ctl::diff_checkpoints(loaded, arguments.selector, arguments.other_selector, json);
      }
      if (pin->parsed()) return ts::ctl::pin_checkpoint(loaded, arguments.selector, json);
      if (release->parsed()) return ts::ctl::release_checkpoint(loaded, arguments.selector, json);
      if (unpin->parsed()) return ts::ctl::unpin_checkpoint(loaded, arguments.selector, json);
      return ts::ctl::list_checkpoints(loaded, json);
    });
  });
}

template <class On>
void add_metrics_verb(CLI::App& app, Arguments& arguments, On&& on) {
  auto* metrics = app.add_subcommand(
      "metrics", "The newest metrics, or one of them drawn: metrics --plot profit; needs no supervisor");
  metrics->add_option("--plot", arguments.plot, "Draw the history of this metric");
  metrics->add_option("--last", arguments.last, "Of the newest so many episodes only")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000'000}));
  metrics->add_flag("--json", arguments.json, "As JSON (format 1)");
  on(metrics, [&arguments] {
    return with_config(arguments, [&](const auto& loaded) {
      return ts::ctl::show_metrics(loaded, {given(arguments.plot), arguments.last, arguments.json});
    });
  });
}

// The directory counts only where the socket does not name another supervisor than the configuration does.
template <class Command>
int with_incidents(const Arguments& arguments, Command&& command) {
  const bool elsewhere =
      !arguments.config_given && (!arguments.socket.empty() || std::getenv(kSocketVariable) != nullptr);
  const bool there = arguments.config_given || std::filesystem::exists(arguments.config_file);
  std::optional<std::filesystem::path> state_directory;
  if (there && !elsewhere) {
    const auto config = load(arguments);
    if (!config) return complain(config.error(), Exit::usage);
    state_directory = ts::config::resolved_state_directory(*config);
  }
  return with_client(arguments, [&](const auto& client) {
    return command(ts::ctl::IncidentSource{client, state_directory});
  });
}

template <class On>
void add_incident_verbs(CLI::App& app, Arguments& arguments, On&& on) {
  auto* incidents = app.add_subcommand(
      "incidents", "What ended the workers that ended unplanned, and what was done; works without a supervisor too");
  incidents->require_subcommand(0, 1);
  const auto options = [&](CLI::App* verb, bool listing) {
    verb->add_flag("--json", arguments.json, "As JSON (format 1)");
    if (listing) {
      verb->add_option("-n", arguments.limit, "At most so many, the newest")
          ->check(CLI::Range(std::size_t{1}, ts::api::kIncidentsMax))
          ->capture_default_str();
    }
    return verb;
  };
  options(incidents, true);
  options(incidents->add_subcommand("list", "A line for each, the newest first (the default)"), true);
  auto* show = options(incidents->add_subcommand("show", "The story of one, e.g. incidents show latest"), false);
  show->add_option("id", arguments.selector, "Its id or the beginning of it, its attempt's number, or latest")
      ->required();
  on(incidents, [&arguments, show] {
    return with_incidents(arguments, [&](const auto& source) {
      return show->parsed() ? ts::ctl::show_incident(source, arguments.selector, arguments.json)
                            : ts::ctl::list_incidents(source, arguments.limit, arguments.json);
    });
  });
}

int run(int argc, char** argv) {
  CLI::App app{"Asks the training supervisor what it does, tells it what to do, and looks at checkpoints."};
  app.require_subcommand(1);
  app.set_version_flag("--version", ts::api::kVersion);
  Arguments arguments;
  auto* config = app.add_option("--config", arguments.config_file, "Configuration that the supervisor runs with")
                     ->capture_default_str();
  app.add_option("--socket", arguments.socket, "Control socket of the supervisor (default: from the configuration)");
  int status = 0;
  const auto on = [&](CLI::App* verb, auto action) {
    verb->callback([&, action] {
      arguments.config_given = config->count() > 0;
      status = action();
    });
  };
  const auto waiting = [&](CLI::App* verb) {
    verb->add_flag("--no-wait", arguments.no_wait, "Return as soon as it is accepted");
    verb->add_option("--timeout", arguments.timeout_s, "Seconds to wait for the result")
        ->check(CLI::Range(1, 86400))
        ->capture_default_str();
    return verb;
  };
  const auto wait = [&] { return ts::ctl::WaitOptions{!arguments.no_wait, std::chrono::seconds(arguments.timeout_s)}; };

  auto* status_verb = app.add_subcommand("status", "What it is doing, and why");
  status_verb->add_flag("--json", arguments.json, "As JSON (format 1)");
  on(status_verb, [&] {
    return with_client(arguments, [&](const auto& client) { return ts::ctl::show_status(client, arguments.json); });
  });
  on(waiting(app.add_subcommand("start", "Start training, from the newest valid checkpoint")),
     [&] { return with_client(arguments, [&](const auto& client) { return ts::ctl::start(client, wait()); }); });
  on(waiting(app.add_subcommand("stop", "Let the worker save its state and end; stay stopped")),
     [&] { return with_client(arguments, [&](const auto& client) { return ts::ctl::stop(client, wait()); }); });
  auto* restart_verb = waiting(app.add_subcommand("restart", "Stop, then start; e.g. restart --from ep200"));
  restart_verb->add_option("--from", arguments.from,
                           "latest, best, ep200 or a .pt file; newer checkpoints are set aside, not deleted");
  on(restart_verb, [&] {
    return with_client(arguments,
                       [&](const auto& client) { return ts::ctl::restart(client, given(arguments.from), wait()); });
  });
  on(waiting(app.add_subcommand("fresh", "Start over; all checkpoints are set aside, not deleted")),
     [&] { return with_client(arguments, [&](const auto& client) { return ts::ctl::fresh(client, wait()); }); });

  auto* events_verb = app.add_subcommand("events", "What happened and what was decided, with reasons; e.g. events -f");
  events_verb->add_flag("-f,--follow", arguments.events.follow,
                        "Go on with what happens; survives a restart of the supervisor");
  events_verb->add_option("-n", arguments.events.count, "So many of the newest first")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  events_verb->add_flag("--json", arguments.events.as_json, "As JSON, one event a line (docs/FORMATS.md)");
  on(events_verb, [&] {
    return with_client(
        arguments, [&](const auto& client) { return ts::ctl::show_events(client, load(arguments), arguments.events); });
  });

  auto* reload_verb = app.add_subcommand(
      "reload",
      "Read the configuration file again: says what is in force now and what waits; a bad file changes nothing");
  reload_verb->add_flag("--json", arguments.json, "As JSON");
  on(reload_verb, [&] {
    return with_client(arguments, [&](const auto& client) { return ts::ctl::reload(client, arguments.json); });
  });

  add_checkpoint_verbs(app, arguments, on);
  add_metrics_verb(app, arguments, on);
  add_incident_verbs(app, arguments, on);

  auto* doctor_verb = app.add_subcommand(
      "doctor", "Whether this machine and the configuration are fit for a run; exit status 1 with a problem");
  doctor_verb->add_flag("--json", arguments.json, "As JSON (format 1)");
  on(doctor_verb, [&] {
    const char* from_environment = std::getenv(kSocketVariable);
    std::optional<std::filesystem::path> socket;
    if (!arguments.socket.empty()) {
      socket = arguments.socket;
    } else if (from_environment != nullptr && *from_environment != '\0' && !arguments.config_given) {
      socket = from_environment;
    }
    return static_cast<int>(ts::ctl::run_doctor(arguments.config_file, socket, arguments.json));
  });

  auto* config_verb = app.add_subcommand("config", "The configuration file; needs no supervisor");
  config_verb->require_subcommand(1);
  auto* check = config_verb->add_subcommand(
      "check", "Whether it is right, what each value is and where it came from, and what differs from the running one");
  check->add_flag("--json", arguments.json, "As JSON (format 1)");
  on(check, [&] {
    const auto socket = given(arguments.socket);
    return static_cast<int>(ts::ctl::check_config(arguments.config_file, socket, arguments.json));
  });

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(Exit::usage);
  }
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "supervisorctl: internal error: %s. Please report it.\n", error.what());
    return static_cast<int>(Exit::failed);
  }
}
