// The lists of causes and clocks, measured by letting each of them happen.
#include <functional>
#include <set>

#include "common/base/text.h"
#include "tests/unit/core/state_machine.h"

namespace ts::core {
namespace {

struct Shown {
  Cause cause;
  std::string how;
  std::function<void(Scenario&)> happen;  // to a worker that was spawned and is ready, where there is one
  bool before_spawn = false;
};

void beats_until_looked_at(Scenario& s) {
  s.completes(250);
  for (int i = 0; i < 10'000 && !s.is_looked_at(); ++i) {
    s.after(seconds{5}).beat();
    if (s.now >= *s.state.deadline) s.feed(DeadlinePassed{});
  }
}

std::vector<Shown> shown_causes() {
  return {
      {Cause::finished, "exit 0", [](Scenario& s) { s.exits(0); }},
      {Cause::interrupted, "exit 75", [](Scenario& s) { s.exits(75); }},
      {Cause::asked, "we ended it, as a person asked", [](Scenario& s) { s.restart().exits(75); }},
      {Cause::killed_outside, "SIGINT or SIGTERM that we did not send", [](Scenario& s) { s.dies_of(15); }},
      {Cause::crash, "a signal that a faulty program gets", [](Scenario& s) { s.dies_of(11); }},
      {Cause::crash, "a signal that somebody sends (SIGKILL, SIGHUP)", [](Scenario& s) { s.dies_of(9); }},
      {Cause::out_of_memory, "SIGKILL by the kernel, for memory",
       [](Scenario& s) {
         s.feed(WorkerExited{s.state.attempt, {std::nullopt, 9, true}, ""});
       }},
      {Cause::error_exit, "any other exit status", [](Scenario& s) { s.exits(70); }},
      {Cause::start_timeout, "no READY in time", [](Scenario& s) { s.prepared(250).spawned().hangs().dies_of(9); },
       true},
      {Cause::heartbeat_lost, "silent for too long", [](Scenario& s) { s.hangs().dies_of(9); }},
      {Cause::no_progress, "alive, but its training stood still",
       [](Scenario& s) {
         beats_until_looked_at(s);
         s.seen_hanging().evidence().dies_of(9);
       }},
      {Cause::wrong_resume, "it resumed elsewhere than it was told",
       [](Scenario& s) { s.prepared(250).spawned().says_it_resumed(7).evidence().exits(75); }, true},
      {Cause::bad_configuration, "exit 78", [](Scenario& s) { s.exits(78); }},
      {Cause::bad_data, "exit 65", [](Scenario& s) { s.exits(65); }},
      {Cause::cannot_save, "exit 74", [](Scenario& s) { s.exits(74); }},
      {Cause::exec_failed, "it never ran",
       [](Scenario& s) {
         s.prepared(250).feed(SpawnFailed{s.state.attempt, "no such file"});
       },
       true},
      {Cause::cannot_prepare, "no resume point could be settled",
       [](Scenario& s) {
         s.feed(LaunchRefused{s.state.attempt, Cause::cannot_prepare, false, "busy"});
       },
       true},
      {Cause::unknown, "adopted, and nobody can read how it ended",
       [](Scenario& s) {
         s.feed(WorkerExited{s.state.attempt, {}, ""});
       }},
  };
}

std::string consequence(const Scenario& s, std::int64_t attempt) {
  if (s.state.phase == Phase::starting && s.state.attempt > attempt) return "at once";
  if (s.state.phase == Phase::backoff) return "after a wait";
  return "never";
}

std::string yes(bool is_so) {
  return is_so ? "yes" : "no";
}

std::vector<std::string> row_of(const Shown& shown) {
  Scenario s;
  s.start();
  const auto let_happen = [&] {
    if (!shown.before_spawn) s.prepared(250).spawned().ready();
    const std::int64_t attempt = s.state.attempt;
    shown.happen(s);
    return consequence(s, attempt);
  };
  const std::string first = let_happen();
  const bool is_incident = !s.state.restarts.empty();
  if (is_incident) {
    EXPECT_TRUE(s.state.last_cause == shown.cause) << to_string(shown.cause) << " does not come of: " << shown.how;
  }
  const bool against = s.state.poison.deaths > 0;
  const std::string second = s.state.phase == Phase::starting ? let_happen() : "";
  return {"`" + std::string(to_string(shown.cause)) + "`",
          shown.how,
          yes(is_incident),
          yes(is_permanent(shown.cause)),
          yes(against),
          first,
          second};
}

struct ShownClock {
  std::string name;
  std::string key;
  std::string limit;
  std::string consequence;
};

std::string wait_after(const std::function<void(Scenario&)>& lead) {
  Scenario s;
  lead(s);
  return human_duration(std::chrono::duration_cast<Duration>(s.wait()));
}

std::string learned_limit() {
  const Policy policy;
  LearnedGaps learned;
  int seen = 0;
  while (progress_limit(learned, protocol::Phase::train, policy) == policy.progress_unlearned) {
    learn(learned, protocol::Phase::train, seconds{1000});
    ++seen;
  }
  const auto factor = *progress_limit(learned, protocol::Phase::train, policy) / Duration(seconds{1000});
  return "learned: " + std::to_string(factor) + " times the longest gap, at least " +
         human_duration(policy.progress_floor) + "; " + human_duration(policy.progress_unlearned) + " until " +
         std::to_string(seen) + " gaps were seen";
}

std::vector<ShownClock> clocks_of_a_worker() {
  const Policy policy;
  return {
      {"start", "`supervisor.startup_timeout`", wait_after([](Scenario& s) { s.start().launched(250); }),
       "it is looked at"},
      {"liveness", "`supervisor.heartbeat_timeout`", wait_after([](Scenario& s) { s.trains(250); }), "it is looked at"},
      {"progress, for each of the worker's phases", "`supervisor.progress_timeout`", learned_limit(),
       "it is looked at"},
      {"the same of an adopted worker, until it tells how far it is", "the same",
       "all its phases together, and no less than a start", "it is looked at"},
      {"durability", "", human_duration(policy.durability_alarm), "an alarm, again and again; nobody is ended"},
      {"a look", "", wait_after([](Scenario& s) { s.trains(250).overdue(); }), "it is judged without"},
      {"extension after a look, once", "the same as the clock's",
       wait_after([](Scenario& s) { s.trains(250).overdue().seen_starved(); }), "it is looked at again, and ended"},
  };
}

std::vector<ShownClock> clocks_of_an_end() {
  const Policy policy;
  return {
      {"evidence", "", wait_after([](Scenario& s) { s.trains(250).overdue().seen_hanging(); }), "SIGTERM without"},
      {"a stop that was asked for", "`supervisor.stop_timeout`", wait_after([](Scenario& s) { s.trains(250).stop(); }),
       "SIGABRT"},
      {"SIGTERM to a worker that hangs", "", wait_after([](Scenario& s) { s.trains(250).hangs(); }), "SIGABRT"},
      {"SIGABRT", "", wait_after([](Scenario& s) { s.trains(250).hangs().overdue(); }), "SIGKILL"},
      {"SIGKILL", "", wait_after([](Scenario& s) { s.trains(250).hangs().overdue().overdue(); }),
       "it is called unkillable; SIGKILL again"},
      {"a rescue", "", wait_after([](Scenario& s) { s.trains(250).announces(251).dies_of(11); }),
       "it is said, less and less often"},
      {"settling where to resume", "", wait_after([](Scenario& s) { s.start(); }), "it is said, less and less often"},
      {"backoff", "`restart.backoff_initial`, `_factor`, `_max`, `jitter`",
       human_duration(policy.backoff_initial) + " to " + human_duration(policy.backoff_max), "a launch"},
      {"cooldown", "`restart.cooldown`", human_duration(policy.cooldown), "a launch, with a budget of its own"},
  };
}

}  // namespace

std::string causes_chapter() {
  std::vector<std::vector<std::string>> rows = {
      {"cause", "comes of", "incident", "permanent", "against the resume point", "relaunch", "second in a row"}};
  std::set<Cause> seen;
  for (const Shown& shown : shown_causes()) {
    rows.push_back(row_of(shown));
    seen.insert(shown.cause);
  }
  for (int number = 0; number <= static_cast<int>(Cause::unknown); ++number) {
    const auto cause = static_cast<Cause>(number);
    EXPECT_TRUE(seen.contains(cause)) << to_string(cause)
                                      << " has no row: say how it comes about in state_machine_causes.cpp";
  }
  const Policy policy;
  return "\n## Causes\n\nWhy a worker ended and what follows, when it had completed no episode since its resume. " +
         std::to_string(policy.poison_after) +
         " ends in a row that speak\nagainst the resume point condemn it (`restart.poison_after`): it is set aside and "
         "the "
         "next older one is tried. " +
         std::to_string(policy.max_attempts_without_progress) +
         "\nattempts in a row without progress (`restart.max_attempts_without_progress`) are fatal until the cooldown "
         "is "
         "over.\n\n" +
         table(rows);
}

std::string clocks_chapter() {
  std::vector<std::vector<std::string>> rows = {{"clock", "key", "limit", "when it has run out"}};
  for (const auto& some : {clocks_of_a_worker(), clocks_of_an_end()}) {
    for (const ShownClock& one : some) rows.push_back({one.name, one.key, one.limit, one.consequence});
  }
  return "\n## Clocks\n\nLimits without a key are fixed in `supervisor/core/policy.h`.\n\n" + table(rows);
}

}  // namespace ts::core
