// What a person can configure: one struct for each section of the YAML file, the defaults inline.
//
// The names are those of the file (config/config.yaml is the same list with longer explanations). common/config/load.h
// turns a file into a Config and has checked every value and every relation between values before anybody sees one, so
// the readers of these fields check nothing again.
//
// Units: durations are milliseconds, sizes are bytes, counts are plain integers. Relative paths are relative to the
// working directory of the program that uses them.
// Ownership and threading: plain values; copy them freely. No I/O and no YAML here, so that supervisor/core may include
// this header.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ts::config {

// How long the training is and on what it runs.
struct Training {
  std::int64_t episodes = 300;  // the run is finished after this many; raising it later continues a finished run
  std::uint64_t seed = 42;      // of the one random state that everything draws from
  std::string device = "auto";  // auto | cpu | cuda | cuda:N
  int threads = 1;              // CPU threads of the mathematics; a resume is exact only with the same number

  bool operator==(const Training&) const = default;
};

// The market data. Whatever the two fractions leave is the training split; the splits follow each other by date.
struct Data {
  std::filesystem::path path = "data/sp500-daily.csv";  // CSV with date, open, high, low, close, volume
  double validation_fraction = 0.15;                    // of the rows, the ones before the test split
  double test_fraction = 0.15;                          // of the rows, the newest ones

  bool operator==(const Data&) const = default;
};

enum class BestMode { max, min };

// Which checkpoints are written, when, and which of them are kept.
struct Checkpoints {
  std::filesystem::path directory = "models";
  std::int64_t save_frequency = 10;    // episodes between two checkpoints
  std::int64_t max_keep = 5;           // the newest so many are kept, besides best, pinned and keep_every
  bool save_best = true;               // also keep the best model so far, as best_model.pt
  std::string best_metric = "profit";  // the name of the metric that decides what is best
  BestMode best_mode = BestMode::max;  // whether more or less of it is better
  std::chrono::milliseconds save_interval{std::chrono::minutes{10}};  // also save when the last one is older; 0 = never
  std::int64_t keep_every = 0;  // episodes: never prune a multiple of this; 0 = no such rule

  bool operator==(const Checkpoints&) const = default;
};

// The copy of the newest state in memory that survives the worker's death.
struct Snapshots {
  bool enabled = true;
  std::int64_t every = 1;                               // episodes between two snapshots
  std::uint64_t max_bytes = 2ULL * 1024 * 1024 * 1024;  // bytes; a bigger state is not kept in memory

  bool operator==(const Snapshots&) const = default;
};

// The supervised process. The command line is `command` followed by resume_args or fresh_args.
struct Worker {
  std::vector<std::string> command;                                     // program and arguments; empty = our trainer
  std::vector<std::string> resume_args = {"--resume", "{checkpoint}"};  // {checkpoint} becomes the path to resume from
  std::vector<std::string> fresh_args;                                  // used when there is nothing to resume from
  std::map<std::string, std::string> environment;  // variables besides the supervisor's own and those of the contract

  bool operator==(const Worker&) const = default;
};

// How long the supervisor waits for what, and where it keeps its own files.
struct Supervisor {
  std::chrono::milliseconds startup_timeout{std::chrono::seconds{120}};   // launch to READY=1
  std::chrono::milliseconds heartbeat_interval{std::chrono::seconds{1}};  // the worker beats about this often
  std::chrono::milliseconds heartbeat_timeout{std::chrono::seconds{30}};  // silence this long is a hang; 0 = off
  std::optional<std::chrono::milliseconds> progress_timeout;              // no step this long; nothing = learned
  std::chrono::milliseconds stop_timeout{std::chrono::seconds{60}};       // a graceful stop may take this long
  std::optional<std::filesystem::path> control_socket;                    // nothing = resolved_control_socket() decides
  std::optional<std::filesystem::path> state_directory;  // nothing = resolved_state_directory() decides

  bool operator==(const Supervisor&) const = default;
};

// What happens after an unplanned end of the worker.
struct Restart {
  std::chrono::milliseconds backoff_initial{std::chrono::seconds{1}};  // the first wait that is not zero; 0 = none
  std::chrono::milliseconds backoff_max{std::chrono::minutes{5}};      // no wait is longer, before jitter
  double backoff_factor = 2.0;                      // each wait is so many times the one before; 1 = constant
  double jitter = 0.25;                             // a wait varies at random by this fraction of itself, 0..1
  std::int64_t poison_after = 2;                    // deaths before an episode that quarantine a resume point
  std::int64_t max_attempts_without_progress = 10;  // launches in a row without a new episode, before giving up
  std::chrono::milliseconds cooldown{std::chrono::minutes{15}};  // a run given up is tried again after this long
  bool allow_fresh = false;                                      // may start from scratch when no checkpoint works

  bool operator==(const Restart&) const = default;
};

// The optional TCP listener of the control API.
struct Http {
  std::string listen;  // "127.0.0.1:9191" or another loopback address with a port; empty = none

  bool operator==(const Http&) const = default;
};

struct Logging {
  std::string level = "info";  // trace | debug | info | warn | error
  std::filesystem::path directory = "logs";
  std::uint64_t max_size = 50ULL * 1024 * 1024;  // bytes of one log file before the next is begun
  std::int64_t max_files = 5;                    // log files kept of each kind

  bool operator==(const Logging&) const = default;
};

struct Hooks {
  std::vector<std::string> on_event;  // program and arguments run for each event, which is on its stdin; empty = none

  bool operator==(const Hooks&) const = default;
};

// The market as the agent meets it.
struct Trading {
  std::int64_t window = 10;           // days of returns and volume that one observation shows
  std::int64_t episode_length = 252;  // days, which are environment steps, of one episode (252 = a trading year)
  double cost = 0.0005;               // of the value traded, charged for each change of position

  bool operator==(const Trading&) const = default;
};

// The double DQN agent. "Steps" are environment steps: one day, one action.
struct Dqn {
  std::vector<std::int64_t> hidden = {32};   // units of each hidden layer
  double learning_rate = 0.0001;             // of Adam
  double gamma = 0.95;                       // discount of the next step's reward
  std::int64_t batch_size = 64;              // transitions in one gradient step
  std::int64_t replay_capacity = 20000;      // transitions remembered
  std::int64_t learn_start = 1000;           // steps before the first gradient step
  std::int64_t learn_every = 1;              // steps between two gradient steps
  std::int64_t target_update = 500;          // steps between two copies into the target network
  double epsilon_start = 1.0;                // share of random actions at step 0
  double epsilon_end = 0.05;                 // share of random actions at the end of the decay
  std::int64_t epsilon_decay_steps = 30000;  // steps over which the share falls linearly
  double grad_clip = 10.0;                   // the gradient's norm is cut to this

  bool operator==(const Dqn&) const = default;
};

struct Config {
  Training training;
  Data data;
  Checkpoints checkpoints;
  Snapshots snapshots;
  Worker worker;
  Supervisor supervisor;
  Restart restart;
  Http http;
  Logging logging;
  Hooks hooks;
  Trading trading;
  Dqn dqn;

  bool operator==(const Config&) const = default;
};

// Where the supervisor keeps its state: supervisor.state_directory, or <checkpoints.directory>/.supervisor. It is a
// hidden directory beside the checkpoints by default so that moving the run moves its history.
std::filesystem::path resolved_state_directory(const Config& config);

// The control socket: supervisor.control_socket, or <resolved_state_directory>/control.sock.
std::filesystem::path resolved_control_socket(const Config& config);

}  // namespace ts::config
