// From a worker that runs to none, and what follows from its end.
#include <algorithm>
#include <utility>

#include "common/base/text.h"
#include "supervisor/core/step.h"

namespace ts::core {
namespace {

// Nobody means to be silent for longer, and a number that a hostile worker makes up must not overflow the clock.
constexpr std::chrono::hours kExtensionMax{24 * 365};
constexpr int kStopExtensionFactor = 10;  // of stop_timeout

}  // namespace

void Step::end_worker(Cause cause, std::string reason) {
  s().stop_cause = cause;
  s().stop_step = StopStep::terminate;
  const bool asked = cause == Cause::asked;
  enter(Phase::stopping, std::move(reason), asked ? policy_.stop_timeout : policy_.hang_grace);
  act(SignalWorker{Signal::terminate});
}

void Step::escalate() {
  const auto go_on = [&](StopStep step, const std::string& why, Duration wait, Signal signal) {
    s().stop_step = step;
    enter(Phase::stopping, "worker " + std::to_string(s().pid) + why, wait);
    act(SignalWorker{signal});
  };
  switch (s().stop_step) {
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

// Later, never earlier. A worker that is being ended gets more time for its last save only when it was asked to stop,
// and not for ever.
void Step::extend_deadline(std::chrono::microseconds wanted) {
  Instant extended = now_ + std::min<std::chrono::microseconds>(wanted, kExtensionMax);
  if (s().phase == Phase::stopping) {
    if (s().stop_cause != Cause::asked || s().stop_step != StopStep::terminate) return;
    extended = std::min<Instant>(extended, s().since + kStopExtensionFactor * policy_.stop_timeout);
  }
  s().deadline = std::max(*s().deadline, extended);
}

void Step::operator()(const WorkerExited& event) {
  if (!s().has_process() || event.attempt != s().attempt) return;
  const std::string what = "worker " + std::to_string(s().pid) + " " + describe(event.status);
  const Cause own = classify(event.status);
  // A worker that we were ending ended because of that, unless it says that the training is done.
  const Cause cause = s().phase == Phase::stopping && own != Cause::finished ? s().stop_cause : own;
  s().pid = 0;
  after_end(cause, own, what, event.last_words.empty() ? "" : ". Its last words: " + event.last_words);
}

void Step::after_end(Cause cause, Cause own, const std::string& what, const std::string& last_words) {
  // Only a wish that came while it ran: one that died while carrying a wish out is an incident like any other (P10).
  const bool ended_as_asked = s().phase == Phase::stopping && s().stop_cause == Cause::asked;
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
  if (cause == Cause::asked || goes_elsewhere) {
    launch(what + "; starting " + attempt_name(s().attempt + 1) + " as asked");
    return;
  }
  incident(cause, what, last_words);
}

// How far a worker that says that it is done has come: by what it was launched for, whatever the configuration says by
// now, or further if it knows of more.
std::int64_t Step::reached_goal() const {
  const State& state = t_.state;
  if (state.goal > 0) return std::max(state.goal, state.progress.total);
  return state.progress.total > 0 ? state.progress.total : policy_.total_episodes;
}

// An end that nobody asked for, and what follows from it.
void Step::incident(Cause cause, const std::string& what, const std::string& last_words) {
  ++s().restarts[cause];
  ++s().incidents;
  s().last_cause = cause;
  const std::string named = what + " (" + std::string(to_string(cause)) + ")";
  if (is_permanent(cause)) {
    s().next_launch = {};
    enter(Phase::fatal, named + "; it would fail the same way again, so it is not retried" + last_words);
    act(SaveState{});
    return;
  }
  if (s().incidents > policy_.max_attempts_without_progress) {
    enter(Phase::fatal,
          named + "; " + std::to_string(s().incidents) + " attempts in a row got no further; trying again in " +
              human_duration(policy_.cooldown) + last_words,
          policy_.cooldown);
    act(SaveState{});
    return;
  }
  const Duration delay = restart_delay(s().incidents, policy_, spread_from(static_cast<std::uint64_t>(s().attempt)));
  if (delay == Duration::zero()) {
    launch(named + "; relaunching at once" + last_words);
    return;
  }
  enter(Phase::backoff,
        named + "; " + std::to_string(s().incidents) + " in a row without progress, relaunching in " +
            human_duration(delay) + last_words,
        delay);
  act(SaveState{});
}

void Step::operator()(const DeadlinePassed&) {
  if (!s().deadline || now_ < *s().deadline) return;
  const std::string who = "worker " + std::to_string(s().pid);
  const auto silence = std::chrono::duration_cast<Duration>(now_ - s().last_heard);
  switch (s().phase) {
    case Phase::starting:
      return end_worker(Cause::start_timeout,
                        who + " was not ready within " + human_duration(policy_.startup_timeout) + "; ending it");
    case Phase::running:
      return end_worker(Cause::heartbeat_lost,
                        who + " sent no heartbeat for " + human_duration(silence) + "; ending it");
    case Phase::stopping: escalate(); return;
    case Phase::backoff: launch(attempt_name(s().attempt + 1) + ", after the wait"); return;
    case Phase::fatal:
      s().incidents = 0;
      launch(attempt_name(s().attempt + 1) + ", after the cooldown");
      return;
    case Phase::stopped:
    case Phase::finished: s().deadline.reset(); return;
  }
}

}  // namespace ts::core
