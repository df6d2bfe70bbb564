// What the supervisor says: every decision with its reason, to everybody who listens (supervisor/shell/events.h).
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include <boost/json/value_from.hpp>

#include "common/base/text.h"
#include "supervisor/api/version.h"
#include "supervisor/shell/supervisor.h"

namespace ts::shell {
namespace {

using api::EventLevel;
using api::EventType;

}  // namespace

void Supervisor::tell(EventType type, EventLevel level, std::string message, boost::json::object details) {
  events_->tell(type, level, std::move(message), std::move(details));
}

void Supervisor::tell_start() {
  tell(EventType::supervisor, EventLevel::debug,
       std::string("trainer-supervisor ") + api::kVersion + " has started as process " + std::to_string(::getpid()) +
           ".",
       {{"action", "started"}, {"pid", ::getpid()}, {"version", api::kVersion}});
}

void Supervisor::tell_transition(core::Phase before, const core::Transition& transition) {
  const bool bad = state_.phase == core::Phase::fatal;
  const EventLevel level = bad ? EventLevel::error : transition.alarm ? EventLevel::warn : EventLevel::info;
  const bool moved = before != state_.phase;
  const EventType unmoved = transition.alarm ? EventType::alarm : EventType::decision;
  boost::json::object details;
  if (moved) details["from"] = core::to_string(before);
  details[moved ? "to" : "state"] = core::to_string(state_.phase);
  details["reason"] = transition.note;
  for (const core::Action& action : transition.actions) {
    if (const auto* incident = std::get_if<core::RecordIncident>(&action)) {
      details["cause"] = core::to_string(incident->cause);
      details["decision"] = incident->decision;
    }
  }
  tell(moved ? EventType::state : unmoved, level, std::string(core::to_string(state_.phase)) + ": " + transition.note,
       std::move(details));
}

void Supervisor::tell_launch(const core::LaunchPrepared& launch) {
  const core::ResumePoint& from = launch.resume;
  boost::json::object details{{"attempt", launch.attempt}, {"why", state_.reason}, {"resume", nullptr}};
  if (!from.path.empty()) {
    details["resume"] = boost::json::object{{"episode", from.episode}, {"path", from.path}, {"foreign", from.foreign}};
  }
  std::string message =
      "Starting from the beginning: no checkpoint in " + config_->checkpoints.directory.string() + "/";
  if (!from.path.empty() && resumed_) {
    message = "Auto-resuming from episode " + std::to_string(from.episode) + ": " + from.path;
  } else if (!from.path.empty()) {
    message = "Resuming from " + from.path + ", a file of another origin";
  }
  tell(EventType::launch, EventLevel::info, std::move(message), std::move(details));
}

void Supervisor::tell_checkpoint() {
  const checkpoint::Sidecar& sidecar = facts_.newest->sidecar;
  boost::json::object details{{"episode", sidecar.episode},
                              {"path", facts_.newest->path},
                              {"reason", checkpoint::to_string(sidecar.reason)},
                              {"bytes", static_cast<std::int64_t>(sidecar.bytes)}};
  if (sidecar.stall_ms) details["stall_ms"] = *sidecar.stall_ms;
  if (sidecar.durable_ms) details["durable_ms"] = *sidecar.durable_ms;
  tell(EventType::checkpoint, EventLevel::debug,
       "The checkpoint of episode " + std::to_string(sidecar.episode) + " is durable: " + facts_.newest->path,
       std::move(details));
}

void Supervisor::tell_incident(const IncidentReport& report, const std::string& where) {
  boost::json::object details{{"cause", core::to_string(report.cause)},
                              {"attempt", report.attempt},
                              {"pid", report.pid},
                              {"episode", report.episode},
                              {"what", report.what},
                              {"decision", report.decision},
                              {"detected_by", report.detected_by},
                              {"folder", nullptr}};
  if (!where.empty()) details["folder"] = where;
  tell(EventType::incident, EventLevel::warn,
       "Incident (" + std::string(core::to_string(report.cause)) + ") of attempt " + std::to_string(report.attempt) +
           ": " + report.what + "; " + report.decision + (where.empty() ? "." : ". What was found is in " + where),
       std::move(details));
}

// The audit: who asked for what, whether it was done or not.
void Supervisor::tell_request(const api::Peer& peer, const std::string& what, const std::string& refusal) {
  const bool accepted = refusal.empty();
  boost::json::object details = to_details(peer);
  details["request"] = what;
  details["accepted"] = accepted;
  tell(EventType::request, accepted ? EventLevel::info : EventLevel::warn,
       what + " (asked by " + to_text(peer) + ")" + (accepted ? "" : ", refused: " + refusal), std::move(details));
}

// Over TCP everybody may knock as often as they like; the journal must not be washed out by it.
void Supervisor::turned_away(const api::Peer& peer, const std::string& what) {
  if (!turned_away_.take(now())) return;
  tell_request(peer, escape_control(what),
               std::string("the token was not presented.") +
                   (turned_away_.is_used_up() ? " (More of these in this minute are not told.)" : ""));
}

Error Supervisor::refuse(const api::Peer& peer, const std::string& what, Error why) {
  tell_request(peer, what, why.message);
  return why;
}

void Supervisor::cut_off(const api::Peer& peer, const std::string& what, const std::string& place) {
  boost::json::object details = to_details(peer);
  details["place"] = place;
  tell(EventType::trouble, EventLevel::debug,
       "A reader was cut off: " + to_text(peer) + " was too slow to follow the " + what + "; it can go on after " +
           place + ".",
       std::move(details));
}

// A chatty worker must not fill the log: so many lines a minute are enough for a person. Trouble is told to everybody
// when it begins and when it is over; what is said of it in between is chatter.
void Supervisor::note_status(const std::string& status, bool trouble) {
  const bool begins = trouble && !worker_in_trouble_;
  const bool ends = worker_in_trouble_ && !trouble;
  worker_in_trouble_ = trouble;
  if (ends) tell(EventType::trouble, EventLevel::info, "worker: the trouble is over", {{"status", status}});
  if (status.empty() || (status == last_status_ && !begins)) return;
  last_status_ = status;
  if (!begins && !statuses_.take(now())) return;
  const std::string more = statuses_.is_used_up() ? " (more of these in this minute are not told)" : "";
  tell(begins ? EventType::trouble : EventType::worker, begins ? EventLevel::warn : EventLevel::info,
       "worker: " + escape_control(status) + more, {{"status", status}});
}

// The first checkpoint after a resume tells in which environment the run goes on.
void Supervisor::judge_exactness() {
  if (!resumed_ || facts_.newest->sidecar.episode <= resumed_->episode) return;
  // A worker that says nothing of it may be exact or not.
  if (resumed_->exactness.empty() && facts_.newest->sidecar.exactness.empty()) return resumed_.reset();
  auto differing = exactness_differences(resumed_->exactness, facts_.newest->sidecar.exactness);
  for (std::string& name : exactness_differences(resumed_->config, facts_.newest->sidecar.config)) {
    differing.push_back(std::move(name));
  }
  if (!differing.empty()) {
    tell(api::EventType::exactness, api::EventLevel::warn,
         "This run is no longer bit-exact: since the resume from episode " + std::to_string(resumed_->episode) +
             " these differ: " + join(differing, ", "),
         {{"resumed_from", resumed_->episode}, {"differing", boost::json::value_from(differing)}});
  }
  exact_ = exact_.value_or(true) && differing.empty();
  resumed_.reset();
}

}  // namespace ts::shell
