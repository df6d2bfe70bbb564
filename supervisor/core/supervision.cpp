#include "supervisor/core/supervision.h"

#include <algorithm>
#include <utility>

#include "common/base/text.h"

namespace ts::core {
namespace {

// Nobody means to be silent for longer, and a number that a hostile worker makes up must not overflow the clock.
constexpr std::chrono::hours kExtensionMax{24 * 365};
constexpr int kStopExtensionFactor = 10;  // of stop_timeout

// One call of step: the state under change and what has been decided so far.
class Step {
 public:
  Step(State state, Instant now, const Policy& policy) : t_{std::move(state), {}, {}}, now_(now), policy_(policy) {}

  Transition take() { return std::move(t_); }

  void operator()(const StartRequested& event);
  void operator()(const StopRequested&);
  void operator()(const RestartRequested& event);
  void operator()(const ShutdownRequested& event);
  void operator()(const LaunchPrepared& event);
  void operator()(const LaunchRefused& event);
  void operator()(const WorkerSpawned& event);
  void operator()(const SpawnFailed& event);
  void operator()(const WorkerAdopted& event);
  void operator()(const MessageReceived& event);
  void operator()(const WorkerExited& event);
  void operator()(const DeadlinePassed&);

 private:
  // The only place that changes the phase.
  void enter(Phase phase, std::string reason, std::optional<Duration> wait = std::nullopt);
  void launch(std::string reason);
  void end_worker(Cause cause, std::string reason);
  void escalate();
  void after_end(Cause cause, Cause own, const std::string& what, const std::string& last_words);
  void incident(Cause cause, const std::string& what, const std::string& last_words = {});
  void arm_heartbeat();
  void extend_deadline(std::chrono::microseconds wanted);
  void note_progress(const protocol::NotifyMessage& message);

  State& s() { return t_.state; }
  void act(Action action) { t_.actions.push_back(std::move(action)); }
  Instant in(Duration wait) const { return now_ + wait; }

  Transition t_;
  Instant now_;
  const Policy& policy_;
};

std::string attempt_name(std::int64_t attempt) {
  return "attempt " + std::to_string(attempt);
}

void Step::enter(Phase phase, std::string reason, std::optional<Duration> wait) {
  s().phase = phase;
  s().since = now_;
  s().deadline = wait ? std::optional(in(*wait)) : std::nullopt;
  s().reason = std::move(reason);
  t_.note = s().reason;
}

void Step::launch(std::string reason) {
  ++s().attempt;
  s().pid = 0;
  s().resume = {};
  s().progress.resumed.reset();
  // No deadline yet: verifying large checkpoints on a slow disk may take its time.
  enter(Phase::starting, std::move(reason));
  act(SaveState{});
  act(PrepareLaunch{s().attempt, s().next_launch});
}

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

void Step::operator()(const StartRequested& event) {
  const bool goal_reached = s().finished_total > 0 && s().finished_total >= policy_.total_episodes &&
                            s().next_launch.kind == LaunchFrom::Kind::newest;
  if (s().shutting_down) {
    t_.note = "not starting: the supervisor is leaving";
    return;
  }
  s().desired = Desired::up;
  if (s().has_process() || s().phase == Phase::starting) return;
  if (goal_reached) {
    enter(Phase::finished, std::to_string(s().finished_total) + "/" + std::to_string(policy_.total_episodes) +
                               " episodes are done; raise training.episodes to go on");
    return;
  }
  if (event.by_operator) s().incidents = 0;
  launch(attempt_name(s().attempt + 1) + ", because it was asked for");
}

void Step::operator()(const StopRequested&) {
  s().desired = Desired::down;
  s().next_launch = {};
  if (s().has_process()) {
    if (s().phase != Phase::stopping) end_worker(Cause::asked, "stopping because it was asked for");
    act(SaveState{});
  } else if (s().phase != Phase::finished) {
    enter(Phase::stopped, "stopped because it was asked for");
    act(SaveState{});
  }
}

void Step::operator()(const RestartRequested& event) {
  if (s().shutting_down) {
    t_.note = "not restarting: the supervisor is leaving";
    return;
  }
  s().desired = Desired::up;
  s().next_launch = event.from;
  s().incidents = 0;
  if (event.from.kind != LaunchFrom::Kind::newest) s().finished_total = 0;
  if (s().has_process()) {
    if (s().phase != Phase::stopping) end_worker(Cause::asked, "stopping the worker to start it anew, as asked");
    s().stop_cause = Cause::asked;  // whatever it was being ended for
    act(SaveState{});
    return;
  }
  launch(attempt_name(s().attempt + 1) + ", because a restart was asked for");
}

void Step::operator()(const ShutdownRequested& event) {
  s().desired = Desired::down;
  s().shutting_down = true;
  if (!s().has_process()) {
    const bool keep = s().phase == Phase::finished || s().phase == Phase::fatal;
    if (!keep) enter(Phase::stopped, "the supervisor is leaving");
    act(SaveState{});
    act(LeaveDaemon{});
    return;
  }
  const bool being_killed =
      s().phase == Phase::stopping && (s().stop_step == StopStep::kill || s().stop_step == StopStep::unkillable);
  if (event.now && !being_killed) {
    s().stop_cause = Cause::asked;
    s().stop_step = StopStep::kill;
    enter(Phase::stopping, "asked again to stop: killing worker " + std::to_string(s().pid) + " now",
          policy_.kill_grace);
    act(SignalWorker{Signal::kill});
  } else if (s().phase != Phase::stopping) {
    end_worker(Cause::asked, "the supervisor is leaving; the worker is saving its state");
  }
}

void Step::operator()(const LaunchPrepared& event) {
  if (s().phase != Phase::starting || s().has_process() || event.attempt != s().attempt) return;
  s().resume = event.resume;
  s().progress.episode = event.resume.episode;
  // Going back, or fresh, begins the history of this run's progress anew.
  if (s().next_launch.kind != LaunchFrom::Kind::newest) s().high_water = event.resume.episode;
  act(SaveState{});
  act(SpawnWorker{s().attempt, event.resume});
}

void Step::operator()(const LaunchRefused& event) {
  if (s().phase != Phase::starting || s().has_process() || event.attempt != s().attempt) return;
  if (event.permanent) {
    s().last_cause = event.cause;
    s().next_launch = {};
    enter(Phase::fatal, event.why);
    act(SaveState{});
    return;
  }
  incident(event.cause, event.why);
}

void Step::operator()(const WorkerSpawned& event) {
  if (s().phase != Phase::starting || s().has_process() || event.attempt != s().attempt) return;
  s().pid = event.pid;
  act(SaveState{});
  const std::string from = s().resume.path.empty() ? "from the beginning" : "from " + s().resume.path;
  const std::string what = attempt_name(s().attempt) + " runs as process " + std::to_string(event.pid) + ", " + from;
  // Whoever does not beat cannot say READY either.
  if (policy_.heartbeat_timeout == Duration::zero()) {
    s().next_launch = {};
    enter(Phase::running, what);
  } else {
    enter(Phase::starting, what, policy_.startup_timeout);
  }
}

void Step::operator()(const SpawnFailed& event) {
  if (s().phase != Phase::starting || s().has_process() || event.attempt != s().attempt) return;
  incident(Cause::exec_failed, event.why);
}

void Step::operator()(const WorkerAdopted& event) {
  if (s().has_process()) return;
  s().desired = Desired::up;
  s().pid = event.pid;
  s().last_heard = now_;
  if (s().next_launch.kind != LaunchFrom::Kind::newest) {
    end_worker(Cause::asked, "adopted worker " + std::to_string(event.pid) +
                                 " and ending it: the earlier supervisor was asked to start elsewhere");
    return;
  }
  // It may be loading or saving, which it told the other one: its first sign of life may take as long as a start.
  enter(Phase::running, "adopted worker " + std::to_string(event.pid) + ", which outlived an earlier supervisor");
  if (policy_.heartbeat_timeout > Duration::zero()) {
    s().deadline = in(std::max(policy_.startup_timeout, policy_.heartbeat_timeout));
  }
  act(SaveState{});
}

void Step::arm_heartbeat() {
  if (policy_.heartbeat_timeout > Duration::zero()) s().deadline = in(policy_.heartbeat_timeout);
}

void Step::note_progress(const protocol::NotifyMessage& message) {
  Progress& progress = s().progress;
  // A worker may know better than we where it resumes (a file of another origin, checkpoints of its own): that is where
  // it begins, and no progress.
  if (message.resumed) {
    progress.episode = *message.resumed;
    s().high_water = std::max(s().high_water, *message.resumed);
  }
  if (message.episode) {
    if (*message.episode > s().high_water) {
      s().high_water = *message.episode;
      s().incidents = 0;
    }
    progress.episode = *message.episode;
  }
  if (message.total) progress.total = *message.total;
  if (message.step) progress.step = *message.step;
  if (message.phase) progress.phase = message.phase;
  if (message.metrics) progress.metrics = *message.metrics;
  if (message.status) progress.status = *message.status;
  if (message.resumed) progress.resumed = message.resumed;
}

void Step::operator()(const MessageReceived& event) {
  if (!s().has_process() || event.attempt != s().attempt) return;
  const protocol::NotifyMessage& message = event.message;
  s().last_heard = now_;
  note_progress(message);
  if (message.watchdog_trigger && s().phase == Phase::running) {
    end_worker(Cause::heartbeat_lost, "worker " + std::to_string(s().pid) + " asked to be treated as hung");
    return;
  }
  if (s().phase == Phase::starting && message.ready) {
    // Carried out: whatever comes next starts from the newest checkpoint again.
    s().next_launch = {};
    act(SaveState{});
    enter(Phase::running, attempt_name(s().attempt) + " is training");
    arm_heartbeat();
  } else if (s().phase == Phase::running && (message.watchdog || message.ready || message.episode || message.step)) {
    arm_heartbeat();
  }
  if (message.extend_timeout && s().deadline) extend_deadline(*message.extend_timeout);
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
    s().finished_total = std::max(policy_.total_episodes, s().progress.total);
    const std::int64_t done = s().progress.total > 0 ? s().progress.total : s().finished_total;
    enter(Phase::finished, "all " + std::to_string(done) + " episodes are done (" + what + ")");
    act(SaveState{});
    if (s().shutting_down) act(LeaveDaemon{});
    return;
  }
  if (s().desired == Desired::down) {
    const bool as_wished = cause == Cause::asked && (own == Cause::interrupted || own == Cause::killed_outside);
    enter(Phase::stopped, what + "; stopped because it was asked for" + (as_wished ? std::string() : last_words));
    act(SaveState{});
    if (s().shutting_down) act(LeaveDaemon{});
    return;
  }
  if (cause == Cause::asked || goes_elsewhere) {
    launch(what + "; starting " + attempt_name(s().attempt + 1) + " as asked");
    return;
  }
  incident(cause, what, last_words);
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

}  // namespace

Transition step(State state, const Event& event, Instant now, const Policy& policy) {
  Step transition(std::move(state), now, policy);
  std::visit(transition, event);
  return transition.take();
}

}  // namespace ts::core
