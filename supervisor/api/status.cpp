#include "supervisor/api/status.h"

#include <algorithm>

#include "common/base/text.h"
#include "common/protocol/notify_message.h"
#include "supervisor/api/version.h"

namespace ts::api {
namespace {

namespace json = boost::json;

json::value or_null(const std::optional<double>& number) {
  return number ? json::value(*number) : json::value(nullptr);
}

json::value worker_json(const Status& status) {
  const core::State& state = status.state;
  if (!state.has_process()) return nullptr;
  json::object resumed;
  // What the worker says that it loaded counts more than what it was told.
  resumed["episode"] = state.progress.resumed.value_or(state.resume.episode);
  resumed["path"] = state.resume.path;
  resumed["why"] = status.resumed_why;
  json::object worker;
  worker["pid"] = state.pid;
  worker["attempt"] = state.attempt;
  worker["uptime_s"] = status.worker_uptime_s;
  worker["heartbeat_age_s"] = or_null(status.heartbeat_age_s);
  worker["heartbeat_limit_s"] = or_null(status.heartbeat_limit_s);
  worker["progress_age_s"] = or_null(status.progress_age_s);
  worker["progress_limit_s"] = or_null(status.progress_limit_s);
  worker["phase"] =
      state.progress.phase ? json::value(protocol::to_string(*state.progress.phase)) : json::value(nullptr);
  // The worker's own words: a save that is refused is told in them, until one succeeds.
  const std::string& says = state.progress.status;
  worker["says"] = says.empty() ? json::value(nullptr) : json::value(escape_control(says));
  worker["resumed_from"] = state.resume.path.empty() ? json::value(nullptr) : json::value(std::move(resumed));
  return worker;
}

json::value checkpoint_json(const Status& status) {
  if (!status.checkpoint) return nullptr;
  json::object out;
  out["episode"] = status.checkpoint->episode;
  out["path"] = status.checkpoint->path;
  out["age_s"] = status.checkpoint->age_s;
  out["stall_ms"] = or_null(status.checkpoint->stall_ms);
  out["durable_ms"] = or_null(status.checkpoint->durable_ms);
  return out;
}

json::value best_json(const Status& status) {
  if (!status.best) return nullptr;
  json::object out;
  out["episode"] = status.best->episode;
  out["metric"] = status.best->metric;
  out["value"] = status.best->value;
  out["path"] = status.best->path;
  return out;
}

json::value last_incident_json(const Status& status) {
  if (!status.accounts.last) return nullptr;
  const core::IncidentFigures& last = *status.accounts.last;
  json::object out;
  out["cause"] = core::to_string(last.cause);
  out["lost_episodes"] = last.lost_episodes ? json::value(*last.lost_episodes) : json::value(nullptr);
  out["detect_s"] = last.detect_s;
  out["relaunch_s"] = or_null(last.relaunch_s);
  out["first_step_s"] = or_null(last.first_step_s);
  return out;
}

}  // namespace

std::int64_t Status::at_risk_disk() const {
  const std::int64_t durable = checkpoint ? checkpoint->episode : 0;
  return std::max<std::int64_t>(0, state.progress.episode - durable);
}

// What the supervisor holds a copy of outlives the worker.
std::int64_t Status::at_risk_memory() const {
  const std::int64_t durable = checkpoint ? checkpoint->episode : 0;
  return std::max<std::int64_t>(0, state.progress.episode - std::max(durable, state.snapshot));
}

json::object to_json(const Status& status) {
  const core::State& state = status.state;
  json::object metrics;
  for (const auto& [name, value] : state.progress.metrics) metrics[name] = value;
  json::object restarts;
  for (const auto& [cause, count] : state.restarts) restarts[core::to_string(cause)] = count;
  json::object at_risk;
  at_risk["memory"] = status.at_risk_memory();
  at_risk["disk"] = status.at_risk_disk();

  json::object out;
  out["format"] = kStatusFormat;
  out["version"] = kVersion;
  out["supervisor_pid"] = status.supervisor_pid;
  out["state"] = core::to_string(state.phase);
  out["desired"] = state.desired == core::Desired::up ? "up" : "down";
  out["reason"] = state.reason;
  out["state_for_s"] = status.state_for_s;
  out["deadline_in_s"] = or_null(status.deadline_in_s);
  out["run_id"] = status.run_id;
  out["attempt"] = state.attempt;
  out["worker"] = worker_json(status);
  out["episode"] = state.progress.episode;
  out["total_episodes"] = status.total_episodes;
  out["episodes_per_s"] = or_null(status.episodes_per_s);
  out["eta_s"] = or_null(status.eta_s);
  out["metrics"] = std::move(metrics);
  out["checkpoint"] = checkpoint_json(status);
  out["best"] = best_json(status);
  out["at_risk"] = std::move(at_risk);
  out["restarts"] = std::move(restarts);
  out["goodput"] = or_null(status.goodput);
  out["lost_episodes"] = status.accounts.lost_episodes;
  out["last_incident"] = last_incident_json(status);
  out["exact"] = status.exact ? json::value(*status.exact) : json::value(nullptr);
  return out;
}

std::string summary(const core::State& state) {
  return std::string(core::to_string(state.phase)) + ": " + state.reason;
}

}  // namespace ts::api
