// What must hold after every step, whatever happened: checked by the scenarios, the sweep and the random histories.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "supervisor/core/supervision.h"

namespace ts::core {

template <class T>
bool holds(const std::vector<Action>& actions) {
  for (const Action& action : actions) {
    if (std::holds_alternative<T>(action)) return true;
  }
  return false;
}

inline bool is_spawn_or_adoption(const Event& event) {
  return std::holds_alternative<WorkerSpawned>(event) || std::holds_alternative<WorkerAdopted>(event);
}

// What the actions of one step may be, given the state they come with.
inline std::string broken_by_actions(const Transition& transition) {
  const State& state = transition.state;
  bool saved = false;
  int launches = 0;
  const bool wished = state.next_launch.kind != LaunchFrom::Kind::newest;
  for (const Action& action : transition.actions) {
    if (const auto* save = std::get_if<SaveState>(&action)) saved = !wished || save->when == SaveState::When::durable;
    if (const auto* prepare = std::get_if<PrepareLaunch>(&action)) {
      ++launches;
      if (state.phase != Phase::starting || state.has_process()) return "a launch is prepared beside a worker";
      if (!saved) return "a launch is prepared and nobody writes it down, or a wish before it is durable";
      if (prepare->attempt != state.attempt) return "a launch is prepared for another attempt";
      if (prepare->poison && prepare->from.kind != LaunchFrom::Kind::newest) return "what was asked for is condemned";
      if (prepare->poison && prepare->poison->episode == 0) return "nothing is condemned";
    }
    if (const auto* spawn = std::get_if<SpawnWorker>(&action)) {
      ++launches;
      if (state.phase != Phase::starting || state.has_process()) return "a worker is spawned beside another";
      if (wished && !saved) return "a worker is spawned as wished before that is durable";
      if (spawn->attempt != state.attempt) return "a worker is spawned for another attempt";
    }
    if (std::holds_alternative<InspectWorker>(action) || std::holds_alternative<GatherEvidence>(action)) {
      if (!state.has_process()) return "nobody is looked at";
    }
    if (std::holds_alternative<SignalWorker>(action)) {
      if (!state.has_process()) return "a signal is sent to nobody";
      if (state.phase != Phase::stopping) return "a signal is sent, but the worker is not being ended";
    }
    if (std::holds_alternative<LeaveDaemon>(action)) {
      // Unless nothing can end it: the next supervisor finds it by what was saved.
      const bool unkillable = state.phase == Phase::stopping && state.stop_step == StopStep::unkillable;
      if (state.has_process() && !unkillable) return "the supervisor leaves a worker behind";
      if (state.ending) return "the supervisor leaves before what the worker left in memory is safe (P5)";
      if (!state.shutting_down) return "the supervisor leaves, and nobody asked it to";
    }
  }
  return launches > 1 ? "two launches in one step" : "";
}

// A worker that does not save its state itself leaves what it announced, unless it trained another run (P3, P5).
inline std::string broken_rescue(const State& before, const Event& event, const Transition& transition) {
  const bool leaving = std::holds_alternative<ShutdownRequested>(event) && !before.is_occupied();
  if (leaving && before.unsaved != 0) {
    return holds<RescueSnapshot>(transition.actions) ? "" : "the supervisor leaves and tries no more to save (P5)";
  }
  const auto* exited = std::get_if<WorkerExited>(&event);
  if (exited == nullptr || exited->attempt != before.attempt || !before.has_process()) {
    return holds<RescueSnapshot>(transition.actions) ? "a rescue, and nobody died (P5)" : "";
  }
  const Cause own = classify(exited->status);
  const bool saved_itself = own == Cause::finished || own == Cause::interrupted;
  const bool told_elsewhere = !before.resume.path.empty() && !before.resume.foreign && before.progress.resumed &&
                              *before.progress.resumed != before.resume.episode;
  const bool due = before.snapshot != 0 && !saved_itself && !told_elsewhere;
  if (due != holds<RescueSnapshot>(transition.actions)) return "a rescue is missing, or one too many (P5)";
  return due != transition.state.ending.has_value() ? "a rescue whose end nobody waits for (P5)" : "";
}

// The clocks of a worker that is watched, and the one extension that each may get (P9).
inline std::string broken_clocks(const State& before, const Event& event, const State& after) {
  const Clocks& clocks = after.clocks;
  const bool watched = after.has_process() && (after.phase == Phase::starting || after.phase == Phase::running);
  if (clocks.suspected && !watched) return "somebody is looked at who is not watched (P9)";
  if (clocks.suspected && (!after.deadline || *after.deadline > *clocks.look_due)) return "a look without end (P9)";
  if (after.phase == Phase::running) {
    for (const auto& due : {clocks.beat.due, clocks.progress.due, clocks.durable_due}) {
      const bool replaced = clocks.suspected && due != clocks.durable_due;
      if (due && !replaced && (!after.deadline || *after.deadline > *due)) return "a clock that nobody hears (P9)";
    }
  }
  if (before.pid == 0 || before.pid != after.pid || std::holds_alternative<MessageReceived>(event)) return "";
  const std::pair<const Clock&, const Clock&> each[] = {{before.clocks.beat, clocks.beat},
                                                        {before.clocks.progress, clocks.progress}};
  for (const auto& [old, now] : each) {
    if (old.extended && now.extended && now.due > old.due) return "a second extension without a sign of life (P9)";
  }
  return "";
}

// P11: whatever is done to a worker is said.
inline std::string broken_by_silence(const State& before, const Transition& transition) {
  const auto& actions = transition.actions;
  const bool does_something = holds<SignalWorker>(actions) || holds<InspectWorker>(actions) ||
                              holds<GatherEvidence>(actions) || holds<RescueSnapshot>(actions) ||
                              holds<PrepareLaunch>(actions) || holds<RecordIncident>(actions);
  if (does_something && transition.note.empty()) return "something is done and nobody is told (P11)";
  if (transition.alarm && transition.note.empty()) return "an alarm without a word (P11)";
  if (transition.state.incidents > before.incidents && !holds<RecordIncident>(actions)) {
    return "an incident that nobody records (P11)";
  }
  return "";
}

// Empty when all is well, else what is not.
inline std::string broken(const State& before, const Event& event, const Transition& transition, const Policy& policy) {
  const State& after = transition.state;
  if (after.reason.empty()) return "no reason (P11)";
  if (after.phase != before.phase && transition.note.empty()) return "the phase changed and nobody was told (P11)";
  if (after.phase != before.phase && transition.note != after.reason) return "the log and the status disagree (P11)";
  if (before.pid != 0 && after.pid != 0 && before.pid != after.pid) return "one worker was replaced by another (P4)";
  if (before.pid != 0 && after.pid == 0 && !std::holds_alternative<WorkerExited>(event)) {
    return "a worker was forgotten (P4)";
  }
  if (before.pid == 0 && after.pid != 0 && !is_spawn_or_adoption(event)) return "a worker out of nowhere";
  if (after.phase == Phase::running && !after.has_process()) return "running without a worker";
  if (after.phase == Phase::stopping && !after.is_occupied()) return "stopping nothing";
  if (after.ending && (after.has_process() || after.phase != Phase::stopping))
    return "an end in suspense, beside a worker";
  const bool may_have =
      after.phase == Phase::running || after.phase == Phase::stopping || after.phase == Phase::starting;
  if (after.has_process() && !may_have) return "a worker in a phase that has none";
  const bool must_wake = after.phase == Phase::starting || after.phase == Phase::stopping ||
                         after.phase == Phase::backoff ||
                         (after.phase == Phase::running && policy.heartbeat_timeout > Duration::zero());
  if (must_wake && !after.deadline) return "nothing would ever happen again: no deadline (P10)";
  if (before.pid != 0 && before.pid == after.pid && before.phase == Phase::stopping &&
      after.stop_step < before.stop_step) {
    return "the escalation went back";
  }
  const bool not_needed = std::holds_alternative<WorkerAdopted>(event) && before.phase == Phase::starting;
  if (after.attempt < before.attempt - (not_needed ? 1 : 0)) return "the attempts go backwards";
  if (after.incidents < before.incidents && after.incidents != 0) return "incidents are forgotten one by one";
  if (after.fruitless > after.incidents) return "attempts without progress that did not end";
  if (after.fruitless > before.fruitless && after.fruitless >= policy.max_attempts_without_progress &&
      after.phase != Phase::fatal) {
    return "the budget was overrun (P10)";
  }
  if (after.phase == Phase::finished && before.phase != Phase::finished &&
      after.finished_total < policy.total_episodes) {
    return "finished, with a goal that is not reached";
  }
  for (const auto& trouble : {broken_rescue(before, event, transition), broken_clocks(before, event, after),
                              broken_by_silence(before, transition)}) {
    if (!trouble.empty()) return trouble;
  }
  return broken_by_actions(transition);
}

}  // namespace ts::core
