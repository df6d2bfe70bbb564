// What is refused, where the sentence points, and what it says.
#include <algorithm>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "tests/unit/config/support.h"

namespace ts::config {
namespace {

// `message` must be the beginning of the whole message, so that one problem is told and no second one in front of it.
struct Case {
  std::string_view yaml;
  std::string_view message;
};

void expect_all(std::initializer_list<Case> cases) {
  for (const auto& [yaml, message] : cases) {
    const std::string got = message_of(yaml);
    EXPECT_EQ(got.substr(0, message.size()), message) << "for:\n" << yaml;
    EXPECT_EQ(std::count(got.begin(), got.end(), '\n'), 0) << "more than one problem: " << got;
  }
}

TEST(UnknownNames, ArePointedAtWithTheNearestOrAllKnownOnes) {
  expect_all({
      {"checkpoints:\n  save_freqency: 5\n",
       "f:2:3: unknown key \"save_freqency\" in checkpoints; did you mean \"save_frequency\"?"},
      {"traning:\n  episodes: 5\n", "f:1:1: unknown section \"traning\"; did you mean \"training\"?"},
      {"data: {colour: red}",
       "f:1:8: unknown key \"colour\" in data; the keys of data are path, validation_fraction, "},
      {"zzzzzzzzz: 1", "f:1:1: unknown section \"zzzzzzzzz\"; the sections are training, data, checkpoints, "},
      {"# c\nepisodes: 5", "f:2:1: unknown section \"episodes\"; it is a key of training and belongs there"},
      {"training:\n  max_keep: 5", "f:2:3: unknown key \"max_keep\" in training; it belongs in checkpoints"},
      {"training: {directory: x}",
       "f:1:12: unknown key \"directory\" in training; it belongs in checkpoints or logging"},
      {"training: {<<: 1}", "f:1:12: unknown key \"<<\" in training; the keys of"},
      {"training: {\"a\\e[2Jb\": 1}", "f:1:12: unknown key \"a\\x1b[2Jb\" in training"},
  });
}

TEST(ValuesOfAWrongType, ArePointedAtAndShown) {
  expect_all({
      {"training:\n  episodes: many\n",
       "f:2:13: training.episodes must be a whole number from 1 to 1000000000, not \"many\""},
      {"training: {episodes: \"300\"}",
       "f:1:22: training.episodes must be a whole number from 1 to 1000000000, not \"300\" in quotes"},
      {"training: {episodes: [1]}",
       "f:1:22: training.episodes must be a whole number from 1 to 1000000000, not a list"},
      {"training:\n  episodes:\n    a: 1\n", "f:3:5: training.episodes must be a whole number"},
      {"training:\n  episodes:\n  seed: 1", "f:2:3: training.episodes has no value; give it one, or remove the line"},
      {"training: {seed: ~}", "f:1:12: training.seed has no value"},
      {"checkpoints: {save_best: yes}", "f:1:26: checkpoints.save_best must be true or false, not \"yes\""},
      {"checkpoints: {save_best: True}", "f:1:26: checkpoints.save_best must be true or false, not \"True\""},
      {"checkpoints: {save_best: 1}", "f:1:26: checkpoints.save_best must be true or false, not \"1\""},
      {"checkpoints: {save_best: \"true\"}",
       "f:1:26: checkpoints.save_best must be true or false, not \"true\" in quotes"},
      {"worker: {command: trainer}",
       "f:1:19: worker.command must be a program and its arguments as a list of texts, not \"trainer\""},
      {"worker: {command: [\"\", x]}", "f:1:20: worker.command must begin with a program"},
      {"worker: {command: [a, [b]]}", "f:1:23: worker.command item 2 must be a text without NUL, not a list"},
      {"worker: {command: [\"a\\0b\"]}", "f:1:20: worker.command item 1 must be a text without NUL, not \"a\\x00b\""},
      {"worker: {environment: [A]}", "f:1:23: worker.environment must be a map of variable names to texts, not a list"},
      {"worker: {environment: {A: {B: c}}}", "f:1:27: worker.environment must give \"A\" a text without NUL"},
      {"worker: {environment: {A: }}", "f:1:24: worker.environment must give \"A\" a text without NUL"},
      {"worker: {environment: {A=B: c}}", "f:1:24: worker.environment needs names that are not empty"},
      {"worker: {environment: {\"\": c}}", "f:1:24: worker.environment needs names that are not empty"},
      {"worker: {environment: {A: b, A: c}}", "f:1:30: worker.environment has \"A\" twice"},
      {"worker: {environment: {NOTIFY_SOCKET: c}}", "f:1:24: worker.environment cannot set \"NOTIFY_SOCKET\""},
      {"dqn:\n  hidden:\n    - 64\n    - 0\n",
       "f:4:7: dqn.hidden item 2 must be a whole number from 1 to 4096, not \"0\""},
      {"dqn: {hidden: []}", "f:1:15: dqn.hidden must be a list of 1 to 16 values"},
      {"dqn: {hidden: 64}", "f:1:15: dqn.hidden must be a list of 1 to 16 values"},
      {"data: {path: \"\"}", "f:1:14: data.path must be a path"},
      {"data: {path: \"a\\nb\"}", "f:1:14: data.path must be a path"},
      {"training: 5", "f:1:11: section \"training\" must be a map of keys, like \"training: {episodes: ...}\""},
      {"training:\n- episodes\n", "f:2:1: section \"training\" must be a map"},
      {"training", "f:1:1: a configuration is made of sections"},
      {"- training", "f:1:1: a configuration is made of sections"},
  });
}

TEST(NumbersOutsideTheirRange, AreRefused) {
  for (const std::string_view pair : {"training: {episodes: 0}",
                                      "training: {episodes: -1}",
                                      "training: {episodes: +1}",
                                      "training: {episodes: 010}",
                                      "training: {episodes: 0x10}",
                                      "training: {episodes: 1e3}",
                                      "training: {episodes: 1_000}",
                                      "training: {episodes: 1.0}",
                                      "training: {episodes: 99999999999999999999}",
                                      "training: {seed: 18446744073709551616}",
                                      "training: {seed: -1}",
                                      "training: {threads: 0}",
                                      "training: {threads: 1025}",
                                      "checkpoints: {max_keep: 0}",
                                      "checkpoints: {save_frequency: 0}",
                                      "checkpoints: {keep_every: -1}",
                                      "restart: {poison_after: 0}",
                                      "data: {test_fraction: 0}",
                                      "data: {test_fraction: 1}",
                                      "data: {test_fraction: nan}",
                                      "data: {test_fraction: .nan}",
                                      "dqn: {gamma: inf}",
                                      "dqn: {gamma: .inf}",
                                      "dqn: {gamma: -.inf}",
                                      "dqn: {gamma: 1e999}",
                                      "dqn: {gamma: 1.1}",
                                      "dqn: {gamma: 0,5}",
                                      "dqn: {gamma: 0x1p-1}",
                                      "dqn: {gamma: \"0.5\"}",
                                      "dqn: {learning_rate: 0}",
                                      "dqn: {grad_clip: 0}",
                                      "dqn: {hidden: [4097]}",
                                      "restart: {jitter: 1.01}",
                                      "restart: {jitter: -0.1}",
                                      "restart: {backoff_factor: 0.99}",
                                      "trading: {cost: 1}"}) {
    EXPECT_NE(message_of(pair), "") << pair;
  }
}

TEST(Words, OutsideTheirListAreRefused) {
  expect_all({
      {"training: {device: gpu}", "f:1:20: training.device must be auto, cpu, cuda or cuda:N, not \"gpu\""},
      {"training: {device: cuda:}", "f:1:24: this is not valid YAML"},
      {"training: {device: \"cuda:\"}", "f:1:20: training.device must be"},
      {"training: {device: cuda:x}", "f:1:20: training.device must be"},
      {"training: {device: cuda:01}", "f:1:20: training.device must be"},
      {"logging: {level: warning}", "f:1:18: logging.level must be trace, debug, info, warn or error, not \"warning\""},
      {"checkpoints: {best_mode: most}", "f:1:26: checkpoints.best_mode must be max or min, not \"most\""},
      {"checkpoints: {best_metric: \"\"}", "f:1:28: checkpoints.best_metric must be a name"},
      {"checkpoints: {best_metric: 1x}", "f:1:28: checkpoints.best_metric must be a name"},
      {"checkpoints: {best_metric: a-b}", "f:1:28: checkpoints.best_metric must be a name"},
      {"http: {listen: 0.0.0.0:80}", "f:1:16: http.listen must be \"\" (none) or a loopback address"},
      {"http: {listen: 127.0.0.1}", "f:1:16: http.listen must be"},
      {"http: {listen: 127.0.0.1:0}", "f:1:16: http.listen must be"},
      {"http: {listen: 127.0.0.1:65536}", "f:1:16: http.listen must be"},
      {"http: {listen: 127.0.0.1.1:80}", "f:1:16: http.listen must be"},
      {"http: {listen: 127.0.0:80}", "f:1:16: http.listen must be"},
      {"http: {listen: 127.evil.com:80}", "f:1:16: http.listen must be"},
  });
}

TEST(DurationsAndSizes, WithoutTheirUnitAreRefusedWithAnExample) {
  expect_all({
      {"supervisor: {stop_timeout: 10}",
       "f:1:28: supervisor.stop_timeout must be a duration from 10ms to 365d with its unit (like 350ms, 30s, 10m, 2h "
       "or "
       "7d), not \"10\""},
      {"supervisor: {stop_timeout: 10 parsecs}", "f:1:28: supervisor.stop_timeout must be a duration"},
      {"supervisor: {stop_timeout: 366d}", "f:1:28: supervisor.stop_timeout must be a duration"},
      {"supervisor: {stop_timeout: 0s}", "f:1:28: supervisor.stop_timeout must be a duration"},
      {"supervisor: {heartbeat_timeout: off}", "f:1:33: supervisor.heartbeat_timeout must be 0s (off) or a duration"},
      {"supervisor: {progress_timeout: 5}",
       "f:1:32: supervisor.progress_timeout must be auto or 0s (off) or a duration"},
      {"snapshots: {max_bytes: 2 parsecs}", "f:1:24: snapshots.max_bytes must be a size from 4KiB to 1024TiB"},
      {"snapshots: {max_bytes: 2G}", "f:1:24: snapshots.max_bytes must be a size"},
      {"snapshots: {max_bytes: 8388608TiB}", "f:1:24: snapshots.max_bytes must be a size"},
  });
}

TEST(NamesGivenTwice, AreRefusedAtTheSecond) {
  expect_all({
      {"training:\n  seed: 1\n  seed: 2\n", "f:3:3: training.seed is given twice, first on line 2; keep one"},
      {"data: {}\ntraining: {}\ndata: {}\n", "f:3:1: section \"data\" is given twice, first on line 1; keep one"},
  });
}

TEST(PartsOfYamlThatAConfigurationDoesNotNeed, AreRefused) {
  expect_all({
      {"training: &a\n  seed: 1\n", "f:1:11: anchors (&name) are not supported"},
      {"training: {seed: *a}", "f:1:18: this is not valid YAML: the referenced anchor is not defined; aliases"},
      {"training: {seed: !!int 1}", "f:1:18: tags (!name) are not supported"},
      {"training: {seed: ! 1}", "f:1:18: tags (!name) are not supported"},
      {"training: !x {seed: 1}", "f:1:11: tags (!name) are not supported"},
      {"!x", "f:1:1: tags (!name) are not supported"},
      {"# c\n%YAML 1.2\n---\ntraining: {}\n", "f:2:1: directives (%name) are not supported"},
      {"%FOO", "f:1:1: directives (%name) are not supported"},
      {"training: {}\n---\ndata: {}\n", "f:2:1: there is something behind the end of the configuration"},
      {"{training: {}}, {}", "f:1:15: there is something behind the end of the configuration"},
      {"? [a]\n: 1\n", "f:1:3: a key is missing here, or it is not a plain name"},
      {"training: {? : 1}", "f:1:14: a key is missing here"},
      {"data: {path: [[[[[[[[[[1]]]]]]]]]]}", "f:1:20: this is nested too deeply"},
  });
  EXPECT_TRUE(contains(message_of("training: {seed: &a 1, threads: *a}"), "f:1:33: aliases (*name) are not supported"));
}

TEST(BrokenYaml, IsRefusedWithItsPlaceAndAHint) {
  expect_all({
      {"training: {seed: 1\ndata: {}\n", "f:2:5: this is not valid YAML"},
      {"training:\n  seed: 1\n   threads: 1\n",
       "f:3:11: this is not valid YAML: illegal map value; look at the indentation"},
      {"training:\n\tseed: 1\n", "f:2:6: this is not valid YAML: illegal map value; indent with spaces, not with tabs"},
      {"dqn:\n  hidden: [1, 2\n", "f:3:1: this is not valid YAML: end of sequence flow not found; a \"]\" or a comma"},
      {"data: {path: @x}", "f:1:14: this is not valid YAML: unknown token; put the value in quotes"},
      {"data: {path: \"\\q\"}", "f:1:17: this is not valid YAML: unknown escape character: q"},
      {"data:\n  path: \"models\n  test_fraction: 0.1\n", "f:2:9: this quote is never closed"},
      {"data: {path: 'it''s",
       "f:1:20: this is not valid YAML: illegal EOF in scalar; a quote before this is never closed"},
      {"data:\n  path: 'it''s\n", "f:2:9: this quote is never closed"},
  });
}

TEST(BytesThatAreNotText, AreRefusedWithTheirPlace) {
  using namespace std::string_view_literals;
  expect_all({
      {"training:\n  seed: \0 1\n"sv, "f:2:9: the byte \\x00 is not text"},
      {"training: {seed: 1}\n\x04 rest"sv, "f:2:1: the byte \\x04 is not text"},
      {"data: {path: \xC3\xA9\xFF}"sv, "f:1:16: the byte \\xff is not text"},
      {"data: {path: \xC0\xAF}"sv, "f:1:14: the byte \\xc0 is not text"},
      {"data: {}\r# hidden"sv, "f:1:9: the byte \\x0d is not text"},
      {"\xFF\xFEt\0"sv, "f:1:1: the byte \\xff is not text"},
      {"t\0r\0"sv, "f:1:2: the byte \\x00 is not text"},
  });
}

TEST(ManyProblems, AreAllToldInTheOrderOfTheFile) {
  EXPECT_EQ(
      message_of("data: {colour: red, path: ''}\n"
                 "nonsense_section: 1\n"
                 "training:\n  sed: 1\n  threads: none\n"
                 "dqn: {epsilon_end: 0.5, epsilon_start: 0.1}\n"),
      "f:1:8: unknown key \"colour\" in data; the keys of data are path, validation_fraction, test_fraction\n"
      "f:1:27: data.path must be a path, not empty and without control characters, not \"\" in quotes\n"
      "f:2:1: unknown section \"nonsense_section\"; the sections are training, data, checkpoints, snapshots, worker, "
      "supervisor, restart, http, logging, hooks, trading, dqn\n"
      "f:4:3: unknown key \"sed\" in training; did you mean \"seed\"?\n"
      "f:5:12: training.threads must be a whole number from 1 to 1024, not \"none\"\n"
      "f:6:7: dqn.epsilon_end must not be more than dqn.epsilon_start: exploration falls, it does not grow");
}

TEST(ManyProblems, AreCountedBeyondTheTwentieth) {
  std::string yaml = "training:\n";
  for (int i = 0; i < 25; ++i) yaml += "  key_" + std::to_string(i) + ": 1\n";
  const std::string message = message_of(yaml);
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 20);
  EXPECT_TRUE(contains(message, "\nf: and 5 more problems"));
}

TEST(Messages, ShowLongAndHostileTextsShortAndHarmless) {
  const std::string message = message_of("training: {seed: \"" + std::string(5000, 'x') + "\"}");
  EXPECT_LT(message.size(), 300U);
  EXPECT_LT(message_of("training: {" + std::string(5000, 'x') + ": 1}").size(), 300U);
  const auto config = parse_config("x: 1", "evil\x1b[2J\n.yaml");
  EXPECT_EQ(config.error().message.find('\x1b'), std::string::npos);
  EXPECT_EQ(config.error().message.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace ts::config
