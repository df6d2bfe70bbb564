// The verbs: what each is called, takes and does.
#include "supervisor/api/incident_report.h"
#include "supervisor/api/worker_output.h"
#include "supervisor/ctl/command_line.h"
#include "supervisor/ctl/doctor_command.h"
#include "supervisor/ctl/incidents.h"

namespace ts::ctl {
namespace {

constexpr const char* kSelector = "latest|best|epN|FILE";

void json_flag(CLI::App& verb, Arguments& arguments) {
  verb.add_flag("--json", arguments.json, "As JSON (format 1)");
}

// CLI11's own refusal does not say what is wanted.
CLI::Validator whole(std::int64_t least, std::int64_t most, const std::string& of_what = {}) {
  return CLI::Validator(
      [least, most, of_what](std::string& text) {
        const auto number = parse_plain_integer(text);
        if (number && *number >= least && *number <= most) return std::string();
        return escape_control(text) + " is no whole number" + of_what + " from " + std::to_string(least) + " to " +
               std::to_string(most);
      },
      "");
}

CLI::Validator seconds(std::int64_t least, std::int64_t most) {
  return whole(least, most, " of seconds");
}

void waiting(CLI::App& verb, Arguments& arguments) {
  verb.add_flag("--no-wait", arguments.no_wait, "Return as soon as it is accepted");
  verb.add_option("--timeout", arguments.timeout_s, "How long to wait for the result")
      ->type_name("SECONDS")
      ->check(seconds(1, 86400))
      ->capture_default_str();
  json_flag(verb, arguments);
}

WaitOptions wait_of(const Arguments& arguments) {
  return {!arguments.no_wait, std::chrono::seconds(arguments.timeout_s), arguments.json};
}

void one_checkpoint(CLI::App& verb, Arguments& arguments) {
  verb.add_option("selector", arguments.selector, "Which one")->type_name(kSelector)->required();
  json_flag(verb, arguments);
}

void incident_list(CLI::App& verb, Arguments& arguments) {
  json_flag(verb, arguments);
  verb.add_option("-n", arguments.limit, "At most so many, the newest (1 to 100)")
      ->type_name("N")
      ->check(whole(1, api::kIncidentsMax))
      ->capture_default_str();
}

// The directory counts only where the socket does not name another supervisor than the configuration does.
template <class Command>
Exit with_incidents(const Arguments& arguments, Command&& command) {
  std::optional<std::filesystem::path> state_directory;
  if (!named_socket(arguments)) {
    if (const auto config = load(arguments)) state_directory = config::resolved_state_directory(*config);
  }
  return with_client(arguments, [&](const Client& client) { return command(IncidentSource{client, state_directory}); });
}

Exit incidents(const Arguments& arguments) {
  return with_incidents(
      arguments, [&](const IncidentSource& source) { return list_incidents(source, arguments.limit, arguments.json); });
}

Exit checkpoints(const Arguments& arguments) {
  return with_config(arguments, [&](const auto& config) { return list_checkpoints(config, arguments.json); });
}

using OfOneCheckpoint = Exit (*)(const config::Config&, const std::string&, bool);

template <OfOneCheckpoint command>
Exit of_one(const Arguments& arguments) {
  return with_config(arguments,
                     [&](const auto& config) { return command(config, arguments.selector, arguments.json); });
}

constexpr Verb kVerbs[] = {
    {"status",
     "What it is doing, and why.\nExit status 0 while it is up or about to be (starting, running, stopping, backoff), "
     "3 when it is stopped, "
     "finished or fatal, 4 when no supervisor answers.",
     "supervisorctl status\nsupervisorctl status --watch",
     [](CLI::App& verb, Arguments& arguments) {
       auto* json = verb.add_flag("--json", arguments.json, "As JSON (format 1)");
       verb.add_flag("--watch", arguments.watch, "Again every second, also over a restart of the supervisor")
           ->excludes(json);
     },
     [](const Arguments& arguments) {
       return with_client(arguments, [&](const Client& client) {
         return arguments.watch ? watch_status(client) : show_status(client, arguments.json);
       });
     }},
    {"start", "Start training, from the newest valid checkpoint.", "supervisorctl start", waiting,
     [](const Arguments& arguments) {
       return with_client(arguments, [&](const Client& client) { return start(client, wait_of(arguments)); });
     }},
    {"stop", "Let the worker save its state and end; stay stopped.", "supervisorctl stop --timeout 600", waiting,
     [](const Arguments& arguments) {
       return with_client(arguments, [&](const Client& client) { return stop(client, wait_of(arguments)); });
     }},
    {"restart", "Stop, then start; from another checkpoint if asked.", "supervisorctl restart --from ep200",
     [](CLI::App& verb, Arguments& arguments) {
       verb.add_option("--from", arguments.from, "Newer checkpoints are set aside, not deleted")->type_name(kSelector);
       waiting(verb, arguments);
     },
     [](const Arguments& arguments) {
       return with_client(
           arguments, [&](const Client& client) { return restart(client, given(arguments.from), wait_of(arguments)); });
     }},
    {"fresh", "Start over; all checkpoints are set aside, not deleted.", "supervisorctl fresh", waiting,
     [](const Arguments& arguments) {
       return with_client(arguments, [&](const Client& client) { return fresh(client, wait_of(arguments)); });
     }},
    {"checkpoint", "Save a checkpoint now, whatever is due.", "supervisorctl checkpoint", waiting,
     [](const Arguments& arguments) {
       return with_client(arguments, [&](const Client& client) { return checkpoint(client, wait_of(arguments)); });
     }},
    {"wait",
     "Wait until something is so.\nExit status 0 when it is, 1 when it cannot be any more, 5 when it took too long. "
     "Goes "
     "on over a restart of the supervisor.",
     "supervisorctl wait --until finished\nsupervisorctl wait --until episode=200 --timeout 3600",
     [](CLI::App& verb, Arguments& arguments) {
       verb.add_option("--until", arguments.until, "running, stopped, finished, or an episode that is completed")
           ->type_name("running|stopped|finished|episode=N")
           ->required();
       verb.add_option("--timeout", arguments.patience_s, "At most so long; 0: for ever")
           ->type_name("SECONDS")
           ->check(seconds(0, 86400 * 365));
       json_flag(verb, arguments);
     },
     [](const Arguments& arguments) {
       return with_client(arguments, [&](const Client& client) {
         return wait_until(client, arguments.until, std::chrono::seconds(arguments.patience_s), arguments.json);
       });
     }},
    {"events", "What happened and what was decided, with reasons.",
     "supervisorctl events -f\nsupervisorctl events --type incident",
     [](CLI::App& verb, Arguments& arguments) {
       verb.add_flag("-f,--follow", arguments.events.follow,
                     "Go on with what happens, also over a restart of the supervisor");
       verb.add_option("-n", arguments.events.count, "So many of the newest first (at most 1000)")
           ->type_name("N")
           ->check(whole(0, 1000))
           ->capture_default_str();
       verb.add_option("--level", arguments.events.level, "From this on; debug: each checkpoint too")
           ->type_name("debug|info|warn|error")
           ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
           ->capture_default_str();
       verb.add_option("--type", arguments.events.type,
                       "Of these types only: incident,state (docs/FORMATS.md lists them)")
           ->type_name("TYPE,...");
       verb.add_flag("--json", arguments.events.as_json, "As JSON, one event a line");
     },
     [](const Arguments& arguments) {
       return with_client(arguments,
                          [&](const Client& client) { return show_events(client, load(arguments), arguments.events); });
     }},
    {"logs", "The newest lines that the worker printed; needs no supervisor.",
     "supervisorctl logs -n 50\nsupervisorctl logs -f",
     [](CLI::App& verb, Arguments& arguments) {
       verb.add_flag("-f,--follow", arguments.logs.follow,
                     "Go on with what comes, also over a restart of the worker or of the supervisor");
       verb.add_option("-n", arguments.logs.count, "So many of the newest lines first (at most 1000)")
           ->type_name("N")
           ->check(whole(0, api::kOutputLinesMax))
           ->capture_default_str();
       verb.add_flag("--json", arguments.logs.as_json, "As JSON, one line a line");
     },
     [](const Arguments& arguments) {
       return with_client(arguments,
                          [&](const Client& client) { return show_logs(client, load(arguments), arguments.logs); });
     }},
    {"reload",
     "Read the configuration file again.\nSays what is in force now and what waits; a bad file changes nothing.",
     "supervisorctl reload", json_flag,
     [](const Arguments& arguments) {
       return with_client(arguments, [&](const Client& client) { return reload(client, arguments.json); });
     }},
    {"checkpoints", "List, show, verify, compare, pin or put back checkpoints; needs no supervisor.",
     "supervisorctl checkpoints", json_flag, checkpoints},
    {"checkpoints list", "What there is (the default).", "supervisorctl checkpoints list", json_flag, checkpoints},
    {"checkpoints show", "What one holds, after verifying it.", "supervisorctl checkpoints show latest", one_checkpoint,
     of_one<show_checkpoint>},
    {"checkpoints verify", "Read every byte and compare digests.", "supervisorctl checkpoints verify",
     [](CLI::App& verb, Arguments& arguments) {
       verb.add_option("selector", arguments.selector, "Which one (default: all)")->type_name(kSelector);
       json_flag(verb, arguments);
     },
     [](const Arguments& arguments) {
       return with_config(arguments, [&](const auto& config) {
         return verify_checkpoints(config, given(arguments.selector), arguments.json);
       });
     }},
    {"checkpoints diff",
     "Which tensors of two differ and by how much, and their metrics side by side.\nExit status 0 when they could be "
     "compared, identical or not.",
     "supervisorctl checkpoints diff ep190 ep200",
     [](CLI::App& verb, Arguments& arguments) {
       verb.add_option("a", arguments.selector, "The one")->type_name(kSelector)->required();
       verb.add_option("b", arguments.other_selector, "The other")->type_name(kSelector)->required();
       json_flag(verb, arguments);
     },
     [](const Arguments& arguments) {
       return with_config(arguments, [&](const auto& config) {
         return diff_checkpoints(config, arguments.selector, arguments.other_selector, arguments.json);
       });
     }},
    {"checkpoints pin", "Keep one from ever being pruned; training may go on meanwhile.",
     "supervisorctl checkpoints pin ep200", one_checkpoint, of_one<pin_checkpoint>},
    {"checkpoints unpin", "Let pruning have it again.\nExit status 1 when it is not pinned.",
     "supervisorctl checkpoints unpin ep200", one_checkpoint, of_one<unpin_checkpoint>},
    {"checkpoints release",
     "Put one that was set aside in quarantine/ back.\nStop the training first (supervisorctl stop).",
     "supervisorctl checkpoints release ep200",
     [](CLI::App& verb, Arguments& arguments) {
       verb.add_option("selector", arguments.selector, "The newest folder of this episode in quarantine/")
           ->type_name("epN")
           ->required();
       json_flag(verb, arguments);
     },
     of_one<release_checkpoint>},
    {"metrics", "The newest metrics, or one of them drawn; needs no supervisor.", "supervisorctl metrics --plot profit",
     [](CLI::App& verb, Arguments& arguments) {
       verb.add_option("--plot", arguments.plot, "Draw the history of this metric")->type_name("NAME");
       verb.add_option("--last", arguments.last, "Of the newest so many episodes only")
           ->type_name("N")
           ->check(whole(1, 1'000'000'000));
       json_flag(verb, arguments);
     },
     [](const Arguments& arguments) {
       return with_config(arguments, [&](const auto& config) {
         return show_metrics(config, {given(arguments.plot), arguments.last, arguments.json});
       });
     }},
    {"incidents", "What ended the workers that ended unplanned, and what was done; needs no supervisor.",
     "supervisorctl incidents", incident_list, incidents},
    {"incidents list", "A line for each, the newest first (the default).", "supervisorctl incidents list -n 5",
     incident_list, incidents},
    {"incidents show", "The story of one.\nExit status 1 when its report cannot be read.",
     "supervisorctl incidents show latest",
     [](CLI::App& verb, Arguments& arguments) {
       verb.add_option("id", arguments.selector, "Its id or the beginning of it, its attempt's number, or latest")
           ->type_name("latest|ID|N")
           ->required();
       json_flag(verb, arguments);
     },
     [](const Arguments& arguments) {
       return with_incidents(arguments, [&](const IncidentSource& source) {
         return show_incident(source, arguments.selector, arguments.json);
       });
     }},
    {"doctor", "Whether this machine and the configuration are fit for a run.\nExit status 1 when there is a problem.",
     "supervisorctl doctor", json_flag,
     [](const Arguments& arguments) {
       return run_doctor(arguments.config_file, named_path(arguments), arguments.json);
     }},
    {"config", "The configuration file; needs no supervisor.", "supervisorctl config check", nullptr, nullptr},
    {"config check",
     "Whether it is right, what each value is and where it came from, and what differs from the running one.\nExit "
     "status 2 when it is not right.",
     "supervisorctl --config /etc/trainer-supervisor/config.yaml config check", json_flag,
     [](const Arguments& arguments) {
       return check_config(arguments.config_file, named_path(arguments), arguments.json);
     }},
};

}  // namespace

std::span<const Verb> verbs() {
  return kVerbs;
}

}  // namespace ts::ctl
