// What a configuration file may say, and what comes of it.
#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "common/config/load.h"
#include "tests/unit/config/support.h"

namespace ts::config {
namespace {

using namespace std::chrono_literals;

Config parsed(std::string_view yaml) {
  const auto config = parse_config(yaml, "f");
  EXPECT_TRUE(config) << config.error().message;
  return config ? config->config : Config{};
}

TEST(AConfiguration, ThatSaysNothingIsAllDefaults) {
  for (const std::string_view yaml :
       {"", "\n\n", "# only a comment", "---\n", "---\n# c\n", "{}", "~", "\xEF\xBB\xBF# with a byte order mark\n",
        "training:\n", "training: {}\n", "training:\n  # episodes: 5\ndqn: ~\n", "\r\n# c\r\n"}) {
    EXPECT_EQ(parsed(yaml), Config{}) << yaml;
  }
}

// Every key with a value that is not its default. The test below holds it against a Config filled by hand, so a key
// tied to a wrong field, or to none, is found.
const std::map<std::string, std::string>& other_values() {
  static const std::map<std::string, std::string> kValues = {
      {"training.episodes", "301"},
      {"training.seed", "18446744073709551615"},
      {"training.device", "cuda:1"},
      {"training.threads", "2"},
      {"data.path", "other data/prices.csv"},
      {"data.validation_fraction", "0.2"},
      {"data.test_fraction", "1e-1"},
      {"checkpoints.directory", "/var/lib/models"},
      {"checkpoints.save_frequency", "11"},
      {"checkpoints.max_keep", "6"},
      {"checkpoints.save_best", "false"},
      {"checkpoints.best_metric", "max_drawdown"},
      {"checkpoints.best_mode", "min"},
      {"checkpoints.save_interval", "0s"},
      {"checkpoints.keep_every", "100"},
      {"snapshots.enabled", "false"},
      {"snapshots.every", "3"},
      {"snapshots.max_bytes", "1GB"},
      {"worker.command", "[python3, train.py, \"\"]"},
      {"worker.resume_args", "['--from={checkpoint}']"},
      {"worker.fresh_args", "[--new, 1]"},
      {"worker.environment", "{OMP_NUM_THREADS: 1, EMPTY: \"\"}"},
      {"supervisor.startup_timeout", "1h"},
      {"supervisor.heartbeat_interval", "500ms"},
      {"supervisor.heartbeat_timeout", "0s"},
      {"supervisor.progress_timeout", "7d"},
      {"supervisor.stop_timeout", "\"2m\""},
      {"supervisor.control_socket", "/run/x.sock"},
      {"supervisor.state_directory", "state"},
      {"restart.backoff_initial", "0s"},
      {"restart.backoff_max", "6m"},
      {"restart.backoff_factor", "1.5"},
      {"restart.jitter", "0"},
      {"restart.poison_after", "3"},
      {"restart.max_attempts_without_progress", "12"},
      {"restart.cooldown", "16m"},
      {"restart.allow_fresh", "true"},
      {"http.listen", "\"[::1]:9100\""},
      {"logging.level", "debug"},
      {"logging.directory", "log"},
      {"logging.max_size", "1MiB"},
      {"logging.max_files", "4"},
      {"hooks.on_event", "[./notify, all]"},
      {"trading.window", "30"},
      {"trading.episode_length", "100"},
      {"trading.cost", "0"},
      {"dqn.hidden", "[48, 16]"},
      {"dqn.learning_rate", "1.0e-3"},
      {"dqn.gamma", "0.99"},
      {"dqn.batch_size", "32"},
      {"dqn.replay_capacity", "10000"},
      {"dqn.learn_start", "500"},
      {"dqn.learn_every", "4"},
      {"dqn.target_update", "100"},
      {"dqn.epsilon_start", "0.9"},
      {"dqn.epsilon_end", "0"},
      {"dqn.epsilon_decay_steps", "1"},
      {"dqn.grad_clip", "1"}};
  return kValues;
}

Config other_config() {
  Config c;
  c.training = {301, std::numeric_limits<std::uint64_t>::max(), "cuda:1", 2};
  c.data = {"other data/prices.csv", 0.2, 0.1};
  c.checkpoints = {"/var/lib/models", 11, 6, false, "max_drawdown", BestMode::min, 0s, 100};
  c.snapshots = {false, 3, 1'000'000'000};
  c.worker = {
      {"python3", "train.py", ""}, {"--from={checkpoint}"}, {"--new", "1"}, {{"OMP_NUM_THREADS", "1"}, {"EMPTY", ""}}};
  c.supervisor = {1h, 500ms, 0s, 168h, 2min, "/run/x.sock", "state"};
  c.restart = {0s, 6min, 1.5, 0.0, 3, 12, 16min, true};
  c.http = {"[::1]:9100"};
  c.logging = {"debug", "log", 1024 * 1024, 4};
  c.hooks = {{"./notify", "all"}};
  c.trading = {30, 100, 0.0};
  c.dqn = {{48, 16}, 0.001, 0.99, 32, 10000, 500, 4, 100, 0.9, 0.0, 1, 1.0};
  return c;
}

TEST(EveryKey, ReachesItsOwnField) {
  std::string yaml;
  std::string section;
  for (const KeyDescription& key : known_keys()) {
    const auto value = other_values().find(key.section + "." + key.name);
    ASSERT_NE(value, other_values().end()) << key.section << "." << key.name << " has no other value in this test";
    if (key.section != section) yaml += key.section + ":\n";
    section = key.section;
    yaml += "  " + key.name + ": " + value->second + "\n";
  }
  EXPECT_EQ(other_values().size(), known_keys().size());
  EXPECT_EQ(parsed(yaml), other_config()) << yaml;
}

TEST(EveryKey, MayStandAloneInBlockOrFlowStyle) {
  for (const auto& [name, value] : other_values()) {
    const std::string section = name.substr(0, name.find('.'));
    const std::string key = name.substr(name.find('.') + 1);
    const Config block = parsed(section + ":\n  " + key + ": " + value + "\n");
    EXPECT_NE(block, Config{}) << name;
    EXPECT_EQ(block, parsed("{" + section + ": {" + key + ": " + value + "}}")) << name;
  }
}

TEST(EveryKey, IsDeclaredOnceAndSaysWhatItExpects) {
  std::set<std::string> names;
  for (const KeyDescription& key : known_keys()) {
    EXPECT_TRUE(names.insert(key.section + "." + key.name).second) << key.section << "." << key.name;
    EXPECT_FALSE(key.expects.empty()) << key.section << "." << key.name;
  }
}

TEST(Values, AtTheEndsOfTheirRangesAreAccepted) {
  for (const std::string_view yaml : {"training: {episodes: 1}",
                                      "training: {seed: 0}",
                                      "training: {threads: 1024}",
                                      "training: {device: cuda:0}",
                                      "data: {validation_fraction: 0.74}",
                                      "checkpoints: {max_keep: 1}",
                                      "checkpoints: {best_metric: _x9}",
                                      "dqn: {batch_size: 1000}",
                                      "dqn: {learn_start: 20000}",
                                      "dqn: {epsilon_start: 0.05}",
                                      "dqn: {hidden: [1, 4096]}",
                                      "restart: {backoff_factor: 1}",
                                      "restart: {jitter: 1.0}",
                                      "restart: {backoff_initial: 5m}",
                                      "supervisor: {heartbeat_timeout: 2001ms}",
                                      "supervisor: {progress_timeout: auto}",
                                      "http: {listen: \"\"}",
                                      "http: {listen: 127.0.0.1:1}",
                                      "http: {listen: \"127.255.0.9:65535\"}",
                                      "http: {listen: localhost:80}"}) {
    EXPECT_EQ(message_of(yaml), "") << yaml;
  }
}

TEST(Texts, MayLookLikeAnythingElse) {
  const Config c = parsed("data: {path: 12}\nworker: {command: [yes, 0x10, true], environment: {A: no, B: 010}}\n");
  EXPECT_EQ(c.data.path, "12");
  EXPECT_EQ(c.worker.command, (std::vector<std::string>{"yes", "0x10", "true"}));
  EXPECT_EQ(c.worker.environment, (std::map<std::string, std::string>{{"A", "no"}, {"B", "010"}}));
}

TEST(ResolvedPaths, AreBesideTheCheckpointsUnlessSaid) {
  Config config;
  EXPECT_EQ(resolved_state_directory(config), "models/.supervisor");
  EXPECT_EQ(resolved_control_socket(config), "models/.supervisor/control.sock");
  config.checkpoints.directory = "/srv/m";
  EXPECT_EQ(resolved_control_socket(config), "/srv/m/.supervisor/control.sock");
  config.supervisor.state_directory = "/var/lib/ts";
  EXPECT_EQ(resolved_state_directory(config), "/var/lib/ts");
  EXPECT_EQ(resolved_control_socket(config), "/var/lib/ts/control.sock");
  config.supervisor.control_socket = "/run/ts.sock";
  EXPECT_EQ(resolved_control_socket(config), "/run/ts.sock");
}

}  // namespace
}  // namespace ts::config
