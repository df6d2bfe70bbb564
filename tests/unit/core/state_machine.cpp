#include "tests/unit/core/state_machine.h"

#include <algorithm>
#include <functional>
#include <map>
#include <variant>

#include "common/base/text.h"

namespace ts::core {
namespace {

constexpr const char* kIntroduction =
    R"(# The state machine

Every decision of the supervisor is taken by one pure function, `step(state, event, now, policy) -> {state, actions,
note}` in `supervisor/core`. This page is printed by running it (`tests/unit/core/state_machine.cpp`), and a test compares
the two; so it is not edited by hand.

Each state has a table: what happens (a second after the state was entered), which state follows, what is done (in this
order), and how long silence may last from then on until it has a consequence of its own. "same" is what was before. The
durations are those of a configuration that says nothing else. Of events that come with an attempt only those of the
present attempt are shown; others change nothing, in any state.

What is done, in short: *save* the supervisor's state, *soon* where nobody waits for it; *prepare* a launch by settling where it resumes; *spawn*
the worker there; *look at it* and at its machine; *gather evidence* of what it is doing; *record* an incident; *rescue*
what it left in memory; *leave*, as the last thing that the supervisor does; an *alarm* in the log.

A state in this page is a phase (`stopped`, `starting`, `running`, `stopping`, `backoff`, `finished`, `fatal`: what `status`
shows) and, behind the colon, what the phase is about at the moment. The worker of the examples was told to resume from
episode 250; where it has announced a snapshot, that is of episode 251.
)";

struct Words {
  std::string operator()(const PrepareLaunch& action) const {
    std::string from = "the newest";
    if (action.from.kind == LaunchFrom::Kind::selector) from = "`" + action.from.selector + "`";
    if (action.from.kind == LaunchFrom::Kind::fresh) from = "nothing";
    const std::string aside = action.poison ? ", episode " + std::to_string(action.poison->episode) + " aside" : "";
    return "prepare from " + from + aside;
  }
  std::string operator()(const SpawnWorker&) const { return "spawn"; }
  std::string operator()(const SignalWorker& action) const {
    switch (action.signal) {
      case Signal::terminate: return "SIGTERM";
      case Signal::abort: return "SIGABRT";
      case Signal::kill: return "SIGKILL";
    }
    return "";
  }
  std::string operator()(const InspectWorker&) const { return "look at it"; }
  std::string operator()(const GatherEvidence&) const { return "gather evidence"; }
  std::string operator()(const RescueSnapshot&) const { return "rescue"; }
  std::string operator()(const RecordIncident&) const { return "record"; }
  std::string operator()(const SaveState& action) const {
    return action.when == SaveState::When::soon ? "save soon" : "save";
  }
  std::string operator()(const LeaveDaemon&) const { return "leave"; }
};

std::string in_words(const std::vector<Action>& actions) {
  std::string out;
  for (const Action& action : actions) out += (out.empty() ? "" : ", ") + std::visit(Words{}, action);
  return out;
}

std::string silence_in_words(const Scenario& s) {
  if (!s.state.deadline) return "for ever";
  return human_duration(std::chrono::duration_cast<Duration>(s.wait()));
}

// "\nTitle: one; two; three.\n" in lines of a readable width; nothing for an empty list.
std::string listed(const std::string& title, const std::vector<std::string>& names) {
  if (names.empty()) return "";
  constexpr std::size_t kWidth = 120;
  std::string out = "\n" + title + ":";
  std::size_t width = out.size() - 1;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string piece = names[i] + (i + 1 < names.size() ? ";" : ".");
    const bool fits = width + 1 + piece.size() <= kWidth;
    out += (fits ? " " : "\n") + piece;
    width = (fits ? width + 1 : 0) + piece.size();
  }
  return out + "\n";
}

// What happens, as a name and a way to make it happen.
struct Happening {
  std::string name;
  std::function<void(Scenario&)> happen;
};

std::vector<Happening> messages() {
  return {
      {"READY", [](Scenario& s) { s.ready(); }},
      {"READY, resumed elsewhere", [](Scenario& s) { s.says_it_resumed(7); }},
      {"a beat", [](Scenario& s) { s.beat(); }},
      {"an episode completed", [](Scenario& s) { s.completes(252); }},
      {"another phase", [](Scenario& s) { s.enters(protocol::Phase::evaluate); }},
      {"a snapshot", [](Scenario& s) { s.announces(252); }},
      {"a durable checkpoint", [](Scenario& s) { s.saved(); }},
      {"`EXTEND_TIMEOUT_USEC` of 2 minutes", [](Scenario& s) { s.asks_for(seconds{120}); }},
      {"`WATCHDOG=trigger`", [](Scenario& s) { s.gives_up_itself(); }},
  };
}

std::vector<Happening> ends() {
  std::vector<Happening> out;
  const std::pair<int, const char*> codes[] = {{0, "finished"},     {75, "interrupted"},       {65, "bad data"},
                                               {74, "cannot save"}, {78, "bad configuration"}, {1, "any other"}};
  for (const auto& [code, name] : codes) {
    out.push_back({"exit " + std::to_string(code) + " (" + name + ")", [code = code](Scenario& s) { s.exits(code); }});
  }
  for (const auto& [signal, name] : {std::pair{15, "SIGTERM"}, {9, "SIGKILL"}, {11, "SIGSEGV"}}) {
    out.push_back({std::string("killed by ") + name, [signal = signal](Scenario& s) { s.dies_of(signal); }});
  }
  out.push_back({"an end that nobody can read", [](Scenario& s) { s.feed(WorkerExited{s.state.attempt, {}, ""}); }});
  return out;
}

std::vector<Happening> happenings() {
  std::vector<Happening> out = {
      {"start, by a person", [](Scenario& s) { s.start(); }},
      {"start, by the daemon itself", [](Scenario& s) { s.feed(StartRequested{false}); }},
      {"stop", [](Scenario& s) { s.stop(); }},
      {"restart", [](Scenario& s) { s.restart(); }},
      {"restart from `ep200`", [](Scenario& s) { s.restart_from("ep200"); }},
      {"shutdown", [](Scenario& s) { s.shut_down(); }},
      {"shutdown, asked for again", [](Scenario& s) { s.shut_down(true); }},
      {"resume point settled", [](Scenario& s) { s.prepared(250); }},
      {"no resume point, this time",
       [](Scenario& s) {
         s.feed(LaunchRefused{s.state.attempt, Cause::cannot_prepare, false, "busy"});
       }},
      {"no resume point, ever",
       [](Scenario& s) {
         s.feed(LaunchRefused{s.state.attempt, Cause::bad_data, true, "damaged"});
       }},
      {"spawned", [](Scenario& s) { s.spawned(); }},
      {"could not be executed",
       [](Scenario& s) {
         s.feed(SpawnFailed{s.state.attempt, "no such file"});
       }},
      {"a living worker is found",
       [](Scenario& s) {
         s.feed(WorkerAdopted{4711, 0});
       }},
  };
  for (auto& one : messages()) out.push_back(std::move(one));
  for (auto& one : ends()) out.push_back(std::move(one));
  out.push_back({"seen: no excuse", [](Scenario& s) { s.seen_hanging(); }});
  out.push_back({"seen: starved", [](Scenario& s) { s.seen_starved(); }});
  out.push_back({"seen: stopped by somebody", [](Scenario& s) { s.seen({false, true, "it was stopped"}); }});
  out.push_back({"evidence gathered", [](Scenario& s) { s.evidence(); }});
  out.push_back({"rescue settled", [](Scenario& s) { s.rescued(); }});
  return out;
}

struct Shown {
  std::string title;
  std::string about;  // a sentence or two
  std::function<void(Scenario&)> lead;
  std::vector<Happening> silences{};  // where there is more than one clock
};

// Time passes, and `meanwhile` goes on each few seconds, until a clock runs out.
void until_a_clock_runs_out(Scenario& s, const std::function<void(Scenario&)>& meanwhile) {
  for (int i = 0; i < 10'000 && s.now < *s.state.deadline; ++i) {
    s.after(seconds{5});
    if (s.now < *s.state.deadline) meanwhile(s);
  }
  s.overdue();
}

std::vector<Happening> clocks_of_a_running_worker() {
  const auto beats = [](Scenario& s) { s.beat(); };
  const auto trains = [](Scenario& s) { s.completes(s.state.progress.episode + 1); };
  return {
      {"silence for `heartbeat_timeout`", [](Scenario& s) { s.overdue(); }},
      {"beats without progress", [beats](Scenario& s) { until_a_clock_runs_out(s, beats); }},
      {"episodes, and none of them durable", [trains](Scenario& s) { until_a_clock_runs_out(s, trains); }},
  };
}

std::vector<Shown> states_with_a_worker() {
  return {
      {"Starting: waiting for READY", "The worker was spawned.", [](Scenario& s) { s.start().launched(250); }},
      {"Starting: being looked at", "It was not ready in time.",
       [](Scenario& s) { s.start().launched(250).overdue(); }},
      {"Running", "It trains; nothing is in memory that could be rescued.",
       [](Scenario& s) { s.trains(250).completes(251); }, clocks_of_a_running_worker()},
      {"Running: with a snapshot", "It trains and has announced what it holds in memory.",
       [](Scenario& s) { s.trains(250).announces(251); }, clocks_of_a_running_worker()},
      {"Running: being looked at", "It was silent for too long.", [](Scenario& s) { s.trains(250).overdue(); }},
      {"Running: being looked at again", "It was silent, got its one extension, and was silent on.",
       [](Scenario& s) { s.trains(250).overdue().seen_starved().overdue(); }},
      {"Stopping: gathering evidence", "It is to be ended; first, what it is doing is written down.",
       [](Scenario& s) { s.trains(250).overdue().seen_hanging(); }},
      {"Stopping: SIGTERM to a worker that hangs", "The evidence is there.",
       [](Scenario& s) { s.trains(250).hangs(); }},
      {"Stopping: SIGTERM, as asked", "A person wants it down; it is saving its state.",
       [](Scenario& s) { s.trains(250).stop(); }},
      {"Stopping: SIGTERM, to start anew", "A person wants it to begin elsewhere.",
       [](Scenario& s) { s.trains(250).restart_from("ep5"); }},
      {"Stopping: SIGTERM, to leave", "The supervisor was asked to leave.",
       [](Scenario& s) { s.trains(250).announces(251).shut_down(); }},
      {"Stopping: SIGABRT", "It did not end after SIGTERM.", [](Scenario& s) { s.trains(250).hangs().overdue(); }},
      {"Stopping: SIGKILL", "It did not end after SIGABRT.",
       [](Scenario& s) { s.trains(250).hangs().overdue().overdue(); }},
      {"Stopping: unkillable", "Not even SIGKILL ends it: it hangs in the kernel.",
       [](Scenario& s) { s.trains(250).hangs().overdue().overdue().overdue(); }},
  };
}

std::vector<Shown> states_without_a_worker() {
  return {
      {"Stopping: rescuing", "The worker crashed; what it left in memory is being made durable.",
       [](Scenario& s) { s.trains(250).announces(251).dies_of(11); }},
      {"Stopping: rescuing, to leave", "The same, when the supervisor was asked to leave and the worker did not save.",
       [](Scenario& s) { s.trains(250).announces(251).shut_down().dies_of(9); }},
      {"Backoff", "The second incident in a row.",
       [](Scenario& s) { s.trains(250).dies_of(11).launched(250).dies_of(11); }},
      {"Finished", "The worker said that the training is done.", [](Scenario& s) { s.trains(250).exits(0); }},
      {"Fatal: until the cooldown is over", "Too many attempts in a row without progress.",
       [](Scenario& s) {
         s.trains(250);
         while (s.state.phase != Phase::fatal) {
           s.dies_of(11);
           if (s.state.phase == Phase::backoff) s.overdue();
           if (s.state.phase == Phase::starting) s.launched(250);
         }
       }},
      {"Fatal: for good", "The configuration or the data must change first.",
       [](Scenario& s) { s.trains(250).exits(78); }},
  };
}

std::vector<Shown> shown_states() {
  std::vector<Shown> out = {
      {"Stopped", "Nothing runs, nothing is wanted.", [](Scenario& s) { s.trains(250).stop().exits(75); }},
      {"Starting: settling where to resume",
       "A launch is being prepared. (A spawn is answered before anything else is heard.)",
       [](Scenario& s) { s.start(); }},
  };
  for (auto& one : states_with_a_worker()) out.push_back(std::move(one));
  for (auto& one : states_without_a_worker()) out.push_back(std::move(one));
  return out;
}

std::string chapter_of(const Shown& shown) {
  Scenario before;
  before.state.attempt = 1;  // there was an attempt before
  shown.lead(before);
  std::vector<Happening> all = happenings();
  if (!shown.silences.empty()) {
    all.insert(all.end(), shown.silences.begin(), shown.silences.end());
  } else if (before.state.deadline) {
    all.push_back({"silence for " + silence_in_words(before), [](Scenario& s) { s.overdue(); }});
  }
  std::vector<std::vector<std::string>> rows = {{"what happens", "state that follows", "what is done", "silence"}};
  std::vector<std::string> noted;
  std::vector<std::string> nothing;
  const std::string was = state_in_words(before.state);
  for (const Happening& one : all) {
    Scenario after = before;
    after.actions.clear();
    after.alarm = false;
    after.after(seconds{1});
    one.happen(after);
    const std::string is = state_in_words(after.state);
    const bool waits_on = after.state.deadline == before.state.deadline;
    if (after.state == before.state && after.actions.empty()) {
      nothing.push_back(one.name);
    } else if (is == was && waits_on && after.actions.empty() && !after.alarm) {
      noted.push_back(one.name);
    } else {
      const std::string done = in_words(after.actions) + (after.alarm ? "alarm" : "");
      rows.push_back({one.name, is == was ? "same" : is, done, waits_on ? "same" : silence_in_words(after)});
    }
  }
  return "\n### " + shown.title + "\n\n" + shown.about + "\n\n" + table(rows) + listed("Noted, and no more", noted) +
         listed("Nothing follows from", nothing);
}

std::string stop_in_words(const State& state) {
  if (!state.has_process()) return "rescuing";
  switch (state.stop_step) {
    case StopStep::evidence: return "gathering evidence";
    case StopStep::terminate: return "SIGTERM sent";
    case StopStep::abort: return "SIGABRT sent";
    case StopStep::kill: return "SIGKILL sent";
    case StopStep::unkillable: return "unkillable";
  }
  return "";
}

}  // namespace

std::string state_in_words(const State& state) {
  const std::string phase(to_string(state.phase));
  if (state.clocks.suspected) return phase + ": being looked at";
  if (state.phase == Phase::starting) return phase + (state.has_process() ? ": waiting for READY" : ": settling");
  if (state.phase == Phase::stopping) return phase + ": " + stop_in_words(state);
  if (state.phase == Phase::fatal) return phase + (state.deadline ? ": until the cooldown is over" : ": for good");
  return phase;
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows.front().size(), 3);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t i = 0; i < widths.size(); ++i) {
      out += "| " + rows[r][i] + std::string(widths[i] - rows[r][i].size(), ' ') + " ";
    }
    out += "|\n";
    if (r > 0) continue;
    for (const std::size_t width : widths) out += "|" + std::string(width + 2, '-');
    out += "|\n";
  }
  return out;
}

std::string states_chapter() {
  std::string out = "\n## States and events\n";
  for (const Shown& shown : shown_states()) out += chapter_of(shown);
  return out;
}

std::string state_machine_page() {
  return kIntroduction + causes_chapter() + clocks_chapter() + states_chapter();
}

}  // namespace ts::core
