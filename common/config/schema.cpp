#include "common/config/schema.h"

#include <chrono>
#include <cstdint>
#include <limits>
#include <utility>

namespace ts::config {
namespace {

using namespace std::chrono_literals;

// Ends of ranges that are there to keep arithmetic safe, not because a bigger value would mean something.
constexpr std::int64_t kMany = 1'000'000'000;
constexpr std::chrono::milliseconds kYear = 365 * 24h;
constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kTiB = kKiB * kKiB * kKiB * kKiB;
// Shorter than this a timer only measures the scheduler.
constexpr std::chrono::milliseconds kTick = 10ms;

// Adds the keys of one section, each tied to the field it fills.
template <class Section>
class SectionKeys {
 public:
  SectionKeys(std::vector<Key>& keys, std::string_view name, Section Config::*section,
              Applies applies = Applies::next_launch)
      : keys_(keys), name_(name), section_(section), applies_(applies) {}

  template <class T>
  SectionKeys& key(std::string_view name, T Section::*field, Reader<T> reader) {
    return key(name, field, std::move(reader), applies_);
  }

  template <class T>
  SectionKeys& key(std::string_view name, T Section::*field, Reader<T> reader, Applies applies) {
    auto set = [section = section_, field, read = std::move(reader.read)](const Node& node, Config& config) {
      Reading<T> reading = read(node);
      if (auto* refusal = std::get_if<Refusal>(&reading)) return std::optional<Refusal>(std::move(*refusal));
      config.*section.*field = std::get<T>(std::move(reading));
      return std::optional<Refusal>();
    };
    auto show = [section = section_, field, write = std::move(reader.write)](const Config& config) {
      return write(config.*section.*field);
    };
    auto copy = [section = section_, field](const Config& from, Config& to) {
      to.*section.*field = from.*section.*field;
    };
    keys_.push_back(
        {name_, name, std::move(reader.expects), applies, std::move(set), std::move(show), std::move(copy)});
    return *this;
  }

 private:
  std::vector<Key>& keys_;
  std::string_view name_;
  Section Config::*section_;
  Applies applies_;
};

Reader<std::int64_t> count(std::int64_t low, std::int64_t high = kMany) {
  return whole<std::int64_t>(low, high);
}

Reader<std::string> word_of(const std::vector<std::string>& words) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& word : words) pairs.emplace_back(word, word);
  return one_of(std::move(pairs));
}

void add_run(std::vector<Key>& keys) {
  SectionKeys(keys, "training", &Config::training)
      .key("episodes", &Training::episodes, count(1))
      .key("seed", &Training::seed, whole<std::uint64_t>(0, std::numeric_limits<std::uint64_t>::max()))
      .key("device", &Training::device, device())
      .key("threads", &Training::threads, whole<int>(1, 1024));
  SectionKeys(keys, "data", &Config::data)
      .key("path", &Data::path, path())
      .key("validation_fraction", &Data::validation_fraction,
           number({.low = 0, .high = 1, .above = true, .below = true}))
      .key("test_fraction", &Data::test_fraction, number({.low = 0, .high = 1, .above = true, .below = true}));
}

void add_state(std::vector<Key>& keys) {
  SectionKeys(keys, "checkpoints", &Config::checkpoints)
      .key("directory", &Checkpoints::directory, path(), Applies::supervisor_restart)
      .key("save_frequency", &Checkpoints::save_frequency, count(1))
      .key("max_keep", &Checkpoints::max_keep, count(1))
      .key("save_best", &Checkpoints::save_best, boolean())
      .key("best_metric", &Checkpoints::best_metric, identifier())
      .key("best_mode", &Checkpoints::best_mode, one_of<BestMode>({{"max", BestMode::max}, {"min", BestMode::min}}))
      .key("save_interval", &Checkpoints::save_interval, duration_or_0s("never by time", kTick, kYear))
      .key("keep_every", &Checkpoints::keep_every, count(0));
  SectionKeys(keys, "snapshots", &Config::snapshots)
      .key("enabled", &Snapshots::enabled, boolean())
      .key("every", &Snapshots::every, count(1))
      .key("max_bytes", &Snapshots::max_bytes, size(4 * kKiB, 1024 * kTiB));
}

void add_supervision(std::vector<Key>& keys) {
  SectionKeys(keys, "worker", &Config::worker)
      .key("command", &Worker::command, command_words())
      .key("resume_args", &Worker::resume_args, list_of(text(), 0, 1000))
      .key("fresh_args", &Worker::fresh_args, list_of(text(), 0, 1000))
      .key("environment", &Worker::environment, environment());
  SectionKeys(keys, "supervisor", &Config::supervisor)
      .key("startup_timeout", &Supervisor::startup_timeout, duration(kTick, kYear), Applies::at_once)
      .key("heartbeat_interval", &Supervisor::heartbeat_interval, duration(kTick, kYear))
      .key("heartbeat_timeout", &Supervisor::heartbeat_timeout, duration_or_0s("off", kTick, kYear))
      .key("progress_timeout", &Supervisor::progress_timeout, automatic(duration_or_0s("off", kTick, kYear)),
           Applies::at_once)
      .key("stop_timeout", &Supervisor::stop_timeout, duration(kTick, kYear), Applies::at_once)
      .key("control_socket", &Supervisor::control_socket, automatic(path()), Applies::supervisor_restart)
      .key("state_directory", &Supervisor::state_directory, automatic(path()), Applies::supervisor_restart);
  SectionKeys(keys, "restart", &Config::restart, Applies::at_once)
      .key("backoff_initial", &Restart::backoff_initial, duration(0ms, kYear))
      .key("backoff_max", &Restart::backoff_max, duration(0ms, kYear))
      .key("backoff_factor", &Restart::backoff_factor, number({.low = 1, .high = 100}))
      .key("jitter", &Restart::jitter, number({.low = 0, .high = 1}))
      .key("poison_after", &Restart::poison_after, count(1))
      .key("max_attempts_without_progress", &Restart::max_attempts_without_progress, count(1))
      .key("cooldown", &Restart::cooldown, duration(kTick, kYear))
      .key("allow_fresh", &Restart::allow_fresh, boolean());
}

void add_surroundings(std::vector<Key>& keys) {
  SectionKeys(keys, "http", &Config::http, Applies::supervisor_restart)
      .key("listen", &Http::listen, loopback_listener());
  SectionKeys(keys, "logging", &Config::logging, Applies::supervisor_restart)
      .key("level", &Logging::level, word_of({"trace", "debug", "info", "warn", "error"}), Applies::at_once)
      .key("directory", &Logging::directory, path())
      .key("max_size", &Logging::max_size, size(4 * kKiB, 1024 * kTiB))
      .key("max_files", &Logging::max_files, count(1, 1000));
  SectionKeys(keys, "hooks", &Config::hooks, Applies::at_once).key("on_event", &Hooks::on_event, command_words());
}

void add_learning(std::vector<Key>& keys) {
  const Range share{.low = 0, .high = 1};
  SectionKeys(keys, "trading", &Config::trading)
      .key("window", &Trading::window, count(1, 10'000))
      .key("episode_length", &Trading::episode_length, count(1))
      .key("cost", &Trading::cost, number({.low = 0, .high = 1, .below = true}));
  SectionKeys(keys, "dqn", &Config::dqn)
      .key("hidden", &Dqn::hidden, list_of(count(1, 4096), 1, 16))
      .key("learning_rate", &Dqn::learning_rate, number({.low = 0, .high = 1, .above = true}))
      .key("gamma", &Dqn::gamma, number(share))
      .key("batch_size", &Dqn::batch_size, count(1, 1'000'000))
      .key("replay_capacity", &Dqn::replay_capacity, count(1))
      .key("learn_start", &Dqn::learn_start, count(1))
      .key("learn_every", &Dqn::learn_every, count(1))
      .key("target_update", &Dqn::target_update, count(1))
      .key("epsilon_start", &Dqn::epsilon_start, number(share))
      .key("epsilon_end", &Dqn::epsilon_end, number(share))
      .key("epsilon_decay_steps", &Dqn::epsilon_decay_steps, count(1))
      .key("grad_clip", &Dqn::grad_clip, number({.low = 0, .high = 1e6, .above = true}));
}

}  // namespace

const std::vector<Key>& schema() {
  static const std::vector<Key> kSchema = [] {
    std::vector<Key> keys;
    add_run(keys);
    add_state(keys);
    add_supervision(keys);
    add_surroundings(keys);
    add_learning(keys);
    return keys;
  }();
  return kSchema;
}

const std::vector<std::string_view>& section_names() {
  static const std::vector<std::string_view> kNames = [] {
    std::vector<std::string_view> names;
    for (const Key& key : schema()) {
      if (names.empty() || names.back() != key.section) names.push_back(key.section);
    }
    return names;
  }();
  return kNames;
}

}  // namespace ts::config
