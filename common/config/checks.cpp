#include "common/config/checks.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "common/config/units.h"

namespace ts::config {
namespace {

constexpr std::string_view kCheckpointWord = "{checkpoint}";

struct Relation {
  std::vector<std::string_view> keys;
  bool (*holds)(const Config&);
  std::string (*sentence)(const Config&);
};

bool names_checkpoint(const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(),
                     [](const std::string& word) { return word.find(kCheckpointWord) != std::string::npos; });
}

std::string n(std::int64_t value) {
  return std::to_string(value);
}

const std::vector<Relation>& relations() {
  static const std::vector<Relation> kRelations = {
      {{"data.validation_fraction", "data.test_fraction"},
       [](const Config& c) { return c.data.validation_fraction + c.data.test_fraction < 0.9; },
       [](const Config&) -> std::string {
         return "data.validation_fraction and data.test_fraction together must be below 0.9, or too little is left to "
                "train on";
       }},
      {{"worker.resume_args"},
       [](const Config& c) { return names_checkpoint(c.worker.resume_args); },
       [](const Config&) -> std::string {
         return "worker.resume_args must contain {checkpoint}, or the worker would never learn what to resume from and "
                "every restart would begin at the first episode";
       }},
      {{"worker.fresh_args"},
       [](const Config& c) { return !names_checkpoint(c.worker.fresh_args); },
       [](const Config&) -> std::string {
         return "worker.fresh_args must not contain {checkpoint}, because a fresh start has none; it belongs in "
                "worker.resume_args";
       }},
      {{"worker.command"},
       [](const Config& c) { return !names_checkpoint(c.worker.command); },
       [](const Config&) -> std::string {
         return "worker.command must not contain {checkpoint}, because a fresh start has none; it belongs in "
                "worker.resume_args";
       }},
      {{"supervisor.heartbeat_interval", "supervisor.heartbeat_timeout"},
       [](const Config& c) {
         return c.supervisor.heartbeat_timeout.count() == 0 ||
                2 * c.supervisor.heartbeat_interval < c.supervisor.heartbeat_timeout;
       },
       [](const Config& c) {
         return "supervisor.heartbeat_interval (" + duration_text(c.supervisor.heartbeat_interval) +
                ") must be less than half of supervisor.heartbeat_timeout (" +
                duration_text(c.supervisor.heartbeat_timeout) +
                "), or one late beat would look like a hang; 0s as the timeout switches it off";
       }},
      {{"restart.backoff_initial", "restart.backoff_max"},
       [](const Config& c) { return c.restart.backoff_initial <= c.restart.backoff_max; },
       [](const Config& c) {
         return "restart.backoff_initial (" + duration_text(c.restart.backoff_initial) +
                ") must not be more than restart.backoff_max (" + duration_text(c.restart.backoff_max) + ")";
       }},
      {{"dqn.batch_size", "dqn.learn_start"},
       [](const Config& c) { return c.dqn.batch_size <= c.dqn.learn_start; },
       [](const Config& c) {
         return "dqn.batch_size (" + n(c.dqn.batch_size) + ") must not be more than dqn.learn_start (" +
                n(c.dqn.learn_start) + "), or the first batch could not be filled";
       }},
      {{"dqn.learn_start", "dqn.replay_capacity"},
       [](const Config& c) { return c.dqn.learn_start <= c.dqn.replay_capacity; },
       [](const Config& c) {
         return "dqn.learn_start (" + n(c.dqn.learn_start) + ") must not be more than dqn.replay_capacity (" +
                n(c.dqn.replay_capacity) + "), or learning would never start";
       }},
      {{"dqn.epsilon_end", "dqn.epsilon_start"},
       [](const Config& c) { return c.dqn.epsilon_end <= c.dqn.epsilon_start; },
       [](const Config&) -> std::string {
         return "dqn.epsilon_end must not be more than dqn.epsilon_start: exploration falls, it does not grow";
       }},
  };
  return kRelations;
}

}  // namespace

void check_relations(const Config& config, const Given& given, Problems& problems) {
  for (const Relation& relation : relations()) {
    const bool judged = std::none_of(relation.keys.begin(), relation.keys.end(), [&](std::string_view key) {
      return given.broken.contains(key) || given.broken.contains(key.substr(0, key.find('.')));
    });
    if (!judged || relation.holds(config)) continue;
    Place place;
    for (const std::string_view key : relation.keys) {
      const auto found = given.places.find(key);
      if (found == given.places.end()) continue;
      place = found->second;
      break;
    }
    problems.add(place, relation.sentence(config));
  }
}

}  // namespace ts::config
