// What a person or a program is told about the run, as one plain value: the control API prints it as JSON, the
// foreground as a progress line. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include <boost/json/object.hpp>

#include "supervisor/core/accounting.h"
#include "supervisor/core/supervision.h"

namespace ts::api {

// `status --json` begins with this number; it changes when a member changes its meaning or goes away.
inline constexpr std::int64_t kStatusFormat = 1;

struct CheckpointStatus {
  std::int64_t episode = 0;
  std::string path;
  double age_s = 0.0;
  std::optional<double> stall_ms;    // how long training waited for it
  std::optional<double> durable_ms;  // from the request until it was durable; both where the worker says so
};

struct BestStatus {
  std::int64_t episode = 0;
  std::string metric;
  double value = 0.0;
  std::string path;
};

struct Status {
  std::int64_t supervisor_pid = 0;
  std::string run_id;
  core::State state;
  double state_for_s = 0.0;
  std::optional<double> deadline_in_s;  // until silence in this state has a consequence; nothing: none
  double worker_uptime_s = 0.0;
  std::string resumed_why;  // what the worker was launched for
  // How long it has been silent, or without progress, and how long it may be; nothing: there is no such limit now.
  std::optional<double> heartbeat_age_s;
  std::optional<double> heartbeat_limit_s;
  std::optional<double> progress_age_s;
  std::optional<double> progress_limit_s;
  std::int64_t total_episodes = 0;
  std::optional<double> episodes_per_s;
  std::optional<double> eta_s;
  std::optional<CheckpointStatus> checkpoint;  // the newest durable one
  std::optional<BestStatus> best;
  std::optional<bool> exact;  // nothing: nothing was resumed, so there is nothing to compare
  std::optional<double> goodput;
  core::Accounts accounts;

  // Episodes that a crash of the worker, or a power cut, would cost now.
  std::int64_t at_risk_memory() const;
  std::int64_t at_risk_disk() const;
};

boost::json::object to_json(const Status& status);

// What it does and why, in one line: "running: attempt 1 is training".
std::string summary(const core::State& state);

}  // namespace ts::api
