// A small language for what happens to a supervisor: one line for each event, and a look at what came of it.
//
// Every step is checked against the invariants. Time stands still unless a line moves it.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/core/invariants.h"

namespace ts::core {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

class Scenario {
 public:
  Scenario() = default;
  explicit Scenario(Policy p) : policy(p) {}

  Scenario& feed(const Event& event) {
    const State before = state;
    Transition transition = step(state, event, now, policy);
    EXPECT_EQ(broken(before, event, transition, policy), "") << "in phase " << to_string(before.phase);
    state = std::move(transition.state);
    actions = std::move(transition.actions);
    note = std::move(transition.note);
    alarm = transition.alarm;
    return *this;
  }

  // ---- what happens ----
  Scenario& start() { return feed(StartRequested{true}); }
  Scenario& stop() { return feed(StopRequested{}); }
  Scenario& restart(LaunchFrom from = {}) { return feed(RestartRequested{std::move(from)}); }
  Scenario& restart_from(const std::string& selector) { return restart({LaunchFrom::Kind::selector, selector}); }
  Scenario& shut_down(bool at_once = false) { return feed(ShutdownRequested{at_once}); }
  Scenario& prepared(std::int64_t episode = 0) {
    const std::string path = episode == 0 ? "" : "models/model_ep" + std::to_string(episode) + ".pt";
    return feed(LaunchPrepared{state.attempt, {episode, path}});
  }
  Scenario& spawned() { return feed(WorkerSpawned{state.attempt, ++last_pid}); }
  Scenario& hear(const protocol::NotifyMessage& message) { return feed(MessageReceived{state.attempt, message}); }
  Scenario& ready() { return says_it_resumed(state.resume.episode); }
  Scenario& beat() {
    protocol::NotifyMessage message;
    message.watchdog = true;
    return hear(message);
  }
  Scenario& completes(std::int64_t episode) {
    protocol::NotifyMessage message;
    message.watchdog = true;
    message.episode = episode;
    return hear(message);
  }
  Scenario& takes_step(std::int64_t step) {
    protocol::NotifyMessage message;
    message.watchdog = true;
    message.step = step;
    return hear(message);
  }
  Scenario& enters(protocol::Phase phase) {
    protocol::NotifyMessage message;
    message.watchdog = true;
    message.phase = phase;
    return hear(message);
  }
  Scenario& gives_up_itself() {
    protocol::NotifyMessage message;
    message.watchdog_trigger = true;
    return hear(message);
  }
  Scenario& asks_for(std::chrono::microseconds more) {
    protocol::NotifyMessage message;
    message.extend_timeout = more;
    return hear(message);
  }
  Scenario& saved() {
    protocol::NotifyMessage message;
    message.checkpoint = "models/model.pt";
    return hear(message);
  }
  Scenario& says_it_resumed(std::int64_t episode) {
    protocol::NotifyMessage message;
    message.ready = true;
    message.episode = episode;
    message.resumed = episode;
    return hear(message);
  }
  Scenario& exits(int code) { return feed(WorkerExited{state.attempt, {code, std::nullopt}, ""}); }
  Scenario& dies_of(int signal) { return feed(WorkerExited{state.attempt, {std::nullopt, signal}, ""}); }
  Scenario& after(Instant wait) {
    now += wait;
    return *this;
  }
  // The deadline comes, and nothing else did before it.
  Scenario& overdue() {
    EXPECT_TRUE(state.deadline.has_value());
    now = std::max(now, state.deadline.value_or(now));
    return feed(DeadlinePassed{});
  }

  // What the look at a silent worker shows, and the evidence before it is ended.
  Scenario& seen(Inspection what) { return feed(WorkerInspected{state.attempt, std::move(what)}); }
  Scenario& seen_hanging() { return seen({false, false, "it sleeps"}); }
  Scenario& seen_starved() { return seen({true, false, "the machine is overloaded"}); }
  Scenario& evidence() { return feed(EvidenceGathered{state.attempt, "incidents/1"}); }
  Scenario& rescued(const std::string& what = "episode 12 was saved from its memory") {
    return feed(RescueSettled{state.attempt, what});
  }
  Scenario& not_rescued() { return feed(RescueSettled{state.attempt, "the disk is full", true}); }
  // A clock runs out, the look finds no excuse, the evidence is there: it is being ended.
  Scenario& hangs() { return overdue().seen_hanging().evidence(); }
  Scenario& announces(std::int64_t episode) {
    protocol::NotifyMessage message;
    message.episode = episode;
    message.snapshot = protocol::SnapshotNotice{episode, 1, "xxh3-128:00", "{}"};
    return hear(message);
  }

  // ---- longer ways ----
  Scenario& launched(std::int64_t from = 0) { return prepared(from).spawned(); }
  Scenario& trains(std::int64_t from = 0) { return start().launched(from).ready(); }

  // ---- what came of it ----
  template <class T>
  bool did() const {
    return holds<T>(actions);
  }
  bool signalled(Signal signal) const {
    return std::any_of(actions.begin(), actions.end(), [&](const Action& action) {
      const auto* sent = std::get_if<SignalWorker>(&action);
      return sent != nullptr && sent->signal == signal;
    });
  }
  template <class T>
  T the() const {
    for (const Action& action : actions) {
      if (const auto* found = std::get_if<T>(&action)) return *found;
    }
    ADD_FAILURE() << "there is no such action: " << note;
    return {};
  }
  LaunchFrom preparing_from() const { return the<PrepareLaunch>().from; }
  bool is_looked_at() const { return state.clocks.suspected.has_value(); }
  bool noted(std::string_view part) const { return note.find(part) != std::string::npos; }
  bool says(std::string_view part) const { return state.reason.find(part) != std::string::npos; }
  Instant wait() const { return state.deadline.value_or(now) - now; }

  Policy policy;
  State state;
  Instant now{1'000'000'000'000};
  std::vector<Action> actions;  // of the last step
  std::string note;
  bool alarm = false;
  std::int64_t last_pid = 1000;
};

}  // namespace ts::core
