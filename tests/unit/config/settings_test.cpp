// What a configuration is shown as, and what a reload makes of a changed file.
#include "common/config/settings.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/config/load.h"
#include "common/config/schema.h"

namespace ts::config {
namespace {

using namespace std::chrono_literals;

ConfigFile file_with(std::string_view yaml) {
  const auto file = parse_config(yaml, "f");
  EXPECT_TRUE(file) << file.error().message;
  return file ? *file : ConfigFile{};
}

TEST(AWrittenConfiguration, ReadsBackAsTheSameWhateverItsTextsAre) {
  Config config;
  config.worker.command = {"",
                           " ",
                           "a b",
                           "#",
                           "- x",
                           "null",
                           "true",
                           "1",
                           "0x1F",
                           "{config}",
                           "\"quoted\"",
                           "back\\slash",
                           "tab\tnew\nline\r",
                           "\x01\x7F",
                           "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80",
                           "a: b",
                           "[x]",
                           "~"};
  config.worker.command.front() = "program";
  config.worker.environment = {{"A", ""}, {"B", "x # y"}, {"no", "on"}, {"9", "{}"}};
  config.checkpoints.directory = "a directory/mod\xC3\xA8les, 'x'";
  config.supervisor.progress_timeout = 90s;
  config.supervisor.state_directory = "/s";
  config.dqn.learning_rate = 0.1 + 0.2;
  config.dqn.epsilon_end = 1e-300;
  config.training.seed = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(file_with(to_yaml(config)).config, config) << to_yaml(config);
  EXPECT_EQ(file_with(to_yaml({})).config, Config{});
}

TEST(Settings, SayWhereEachValueCameFrom) {
  const auto settings =
      settings_of(file_with("training:\n  episodes: 500\nrestart: {cooldown: 900s, jitter: 0.250}\n"));
  ASSERT_EQ(settings.size(), known_keys().size());
  const auto find = [&](std::string_view key) {
    return *std::find_if(settings.begin(), settings.end(), [&](const Setting& setting) { return setting.key == key; });
  };
  EXPECT_EQ(find("training.episodes"), (Setting{"training.episodes", "500", Place{2, 3}, Applies::next_launch}));
  EXPECT_EQ(find("training.seed"), (Setting{"training.seed", "42", std::nullopt, Applies::next_launch}));
  EXPECT_EQ(find("restart.cooldown"),
            (Setting{"restart.cooldown", "15m", Place{3, 11}, Applies::at_once}));  // as it would be said best
  EXPECT_EQ(find("supervisor.control_socket").value, "auto");
  EXPECT_EQ(find("worker.resume_args").value, "[\"--resume\", \"{checkpoint}\"]");
  EXPECT_EQ(find("dqn.learning_rate").value, "0.0001");
  EXPECT_EQ(find("http.listen").value, "\"\"");
}

TEST(Changes, AreNamedWithBothValuesAndWhenTheyCount) {
  Config to;
  to.training.episodes = 500;
  to.restart.cooldown = 5min;
  to.http.listen = "127.0.0.1:9100";
  EXPECT_EQ(changes_between({}, to), (std::vector<Change>{
                                         {"training.episodes", "300", "500", Applies::next_launch},
                                         {"restart.cooldown", "15m", "5m", Applies::at_once},
                                         {"http.listen", "\"\"", "\"127.0.0.1:9100\"", Applies::supervisor_restart},
                                     }));
  EXPECT_EQ(changes_between(to, to), std::vector<Change>{});
}

// P4: what decides which files this supervisor is responsible for stays as long as it does.
TEST(AReload, TakesEverythingButWhatOnlyARestartOfTheSupervisorChanges) {
  Config running;
  running.checkpoints.directory = "here";
  running.supervisor.control_socket = "/run/a.sock";
  Config file;
  file.training.episodes = 7;
  file.restart.allow_fresh = true;
  file.checkpoints.directory = "there";
  file.checkpoints.max_keep = 9;
  file.supervisor.control_socket = "/run/b.sock";
  file.supervisor.state_directory = "/elsewhere";
  file.logging.directory = "elsewhere";
  file.http.listen = "localhost:1";
  Config expected = file;
  expected.checkpoints.directory = "here";
  expected.supervisor.control_socket = "/run/a.sock";
  expected.supervisor.state_directory.reset();
  expected.logging.directory = "logs";
  expected.http.listen = "";
  EXPECT_EQ(reloaded(running, file), expected);
  EXPECT_EQ(reloaded(running, running), running);
}

}  // namespace
}  // namespace ts::config
