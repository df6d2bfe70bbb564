#include "worker/session/description.h"

#include <chrono>
#include <utility>

#include "common/base/json.h"
#include "common/base/text.h"

namespace ts::session {

checkpoint::Sidecar describe(const SessionFacts& facts, const Snapshot& snapshot, checkpoint::SaveReason reason) {
  checkpoint::Sidecar sidecar;
  sidecar.episode = snapshot.counters.episode;
  sidecar.total_episodes = facts.identity.total_episodes;
  sidecar.run_id = facts.identity.run_id;
  sidecar.attempt = facts.identity.attempt;
  sidecar.created = rfc3339_utc(std::chrono::system_clock::now());
  sidecar.reason = reason;
  for (const auto& [name, value] : snapshot.result.metrics) sidecar.metrics[name] = value;
  sidecar.epsilon = snapshot.result.epsilon;
  if (snapshot.counters.best.episode > 0) {
    sidecar.best["episode"] = snapshot.counters.best.episode;
    sidecar.best["metric"] = facts.best_metric;
    sidecar.best["value"] = snapshot.counters.best.value;
  }
  sidecar.bytes = snapshot.bytes();
  sidecar.digest = snapshot.known_digest();
  sidecar.exactness = facts.exactness;
  sidecar.config = facts.hyperparameters;
  sidecar.stall_ms = snapshot.copy_ms;
  return sidecar;
}

protocol::NotifyMessage announcement(const SessionFacts& facts, const Snapshot& snapshot) {
  const checkpoint::Sidecar sidecar = describe(facts, snapshot, checkpoint::SaveReason::rescue);
  const boost::json::object record = {
      {"episode", sidecar.episode},     {"bytes", sidecar.bytes},     {"digest", sidecar.digest},
      {"run_id", sidecar.run_id},       {"attempt", sidecar.attempt}, {"total_episodes", sidecar.total_episodes},
      {"metrics", sidecar.metrics},     {"epsilon", sidecar.epsilon}, {"best", sidecar.best},
      {"exactness", sidecar.exactness}, {"config", sidecar.config},   {"stall_ms", snapshot.copy_ms},
  };
  protocol::NotifyMessage message;
  message.fd_store = true;
  message.fd_name = "snapshot";
  message.episode = sidecar.episode;
  message.total = sidecar.total_episodes;
  message.metrics = snapshot.result.metrics;
  message.snapshot = {sidecar.episode, sidecar.bytes, sidecar.digest, compact_json(record)};
  return protocol::fitted(std::move(message));
}

}  // namespace ts::session
