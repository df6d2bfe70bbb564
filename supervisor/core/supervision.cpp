#include "supervisor/core/supervision.h"

#include <algorithm>
#include <utility>

#include "common/base/text.h"
#include "supervisor/core/step.h"

namespace ts::core {

void Step::enter(Phase phase, std::string reason, std::optional<Duration> wait) {
  s().phase = phase;
  s().since = now_;
  s().deadline = wait ? std::optional(in(*wait)) : std::nullopt;
  s().reason = std::move(reason);
  s().clocks.suspected.reset();  // whoever was looked at in one phase is not judged in the next
  t_.note = s().reason;
}

void Step::launch(std::string reason) {
  ++s().attempt;
  s().pid = 0;
  s().resume = {};
  s().clocks = {};
  s().snapshot = 0;
  s().stopped_outside = false;
  s().tells_progress = false;
  s().fruitful = false;
  s().progress.resumed.reset();
  s().progress.total = 0;
  // Verifying large checkpoints on a slow disk may take its time, and is not judged: it is only said.
  enter(Phase::starting, std::move(reason), policy_.notice);
  const bool condemned = s().poison.deaths >= policy_.poison_after && !wished();
  act(SaveState{wished() ? SaveState::When::durable : SaveState::When::soon});
  act(PrepareLaunch{s().attempt, s().next_launch, condemned ? std::optional(s().poison) : std::nullopt});
}

void Step::say_still_waiting(const std::string& what) {
  t_.note = what + " has taken " + human_duration(std::chrono::duration_cast<Duration>(now_ - s().since)) +
            " so far; the disk is slow or does not answer";
  t_.alarm = true;
  s().deadline = now_ + (now_ - s().since);  // said less and less often
}

void Step::operator()(const StartRequested& event) {
  const bool goal_reached = s().finished_total > 0 && s().finished_total >= policy_.total_episodes &&
                            s().next_launch.kind == LaunchFrom::Kind::newest;
  if (s().shutting_down) {
    t_.note = "not starting: the supervisor is leaving";
    return;
  }
  s().desired = Desired::up;
  if (s().ending && event.by_operator) s().ending->relaunch_asked = true;
  if (s().is_occupied() || s().phase == Phase::starting) return;
  if (goal_reached) {
    enter(Phase::finished, std::to_string(s().finished_total) + "/" + std::to_string(policy_.total_episodes) +
                               " episodes are done; raise training.episodes to go on");
    return;
  }
  if (event.by_operator) {
    s().incidents = s().fruitless = 0;
    s().poison = {};
  }
  launch(attempt_name(s().attempt + 1) + ", because " + (event.why.empty() ? "it was asked for" : event.why));
}

void Step::operator()(const StopRequested&) {
  s().desired = Desired::down;
  s().next_launch = {};
  if (s().is_occupied()) {
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
  s().incidents = s().fruitless = 0;
  if (event.from.kind != LaunchFrom::Kind::newest) s().finished_total = 0;
  if (event.from.kind == LaunchFrom::Kind::fresh) s().restarts.clear();  // they are of the run that ends here
  s().poison = {};
  if (s().is_occupied()) {
    if (s().phase != Phase::stopping) end_worker(Cause::asked, "stopping the worker to start it anew, as asked");
    s().stop_cause = Cause::asked;  // whatever it was being ended for
    if (s().ending) s().ending->relaunch_asked = true;
    act(SaveState{});
    return;
  }
  launch(attempt_name(s().attempt + 1) + ", because a restart was asked for");
}

void Step::operator()(const ShutdownRequested& event) {
  s().desired = Desired::down;
  s().shutting_down = true;
  if (!s().is_occupied()) {
    if (s().unsaved != 0) return rescue_before_leaving();
    const bool keep = s().phase == Phase::finished || s().phase == Phase::fatal;
    if (!keep) enter(Phase::stopped, "the supervisor is leaving");
    act(SaveState{});
    act(LeaveDaemon{});
    return;
  }
  const bool being_killed =
      !s().has_process() ||
      (s().phase == Phase::stopping && (s().stop_step == StopStep::kill || s().stop_step == StopStep::unkillable));
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
  // Set aside, or no longer the newest: whoever puts it back wants it tried again.
  if (s().poison.episode != event.resume.episode) s().poison = {};
  s().unsaved = 0;  // that came first
  s().goal = policy_.total_episodes;
  s().progress.episode = event.resume.episode;
  // Those are of the worker before; this one may go back behind its steps.
  s().progress.phase.reset();
  s().progress.step = 0;
  s().progress.status.clear();
  if (event.resume.path.empty()) s().progress.metrics.clear();
  // Going back, or fresh, begins the history of this run's progress anew.
  if (wished()) s().high_water = event.resume.episode;
  // A wish is kept whatever happens. All else can wait until the worker is on its way: one that was launched is found
  // by its marks, written down or not.
  if (wished()) act(SaveState{});
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
  // No attempt was made where what the worker before left in memory finds no room: that may take as long as it does.
  if (s().unsaved == 0) note_attempt();
  incident(event.cause, as_clause(event.why));
}

void Step::operator()(const WorkerSpawned& event) {
  if (s().phase != Phase::starting || s().has_process() || event.attempt != s().attempt) return;
  s().pid = event.pid;
  act(SaveState{SaveState::When::written});
  const std::string from = s().resume.path.empty() ? "from the beginning" : "from " + s().resume.path;
  const std::string what = attempt_name(s().attempt) + " runs as process " + std::to_string(event.pid) + ", " + from;
  // Whoever does not beat cannot say READY either.
  if (policy_.heartbeat_timeout == Duration::zero()) {
    s().next_launch = {};
    begin_running(what);
  } else {
    enter(Phase::starting, what, policy_.startup_timeout);
  }
}

void Step::operator()(const SpawnFailed& event) {
  if (s().phase != Phase::starting || s().has_process() || event.attempt != s().attempt) return;
  note_attempt();
  incident(Cause::exec_failed, as_clause(event.why));
}

void Step::operator()(const WorkerAdopted& event) {
  if (s().is_occupied()) return;
  s().desired = Desired::up;
  if (event.launched_as != 0) {
    const std::int64_t launched = s().attempt - (s().phase == Phase::starting ? 1 : 0);  // a prepared one is not needed
    if (event.launched_as != launched) {  // what is remembered is of another launch
      s().goal = 0;
      s().tells_progress = false;
    }
    s().resume = event.resume;
    s().attempt = std::max(launched, event.launched_as);
  }
  s().pid = event.pid;
  s().unsaved = 0;   // it trains on from elsewhere
  act(SaveState{});  // nobody may have written it down yet
  if (s().next_launch.kind != LaunchFrom::Kind::newest) {
    end_worker(Cause::asked, "adopted worker " + std::to_string(event.pid) +
                                 " and ending it: the earlier supervisor was asked to start elsewhere");
    return;
  }
  // It may be loading or saving, which it told the other one: its first sign of life may take as long as a start.
  const bool goes_on = s().goal > 0 && s().goal < policy_.total_episodes;
  begin_running("adopted worker " + std::to_string(event.pid) + ", which trained on when " + event.when +
                (goes_on ? "; it was launched for " + std::to_string(s().goal) + " episodes, the rest to " +
                               std::to_string(policy_.total_episodes) + " follows when it is done"
                         : std::string()));
  if (s().clocks.beat.due) s().clocks.beat.due = in(std::max(policy_.startup_timeout, policy_.heartbeat_timeout));
  begin_adopted_progress_clock();
  arm();
}

Transition step(State state, const Event& event, Instant now, const Policy& policy) {
  Step transition(std::move(state), now, policy);
  std::visit(transition, event);
  return transition.take();
}

}  // namespace ts::core
