// Every phase meets every event: whatever comes, the invariants hold (P4, P10, P11) and nothing is launched twice.
//
// One state is left out on purpose: between SpawnWorker and its answer. The shell answers that action before it takes
// the next event.
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/core/scenario.h"

namespace ts::core {
namespace {

struct Named {
  std::string name;
  Scenario scenario;
};

// Beats on without progress until it is looked at.
Scenario& stands_still(Scenario& s) {
  s.trains(10).completes(11);
  for (int i = 0; i < 10'000 && !s.is_looked_at(); ++i) {
    s.after(seconds{25}).beat();
    if (s.now >= *s.state.deadline) s.feed(DeadlinePassed{});
  }
  return s;
}

std::vector<Named> every_state(const Policy& policy) {
  std::vector<Named> out;
  const auto add = [&](std::string name, const std::function<void(Scenario&)>& lead) {
    Scenario s(policy);
    s.state.attempt = 3;  // so that there is an earlier attempt
    lead(s);
    out.push_back({std::move(name), std::move(s)});
  };
  const bool beats = policy.heartbeat_timeout > Duration::zero();
  add("new", [](Scenario&) {});
  add("preparing", [](Scenario& s) { s.start(); });
  add("preparing from", [](Scenario& s) { s.restart_from("ep200"); });
  if (beats) add("spawned", [](Scenario& s) { s.start().launched(10); });
  add("running", [](Scenario& s) { s.trains(10); });
  add("running on", [](Scenario& s) { s.trains(10).completes(11); });
  add("adopted", [](Scenario& s) { s.feed(WorkerAdopted{77}); });
  add("stopping", [](Scenario& s) { s.trains().stop(); });
  add("restarting", [](Scenario& s) { s.trains().restart_from("ep5"); });
  add("aborting", [](Scenario& s) { s.trains().stop().overdue(); });
  add("killing", [](Scenario& s) { s.trains().stop().overdue().overdue(); });
  add("unkillable", [](Scenario& s) { s.trains().stop().overdue().overdue().overdue(); });
  if (beats) {
    add("looked at", [](Scenario& s) { s.trains(10).announces(11).overdue(); });
    add("looked at again", [](Scenario& s) { s.trains(10).overdue().seen_starved().overdue(); });
    add("start looked at", [](Scenario& s) { s.start().launched(10).overdue(); });
    add("start extended", [](Scenario& s) { s.start().launched(10).overdue().seen_starved(); });
    add("hung", [](Scenario& s) { s.trains().overdue().seen_hanging().evidence(); });
  }
  add("without progress", [](Scenario& s) { stands_still(s); });
  add("without progress, extended", [](Scenario& s) { stands_still(s).seen_starved(); });
  add("gathering evidence", [](Scenario& s) { s.trains(10).announces(11).gives_up_itself(); });
  add("resumed elsewhere", [](Scenario& s) { s.start().launched(10).says_it_resumed(7); });
  add("rescuing", [](Scenario& s) { s.trains(10).announces(11).dies_of(11); });
  add("rescuing after a stop", [](Scenario& s) { s.trains(10).announces(11).stop().dies_of(9); });
  add("rescuing before a restart", [](Scenario& s) { s.trains(10).announces(11).restart_from("ep5").dies_of(9); });
  add("rescuing while leaving", [](Scenario& s) { s.trains(10).announces(11).shut_down().dies_of(9); });
  add("rescuing, slowly", [](Scenario& s) { s.trains(10).announces(11).dies_of(11).overdue(); });
  add("preparing slowly", [](Scenario& s) { s.start().overdue(); });
  add("condemned", [](Scenario& s) { s.trains(10).dies_of(11).launched(10).ready().dies_of(11).overdue(); });
  add("leaving", [](Scenario& s) { s.trains().shut_down(); });
  add("leaving now", [](Scenario& s) { s.trains().shut_down().shut_down(true); });
  add("left", [](Scenario& s) { s.trains().shut_down().exits(75); });
  add("stopped", [](Scenario& s) { s.trains().stop().exits(75); });
  add("backoff", [](Scenario& s) { s.trains().dies_of(11).launched().dies_of(11); });
  add("finished", [](Scenario& s) { s.trains().exits(0); });
  add("fatal for good", [](Scenario& s) { s.trains().exits(78); });
  add("refused for good", [](Scenario& s) { s.start().feed(LaunchRefused{4, Cause::bad_data, true, "no"}); });
  add("cooling down", [](Scenario& s) {
    s.policy.max_attempts_without_progress = 2;
    s.trains().dies_of(11).launched().dies_of(11);
    s.policy.max_attempts_without_progress = 10;
  });
  return out;
}

void add_messages(std::vector<std::pair<std::string, Event>>& out, std::int64_t attempt) {
  const std::string tag = " of attempt " + std::to_string(attempt);
  const auto add = [&](const std::string& name, const std::function<void(protocol::NotifyMessage&)>& fill) {
    protocol::NotifyMessage message;
    fill(message);
    out.emplace_back(name + tag, MessageReceived{attempt, message});
  };
  add("nothing", [](auto&) {});
  add("READY", [](auto& m) { m.ready = true; });
  add("STOPPING", [](auto& m) { m.stopping = true; });
  add("WATCHDOG", [](auto& m) { m.watchdog = true; });
  add("trigger", [](auto& m) { m.watchdog_trigger = true; });
  add("READY and trigger", [](auto& m) { m.ready = m.watchdog_trigger = true; });
  add("extension", [](auto& m) { m.extend_timeout = hours{1}; });
  add("episode back", [](auto& m) { m.episode = 0; });
  add("episode on", [](auto& m) { m.episode = 999'999'999; });
  add("resumed", [](auto& m) { m.ready = true, m.resumed = 5, m.episode = 5, m.total = 9; });
  add("a step", [](auto& m) { m.watchdog = true, m.step = 999; });
  add("evaluating", [](auto& m) { m.phase = protocol::Phase::evaluate; });
  add("a step while saving", [](auto& m) { m.step = 1000, m.phase = protocol::Phase::save; });
  add("a checkpoint", [](auto& m) { m.checkpoint = "models/model_ep12.pt"; });
  add("a snapshot", [](auto& m) {
    m.episode = 12;
    m.snapshot = protocol::SnapshotNotice{12, 1, "xxh3-128:00", "{}"};
  });
}

std::vector<std::pair<std::string, Event>> every_event(std::int64_t attempt) {
  std::vector<std::pair<std::string, Event>> out = {
      {"start", StartRequested{true}},
      {"start by itself", StartRequested{false}},
      {"stop", StopRequested{}},
      {"restart", RestartRequested{}},
      {"restart from", RestartRequested{{LaunchFrom::Kind::selector, "ep7"}}},
      {"restart fresh", RestartRequested{{LaunchFrom::Kind::fresh, ""}}},
      {"shutdown", ShutdownRequested{false}},
      {"shutdown now", ShutdownRequested{true}},
      {"adopted", WorkerAdopted{4711}},
      {"adopted, unrecorded", WorkerAdopted{4712, attempt + 1}},
      {"deadline", DeadlinePassed{}},
  };
  for (const std::int64_t of : {attempt, attempt - 1, attempt + 1}) {
    const std::string tag = " of attempt " + std::to_string(of);
    out.emplace_back("prepared" + tag, LaunchPrepared{of, {7, "models/model_ep7.pt"}});
    out.emplace_back("prepared fresh" + tag, LaunchPrepared{of, {}});
    out.emplace_back("refused" + tag, LaunchRefused{of, Cause::cannot_prepare, false, "busy"});
    out.emplace_back("refused for good" + tag, LaunchRefused{of, Cause::bad_data, true, "damaged"});
    out.emplace_back("spawned" + tag, WorkerSpawned{of, 4711});
    out.emplace_back("not spawned" + tag, SpawnFailed{of, "no such file"});
    for (const int code : {0, 1, 65, 70, 74, 75, 78, 255}) {
      out.emplace_back("exit " + std::to_string(code) + tag, WorkerExited{of, {code, std::nullopt}, "bye"});
    }
    for (const int signal : {2, 6, 9, 11, 15}) {
      out.emplace_back("signal " + std::to_string(signal) + tag, WorkerExited{of, {std::nullopt, signal}, ""});
    }
    out.emplace_back("unknown end" + tag, WorkerExited{of, {}, ""});
    out.emplace_back("out of memory" + tag, WorkerExited{of, {std::nullopt, 9, true}, ""});
    out.emplace_back("seen hanging" + tag, WorkerInspected{of, {false, false, "it sleeps"}});
    out.emplace_back("seen starved" + tag, WorkerInspected{of, {true, false, "no processor"}});
    out.emplace_back("seen stopped" + tag, WorkerInspected{of, {false, true, "stopped"}});
    out.emplace_back("evidence" + tag, EvidenceGathered{of, "incidents/1"});
    out.emplace_back("rescued" + tag, RescueSettled{of, "saved"});
    add_messages(out, of);
  }
  return out;
}

bool is_of_another_attempt(const Event& event, std::int64_t attempt) {
  return std::visit(
      [&](const auto& what) {
        if constexpr (requires { what.attempt; }) return what.attempt != attempt;
        return false;
      },
      event);
}

class Sweep : public testing::TestWithParam<int> {};

TEST_P(Sweep, EveryStateMeetsEveryEventAndTheInvariantsHold) {
  Policy policy;
  policy.heartbeat_timeout = seconds{GetParam()};
  int steps = 0;
  for (const Named& named : every_state(policy)) {
    const State& before = named.scenario.state;
    for (const auto& [what, event] : every_event(before.attempt)) {
      for (const Instant wait : {Instant{0}, Instant{hours{10}}}) {
        const Transition transition = step(before, event, named.scenario.now + wait, policy);
        ++steps;
        EXPECT_EQ(broken(before, event, transition, policy), "") << named.name << " meets " << what;
        if (is_of_another_attempt(event, before.attempt)) {
          EXPECT_EQ(transition.state, before) << named.name << " heeds " << what;
          EXPECT_TRUE(transition.actions.empty()) << named.name << " acts on " << what;
        }
      }
    }
  }
  EXPECT_GT(steps, 3000);
}

// The same, two events deep: nothing that the first one leaves behind makes the second one misbehave.
TEST_P(Sweep, EveryStateMeetsEveryPairOfEvents) {
  Policy policy;
  policy.heartbeat_timeout = seconds{GetParam()};
  for (const Named& named : every_state(policy)) {
    const Instant later = named.scenario.now + hours{10};
    for (const auto& [first, first_event] : every_event(named.scenario.state.attempt)) {
      const State middle = step(named.scenario.state, first_event, named.scenario.now, policy).state;
      if (std::holds_alternative<LaunchPrepared>(first_event)) continue;  // its answer comes before anything else
      for (const auto& [second, event] : every_event(middle.attempt)) {
        const Transition transition = step(middle, event, later, policy);
        ASSERT_EQ(broken(middle, event, transition, policy), "")
            << named.name << " meets " << first << ", then " << second;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(HeartbeatSeconds, Sweep, testing::Values(0, 30));

TEST(EveryPhase, IsInTheSweep) {
  std::vector<bool> seen(static_cast<std::size_t>(Phase::fatal) + 1);
  for (const Named& named : every_state(Policy{})) seen[static_cast<std::size_t>(named.scenario.state.phase)] = true;
  for (std::size_t phase = 0; phase < seen.size(); ++phase) {
    EXPECT_TRUE(seen[phase]) << to_string(static_cast<Phase>(phase));
  }
}

}  // namespace
}  // namespace ts::core
