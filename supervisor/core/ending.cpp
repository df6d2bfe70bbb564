// From a worker that runs to none, and what follows from its end.
#include <algorithm>
#include <utility>

#include "common/base/text.h"
#include "supervisor/core/step.h"

namespace ts::core {

void Step::end_worker(Cause cause, std::string reason) {
  s().stop_cause = cause;
  if (cause == Cause::asked) {
    s().stop_step = StopStep::terminate;
    enter(Phase::stopping, std::move(reason), policy_.stop_timeout);
    act(SignalWorker{Signal::terminate});
    return;
  }
  // Once a signal is sent, what it was doing is gone.
  s().stop_step = StopStep::evidence;
  enter(Phase::stopping, reason, policy_.evidence);
  act(GatherEvidence{s().attempt, cause, std::move(reason)});
}

void Step::terminate(std::string reason) {
  s().stop_step = StopStep::terminate;
  enter(Phase::stopping, std::move(reason), policy_.hang_grace);
  act(SignalWorker{Signal::terminate});
}

void Step::operator()(const EvidenceGathered& event) {
  const bool awaited = s().phase == Phase::stopping && s().has_process() && s().stop_step == StopStep::evidence;
  if (!awaited || event.attempt != s().attempt) return;
  terminate("sending SIGTERM to worker " + std::to_string(s().pid) + " (" + std::string(to_string(s().stop_cause)) +
            ")" + (event.where.empty() ? "" : "; what it was doing is in " + event.where));
}

void Step::escalate() {
  const auto go_on = [&](StopStep step, const std::string& why, Duration wait, Signal signal) {
    s().stop_step = step;
    enter(Phase::stopping, "worker " + std::to_string(s().pid) + why, wait);
    act(SignalWorker{signal});
  };
  switch (s().stop_step) {
    case StopStep::evidence:
      return terminate("gathering evidence took too long; sending SIGTERM to worker " + std::to_string(s().pid));
    case StopStep::terminate:
      return go_on(StopStep::abort, " did not end after SIGTERM; sending SIGABRT", policy_.abort_grace, Signal::abort);
    case StopStep::abort:
      return go_on(StopStep::kill, " did not end after SIGABRT; sending SIGKILL", policy_.kill_grace, Signal::kill);
    case StopStep::kill:
    case StopStep::unkillable: break;
  }
  go_on(StopStep::unkillable,
        " does not end even after SIGKILL: it hangs in the kernel, on a device most likely; waiting, and starting no "
        "second one beside it",
        policy_.kill_grace, Signal::kill);
  if (s().shutting_down) act(LeaveDaemon{});  // the next supervisor finds it by what was saved about it
}

void Step::operator()(const WorkerExited& event) {
  if (!s().has_process() || event.attempt != s().attempt) return;
  const std::string what = "worker " + std::to_string(s().pid) + " " + describe(event.status);
  const Cause own = classify(event.status);
  // A worker that we were ending ended because of that, unless it says that the training is done.
  const bool being_ended = s().phase == Phase::stopping;
  // Whoever finishes says READY first. (Else a program that forks away, or does nothing at all, would be a success.)
  const bool done_nothing = s().phase == Phase::starting && own == Cause::finished;
  const Cause cause = being_ended && own != Cause::finished ? s().stop_cause : done_nothing ? Cause::error_exit : own;
  if (!being_ended) s().stop_cause = own;
  s().pid = 0;
  settle_end({cause, event.status, what + (done_nothing ? " before it was ready" : ""),
              event.last_words.empty() ? "" : ". Its last words: " + event.last_words, false});
}

// Whoever says that it has saved its state left nothing behind, and what one announced that trained another run is none
// of this one's.
bool leaves_work(const State& state, const ExitStatus& status) {
  const Cause own = classify(status);
  const bool saved_itself = own == Cause::finished || own == Cause::interrupted;
  return state.snapshot != 0 && !saved_itself && !resumed_elsewhere(state);
}

// What was in the memory of one that did not save it itself comes first.
void Step::settle_end(Ending ending) {
  if (!leaves_work(s(), ending.status)) return after_end(ending);
  enter(Phase::stopping, ending.what + "; saving episode " + std::to_string(s().snapshot) + ", which it left in memory",
        policy_.notice);
  act(RescueSnapshot{s().attempt});
  s().ending = std::move(ending);
}

// What could not be written so far is tried before every launch; when the supervisor leaves, for the last time.
void Step::rescue_before_leaving() {
  s().snapshot = s().unsaved;
  enter(Phase::stopping,
        "the supervisor is leaving; trying once more to save episode " + std::to_string(s().unsaved) +
            ", which a worker left in memory",
        policy_.notice);
  act(SaveState{});
  act(RescueSnapshot{s().attempt});
  s().stop_cause = Cause::asked;
  s().ending = Ending{Cause::asked, {}, "the supervisor is leaving", {}, false};
}

void Step::operator()(const RescueSettled& event) {
  if (!s().ending || event.attempt != s().attempt) return;
  Ending ending = *std::exchange(s().ending, std::nullopt);
  const std::int64_t held = std::exchange(s().snapshot, 0);
  s().unsaved = event.still_held ? held : 0;
  if (!event.what.empty()) ending.what += "; " + event.what;
  after_end(ending);
}

void Step::after_end(const Ending& ending) {
  const auto& [cause, status, what, last_words, relaunch_asked] = ending;
  const Cause own = classify(status);
  // Only a wish that came while it ran: one that died while carrying a wish out is an incident like any other (P10).
  const bool ended_as_asked = s().stop_cause == Cause::asked;
  const bool goes_elsewhere =
      ended_as_asked && s().desired == Desired::up && s().next_launch.kind != LaunchFrom::Kind::newest;
  if (cause == Cause::finished && !goes_elsewhere) {
    s().next_launch = {};
    s().finished_total = reached_goal();
    if (s().finished_total >= policy_.total_episodes) {
      const std::int64_t done = s().progress.total > 0 ? s().progress.total : s().finished_total;
      enter(Phase::finished, "all " + std::to_string(done) + " episodes are done (" + what + ")");
      act(SaveState{});
      if (s().shutting_down) act(LeaveDaemon{});
      return;
    }
    // An adopted worker whose goal has been raised since. (Every launch has the goal of its day, so this does not
    // repeat.)
    if (s().desired == Desired::up) {
      launch(what + "; the " + std::to_string(s().finished_total) +
             " episodes that it was launched for are done, and " + std::to_string(policy_.total_episodes) +
             " are asked for now; starting " + attempt_name(s().attempt + 1));
      return;
    }
  }
  if (s().desired == Desired::down) {
    if (cause != Cause::asked && cause != Cause::finished) record(cause, what, "staying down, as asked meanwhile");
    const bool as_wished = cause == Cause::asked && (own == Cause::interrupted || own == Cause::killed_outside);
    enter(Phase::stopped, what + "; stopped because it was asked for" + (as_wished ? std::string() : last_words));
    act(SaveState{});
    if (s().shutting_down) act(LeaveDaemon{});
    return;
  }
  // How an adopted worker ended cannot be read. One that had come to its goal most likely finished: that is no
  // incident, and the next one finds out whether the end is saved.
  if (cause == Cause::unknown && s().goal > 0 && s().progress.episode >= reached_goal()) {
    launch(what + "; it had completed the " + std::to_string(reached_goal()) +
           " episodes that it was launched for; starting " + attempt_name(s().attempt + 1) + " to go on from there");
    return;
  }
  if (cause == Cause::asked || goes_elsewhere || relaunch_asked) {
    const std::string decision = "starting " + attempt_name(s().attempt + 1) + " as asked";
    if (relaunch_asked && cause != Cause::asked) record(cause, what, decision);
    launch(what + "; " + decision);
    return;
  }
  count_against_resume_point(ending);
  note_attempt();
  incident(cause, what, last_words);
}

// A resume point is condemned by those who die before they complete an episode from it, in a row.
void Step::count_against_resume_point(const Ending& ending) {
  const ResumePoint& from = s().resume;
  const bool achieved = s().progress.episode > from.episode;
  if (from.path.empty() || from.foreign || achieved || s().stopped_outside) return;
  // However it was ended, what counts is what it was ended for.
  if (!may_be_poison(ending.cause, ending.status)) return;
  if (s().poison.episode != from.episode) s().poison = {from.episode, 0};
  ++s().poison.deaths;
}

// How far a worker that says that it is done has come: by what it was launched for, whatever the configuration says by
// now, or further if it knows of more.
std::int64_t Step::reached_goal() const {
  const State& state = t_.state;
  if (state.goal > 0) return std::max(state.goal, state.progress.total);
  return state.progress.total > 0 ? state.progress.total : policy_.total_episodes;
}

void Step::count(Cause cause) {
  ++s().restarts[cause];
  s().last_cause = cause;
}

void Step::record(Cause cause, const std::string& what, const std::string& decision) {
  count(cause);
  act(RecordIncident{s().attempt, cause, what, decision});
}

// One is over, and whether it got the training any further.
void Step::note_attempt() {
  if (!s().fruitful) ++s().fruitless;
}

// What follows from an end that nobody asked for.
Step::Sequel Step::sequel_of(Cause cause) const {
  const State& state = t_.state;
  if (is_permanent(cause)) return {Phase::fatal, {}, "it would fail the same way again, so it is not retried"};
  const std::string fruitless = std::to_string(state.fruitless);
  if (state.fruitless >= policy_.max_attempts_without_progress) {
    return {Phase::fatal, policy_.cooldown,
            fruitless + (state.fruitless == 1 ? " attempt" : " attempts in a row") +
                " got no further; trying again in " + human_duration(policy_.cooldown)};
  }
  const Duration delay =
      restart_delay(state.incidents, policy_, spread_from(static_cast<std::uint64_t>(state.attempt)));
  if (delay == Duration::zero()) return {Phase::starting, {}, "relaunching at once"};
  const std::string why = state.fruitless == 0 ? "" : fruitless + " in a row without progress, ";
  return {Phase::backoff, delay, why + "relaunching in " + human_duration(delay)};
}

void Step::incident(Cause cause, const std::string& what, const std::string& last_words) {
  ++s().incidents;
  count(cause);
  const std::int64_t attempt = s().attempt;
  const Sequel next = sequel_of(cause);
  const std::string reason = what + " (" + std::string(to_string(cause)) + "); " + next.decision + last_words;
  if (next.phase == Phase::starting) {
    launch(reason);
  } else {
    if (!next.wait) s().next_launch = {};  // nobody will carry it out
    enter(next.phase, reason, next.wait);
    act(SaveState{});
  }
  act(RecordIncident{attempt, cause, what, next.decision});  // what is done comes before what is written about it
}

void Step::operator()(const DeadlinePassed&) {
  if (!s().deadline || now_ < *s().deadline) return;
  const std::string who = "worker " + std::to_string(s().pid);
  switch (s().phase) {
    case Phase::starting:
      if (!s().has_process()) return say_still_waiting("settling where to resume");
      if (s().clocks.suspected) return judge({false, false, "it could not be looked at"});
      return suspect(Cause::start_timeout, who + " was not ready within " + human_duration(policy_.startup_timeout));
    case Phase::running: return running_deadline();
    case Phase::stopping:
      if (!s().has_process()) return say_still_waiting("saving what the worker left in memory");
      return escalate();
    case Phase::backoff: launch(attempt_name(s().attempt + 1) + ", after the wait"); return;
    case Phase::fatal:
      s().incidents = s().fruitless = 0;
      launch(attempt_name(s().attempt + 1) + ", after the cooldown");
      return;
    case Phase::stopped:
    case Phase::finished: s().deadline.reset(); return;
  }
}

}  // namespace ts::core
