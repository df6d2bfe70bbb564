// What is said about a snapshot: in the sidecar when it is saved, in the announcement when the supervisor is told of
// it. Pure, but for the time of day.
#pragma once

#include <cstdint>
#include <string>

#include <boost/json/object.hpp>

#include "common/checkpoint/sidecar.h"
#include "common/protocol/notify_message.h"
#include "worker/session/snapshot.h"

namespace ts::session {

struct RunIdentity {
  std::string run_id;
  std::int64_t attempt = 0;
  std::int64_t total_episodes = 0;
};

// What every sidecar of this session says.
struct SessionFacts {
  RunIdentity identity;
  boost::json::object exactness;
  boost::json::object hyperparameters;
  std::string best_metric;
};

checkpoint::Sidecar describe(const SessionFacts& facts, const Snapshot& snapshot, checkpoint::SaveReason reason);

// The announcement: the episode together with the state after it, so that nothing is acknowledged that could be lost.
// Fits into one datagram. REQUIRES: snapshot.digest() was called.
protocol::NotifyMessage announcement(const SessionFacts& facts, const Snapshot& snapshot);

}  // namespace ts::session
