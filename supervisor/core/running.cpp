// A worker that is being watched: what it says, and the three clocks that it is held to.
#include <algorithm>
#include <utility>

#include "common/base/text.h"
#include "supervisor/core/step.h"

namespace ts::core {
namespace {

// Nobody means to be silent for longer, and a number that a hostile worker makes up must not overflow the clock.
constexpr std::chrono::hours kExtensionMax{24 * 365};
constexpr int kStopExtensionFactor = 10;  // of stop_timeout

std::optional<Instant> earlier(std::optional<Instant> a, std::optional<Instant> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

Duration rounded(Instant span) {
  return std::chrono::duration_cast<Duration>(span);
}

}  // namespace

void Step::begin_running(std::string reason) {
  enter(Phase::running, std::move(reason));
  s().clocks = {};
  s().clocks.beaten = s().clocks.progressed = now_;
  s().clocks.phase_since = now_;
  if (policy_.heartbeat_timeout > Duration::zero()) s().clocks.beat.due = in(policy_.heartbeat_timeout);
  arm();
}

// The phase's deadline is whatever comes first.
void Step::arm() {
  if (s().phase != Phase::running) return;
  const Clocks& clocks = s().clocks;
  const auto looked_at = clocks.suspected ? clocks.look_due : earlier(clocks.beat.due, clocks.progress.due);
  s().deadline = earlier(looked_at, clocks.durable_due);
}

Step::Advance Step::note_progress(const protocol::NotifyMessage& message) {
  Progress& progress = s().progress;
  const std::pair before{progress.episode, progress.step};
  if (message.episode) {
    if (*message.episode > s().high_water) {
      s().high_water = *message.episode;
      s().incidents = s().fruitless = 0;
      s().fruitful = true;
    }
    progress.episode = *message.episode;
  }
  if (progress.episode > s().resume.episode) s().poison = {};
  if (message.total) progress.total = *message.total;
  if (message.step) progress.step = *message.step;
  if (message.phase) progress.phase = message.phase;
  if (message.metrics) progress.metrics = *message.metrics;
  if (message.status) progress.status = *message.status;
  if (message.snapshot) s().snapshot = message.snapshot->episode;
  return {progress.episode > before.first, std::pair{progress.episode, progress.step} > before};
}

// What it says that it loaded is compared with what it was told: training on from somewhere else is no resume.
bool resumed_elsewhere(const State& state) {
  const ResumePoint& told = state.resume;
  const auto& loaded = state.progress.resumed;
  return loaded && !told.path.empty() && !told.foreign && *loaded != told.episode;
}

void Step::end_wrong_resume() {
  if (s().phase == Phase::stopping) return;
  end_worker(Cause::wrong_resume, "worker " + std::to_string(s().pid) + " says that it resumed from episode " +
                                      std::to_string(*s().progress.resumed) + ", and was told to resume from episode " +
                                      std::to_string(s().resume.episode) + "; ending it");
}

void Step::operator()(const MessageReceived& event) {
  if (!s().has_process() || event.attempt != s().attempt) return;
  const protocol::NotifyMessage& message = event.message;
  const bool tells_where = message.resumed && message.resumed != s().progress.resumed;
  if (tells_where) s().progress.resumed = message.resumed;
  if (resumed_elsewhere(s())) return end_wrong_resume();  // nothing else that it tells is of the run that is wanted
  // A worker may know better than we where it resumes (a file of another origin, checkpoints of its own): that is where
  // it begins, and no progress.
  if (tells_where) {
    s().progress.episode = *message.resumed;
    s().high_water = std::max(s().high_water, *message.resumed);
  }
  const auto phase_before = s().progress.phase;
  const Advance advance = note_progress(message);
  if (message.watchdog_trigger && s().phase == Phase::running) {
    end_worker(Cause::heartbeat_lost, "worker " + std::to_string(s().pid) + " asked to be treated as hung");
    return;
  }
  if (s().phase == Phase::starting && message.ready) {
    // Carried out: whatever comes next starts from the newest checkpoint again.
    const bool carried_out = s().next_launch.kind != LaunchFrom::Kind::newest;
    s().next_launch = {};
    act(SaveState{carried_out ? SaveState::When::durable : SaveState::When::written});
    begin_running(attempt_name(s().attempt) + " is training");
  }
  if (s().phase == Phase::running) keep_clocks(message, phase_before, advance);
  if (message.extend_timeout) extend_deadline(*message.extend_timeout);
  arm();
}

void Step::keep_clocks(const protocol::NotifyMessage& message, std::optional<protocol::Phase> phase_before,
                       Advance advance) {
  Clocks& clocks = s().clocks;
  const bool advanced = advance.anything;
  // Snapshots are announced by a thread that lives on when training hangs.
  const bool speaks_of_training = message.episode || message.step || message.total;
  const bool alive = message.watchdog || message.ready || (speaks_of_training && !message.snapshot);
  if (alive && policy_.heartbeat_timeout > Duration::zero()) {
    const bool suspected = clocks.suspected == Cause::heartbeat_lost;
    if (suspected || clocks.beat.extended) t_.note = "worker " + std::to_string(s().pid) + " beats again";
    if (suspected) clocks.suspected.reset();
    clocks.beat = {in(policy_.heartbeat_timeout), false};
    clocks.beaten = now_;
  }
  // Remembered, for a supervisor that finds this worker when it has begun to hang.
  const bool told = std::exchange(s().tells_progress, s().tells_progress || speaks_of_training);
  if (!told && speaks_of_training && !message.ready) act(SaveState{SaveState::When::written});
  const bool is_watched = clocks.progress.due.has_value();
  const bool changed_phase = message.phase && message.phase != phase_before;
  if (is_watched && (advanced || changed_phase) && !clocks.progress.extended && clocks.phase_since) {
    learn(s().learned, phase_before.value_or(protocol::Phase::train), rounded(now_ - *clocks.phase_since));
  }
  // Whoever never tells how far it is cannot be held to getting anywhere.
  const bool begins = speaks_of_training && !is_watched;
  if (advanced || begins || (is_watched && changed_phase)) restart_progress_clock(advanced || begins);
  note_durable(message, advance);
}

// A worker that told an earlier supervisor how far it was may hang by now, and never tell again. In which phase it is,
// and since when, nobody knows, so it has the time of all of them.
void Step::begin_adopted_progress_clock() {
  Clocks& clocks = s().clocks;
  clocks.phase_since.reset();
  const auto limit = progress_limit_of_all(s().learned, policy_);
  if (limit && s().tells_progress) clocks.progress.due = in(std::max(policy_.startup_timeout, *limit));
}

// Entering another phase is no progress, but gives that phase its time: all phases together, and no more. What was
// granted beyond that stays granted.
void Step::restart_progress_clock(bool advanced) {
  Clocks& clocks = s().clocks;
  clocks.phase_since = now_;
  if (advanced) clocks.progressed = now_;
  const auto limit = progress_limit(s().learned, phase_of_worker(), policy_);
  if (!limit) return clocks.progress.due.reset();
  Instant due = in(*limit);
  if (!advanced) {
    const Instant all = clocks.progressed + *progress_limit_of_all(s().learned, policy_);
    due = std::min(due, std::max(all, *clocks.progress.due));
  }
  const bool was_late = clocks.suspected == Cause::no_progress || (advanced && clocks.progress.extended);
  clocks.progress = {due, !advanced && clocks.progress.extended};
  if (!was_late || due <= now_) return;
  if (clocks.suspected == Cause::no_progress) clocks.suspected.reset();
  t_.note = "worker " + std::to_string(s().pid) +
            (advanced ? " makes progress again" : " goes on: " + std::string(protocol::to_string(phase_of_worker())));
}

// Work is at risk from the first episode on that is not on disk.
void Step::note_durable(const protocol::NotifyMessage& message, Advance advance) {
  Clocks& clocks = s().clocks;
  if (policy_.durability_alarm == Duration::zero()) return;
  if (message.checkpoint) {
    clocks.durable_due.reset();
    clocks.at_risk_since.reset();
  } else if (advance.episode && !clocks.at_risk_since) {
    clocks.at_risk_since = now_;
    clocks.durable_due = in(policy_.durability_alarm);
  }
}

// Later, never earlier. A worker that is being ended gets more time for its last save only when it was asked to stop,
// and not for ever.
void Step::extend_deadline(std::chrono::microseconds wanted) {
  Instant extended = now_ + std::min<std::chrono::microseconds>(wanted, kExtensionMax);
  s().clocks.suspected.reset();
  if (s().phase == Phase::running) {
    for (Clock* clock : {&s().clocks.beat, &s().clocks.progress}) {
      if (clock->due) clock->due = std::max(*clock->due, extended);
    }
    return;
  }
  if (!s().deadline) return;
  if (s().phase == Phase::stopping) {
    if (s().stop_cause != Cause::asked || s().stop_step != StopStep::terminate) return;
    extended = std::min<Instant>(extended, s().since + kStopExtensionFactor * policy_.stop_timeout);
  }
  s().deadline = std::max(*s().deadline, extended);
}

void Step::running_deadline() {
  Clocks& clocks = s().clocks;
  const auto passed = [&](const std::optional<Instant>& due) { return due && now_ >= *due; };
  const std::string who = "worker " + std::to_string(s().pid);
  // One thing at a time, so that each is said: what else is due comes at once.
  if (clocks.suspected && passed(clocks.look_due)) {
    return judge({false, false, "it could not be looked at"});
  }
  if (!clocks.suspected && passed(clocks.beat.due)) {
    suspect(Cause::heartbeat_lost, who + " sent no heartbeat for " + human_duration(rounded(now_ - clocks.beaten)));
  } else if (!clocks.suspected && passed(clocks.progress.due)) {
    suspect(Cause::no_progress,
            who + " beats, but its training has not moved for " + human_duration(rounded(now_ - clocks.progressed)));
  } else if (passed(clocks.durable_due)) {
    clocks.durable_due = in(policy_.durability_alarm);
    t_.note = "no checkpoint has become durable for " + human_duration(rounded(now_ - *clocks.at_risk_since)) +
              "; a power cut would cost that work now";
    t_.alarm = true;
  }
  arm();
}

void Step::suspect(Cause cause, std::string what) {
  s().clocks.suspected = cause;
  s().clocks.look_due = in(policy_.inspection);
  s().clocks.suspicion = std::move(what);
  if (s().phase == Phase::starting) s().deadline = s().clocks.look_due;
  t_.note = s().clocks.suspicion + "; looking at it";
  act(InspectWorker{s().attempt});
}

void Step::operator()(const WorkerInspected& event) {
  if (!s().has_process() || event.attempt != s().attempt || !s().clocks.suspected) return;
  judge(event.seen);
}

// One extension for a worker that could not do better, and none for one that could.
void Step::judge(const Inspection& seen) {
  const Cause cause = *std::exchange(s().clocks.suspected, std::nullopt);
  const bool starting = s().phase == Phase::starting;
  Clock& clock = cause == Cause::no_progress ? s().clocks.progress : s().clocks.beat;
  const std::string who = "worker " + std::to_string(s().pid);
  if (seen.starved && !clock.extended) {
    const Duration more = starting                      ? policy_.startup_timeout
                          : cause == Cause::no_progress ? *progress_limit(s().learned, phase_of_worker(), policy_)
                                                        : policy_.heartbeat_timeout;
    clock = {in(more), true};
    if (starting) s().deadline = clock.due;
    t_.note = s().clocks.suspicion + ", but " + seen.why + ": giving it " + human_duration(more) + " more, once";
    return arm();
  }
  s().stopped_outside = seen.stopped;
  const std::string no_more = seen.starved ? " (it has had its extension: " + seen.why + ")" : ", and " + seen.why;
  end_worker(cause, s().clocks.suspicion + no_more + "; ending it");
}

}  // namespace ts::core
