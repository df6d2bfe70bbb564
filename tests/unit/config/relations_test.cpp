// What must hold between values.
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "tests/unit/config/support.h"

namespace ts::config {
namespace {

TEST(ValuesThatContradictEachOther, AreRefusedAtTheFirstKeyThatTheFileGives) {
  const struct {
    std::string_view yaml;
    std::string_view message;
  } cases[] = {
      {"data:\n  path: x\n  test_fraction: 0.8\n",
       "f:3:3: data.validation_fraction and data.test_fraction together must be below 0.9"},
      {"data: {validation_fraction: 0.45, test_fraction: 0.45}", "f:1:8: data.validation_fraction and"},
      {"dqn: {epsilon_end: 0.5, epsilon_start: 0.4}", "f:1:7: dqn.epsilon_end must not be more than dqn.epsilon_start"},
      {"dqn: {epsilon_start: 0.01}", "f:1:7: dqn.epsilon_end must not be more than dqn.epsilon_start"},
      {"dqn: {batch_size: 1001}", "f:1:7: dqn.batch_size (1001) must not be more than dqn.learn_start (1000)"},
      {"dqn: {learn_start: 20001}", "f:1:7: dqn.learn_start (20001) must not be more than dqn.replay_capacity (20000)"},
      {"supervisor: {heartbeat_interval: 15s}",
       "f:1:14: supervisor.heartbeat_interval (15s) must be less than half of supervisor.heartbeat_timeout (30s)"},
      {"supervisor: {heartbeat_timeout: 2s}", "f:1:14: supervisor.heartbeat_interval (1s) must be less than half"},
      {"restart: {backoff_initial: 6m}",
       "f:1:11: restart.backoff_initial (6m) must not be more than restart.backoff_max"},
      {"worker: {command: [x], resume_args: []}", "f:1:24: worker.resume_args must contain {checkpoint}, or"},
      {"worker: {resume_args: [--resume, latest]}", "f:1:10: worker.resume_args must contain {checkpoint}, or"},
      {"worker: {fresh_args: [\"{checkpoint}\"]}", "f:1:10: worker.fresh_args must not contain {checkpoint}"},
      {"worker: {command: [x, \"{checkpoint}\"]}", "f:1:10: worker.command must not contain {checkpoint}"},
  };
  for (const auto& [yaml, message] : cases) {
    const std::string got = message_of(yaml);
    EXPECT_EQ(got.substr(0, message.size()), message) << yaml;
    EXPECT_EQ(got.find('\n'), std::string::npos) << got;
  }
}

TEST(ValuesThatAgree, AreAccepted) {
  for (const std::string_view yaml :
       {"data: {validation_fraction: 0.4, test_fraction: 0.4}",
        "dqn: {batch_size: 8, learn_start: 8, replay_capacity: 8}", "dqn: {epsilon_start: 0.2, epsilon_end: 0.2}",
        "supervisor: {heartbeat_interval: 1h, heartbeat_timeout: 0s}",
        "supervisor: {heartbeat_interval: 10ms, heartbeat_timeout: 21ms}",
        "restart: {backoff_initial: 0s, backoff_max: 0s}",
        "worker: {command: [x], resume_args: [\"--from={checkpoint}\"]}"}) {
    EXPECT_EQ(message_of(yaml), "") << yaml;
  }
}

TEST(AKeyWithAProblemOfItsOwn, IsNotBlamedForItsRelationsToo) {
  for (const std::string_view yaml :
       {"dqn: {learn_start: many, batch_size: 5000}", "dqn: {learn_start: *a, batch_size: 5000}",
        "dqn: {learn_start: , batch_size: 5000}", "worker: {resume_args: []\n , resume_args: [x]}"}) {
    EXPECT_EQ(message_of(yaml).find("must not be more"), std::string::npos) << message_of(yaml);
  }
}

}  // namespace
}  // namespace ts::config
