// What supervisorctl does for each verb. Each returns the exit status.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "common/config/config.h"
#include "supervisor/ctl/client.h"

namespace ts::ctl {

// Exit statuses; scripts depend on them.
enum class Exit : int {
  ok = 0,
  failed = 1,       // refused, or it went wrong
  usage = 2,        // also a selector that names nothing usable
  not_running = 3,  // status only
  no_daemon = 4,
  timed_out = 5,
};

Exit show_status(const Client& client, bool as_json);

// Draws it anew every second, and says so while there is no supervisor; ends when it is interrupted.
Exit watch_status(const Client& client);

// `until`: "running", "stopped", "finished" or "episode=200". A timeout of 0 waits for ever. Exit::failed when it
// cannot be any more; Exit::no_daemon only when none answers at the beginning.
Exit wait_until(const Client& client, const std::string& until, std::chrono::seconds timeout, bool as_json);

struct WaitOptions {
  bool wait = true;
  std::chrono::seconds timeout{120};
  bool as_json = false;
};

Exit start(const Client& client, const WaitOptions& wait);
Exit stop(const Client& client, const WaitOptions& wait);
Exit checkpoint(const Client& client, const WaitOptions& wait);
Exit fresh(const Client& client, const WaitOptions& wait);
Exit restart(const Client& client, const std::optional<std::string>& from, const WaitOptions& wait);

struct EventsOptions {
  std::size_t count = 20;      // of the newest
  std::string level = "info";  // and what is more serious; "debug": all
  std::string type;            // of these only, with commas between them; empty: all
  bool follow = false;         // and then those that come, for ever
  bool as_json = false;        // each as it is, one a line
};

// Without a daemon those of the journal of `config`, if there is one. One that goes away while it is followed is waited
// for.
Exit show_events(const Client& client, const Result<config::Config>& config, const EventsOptions& options);

struct LogsOptions {
  std::size_t count = 20;  // lines, the newest
  bool follow = false;     // and then those that come, for ever
  bool as_json = false;    // a line a line
};

// What the worker printed. Without a daemon it is read from the file itself. One that goes away while it is followed is
// waited for.
Exit show_logs(const Client& client, const Result<config::Config>& config, const LogsOptions& options);

// Has the supervisor read its configuration file again.
Exit reload(const Client& client, bool as_json);

// Explains a configuration file, with or without a daemon: each value in force and where it came from, or what is wrong
// and where; and how it differs from what the supervisor on `socket` (nothing: the one that the file names) runs with.
Exit check_config(const std::string& file, const std::optional<std::filesystem::path>& socket, bool as_json);

// These look at the directory themselves, with or without a daemon. A selector that names nothing usable is refused
// with the list of those that do.
Exit list_checkpoints(const config::Config& config, bool as_json);
Exit show_checkpoint(const config::Config& config, const std::string& selector, bool as_json);
Exit verify_checkpoints(const config::Config& config, const std::optional<std::string>& selector, bool as_json);
// Exit::ok whenever the two could be compared, identical or not.
Exit diff_checkpoints(const config::Config& config, const std::string& a, const std::string& b, bool as_json);

struct MetricsOptions {
  std::optional<std::string> plot;  // this one; nothing: a table of the newest
  std::optional<std::size_t> last;  // episodes
  bool json = false;
};

// The history in the models directory, with or without a daemon. A metric that does not exist is refused with the list
// of those that do.
Exit show_metrics(const config::Config& config, const MetricsOptions& options);

// What pruning leaves alone; a trainer may be running meanwhile.
Exit pin_checkpoint(const config::Config& config, const std::string& selector, bool as_json);
Exit unpin_checkpoint(const config::Config& config, const std::string& selector, bool as_json);

// Puts a checkpoint that lies in quarantine/ back; nothing may be writing the directory meanwhile.
Exit release_checkpoint(const config::Config& config, const std::string& selector, bool as_json);

}  // namespace ts::ctl
