// Inside of core::step: one transition in the making. Only the core's own source files include this; from outside there
// is supervision.h.
//
// Threading: a plain value, used for one call.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "supervisor/core/supervision.h"

namespace ts::core {

// One call of step: the state under change and what has been decided so far.
class Step {
 public:
  Step(State state, Instant now, const Policy& policy)
      : t_{std::move(state), {}, {}, false}, now_(now), policy_(policy) {}

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
  void operator()(const WorkerInspected& event);
  void operator()(const EvidenceGathered& event);
  void operator()(const RescueSettled& event);
  void operator()(const DeadlinePassed&);

 private:
  // Whether what a worker told was further than what it had told before.
  struct Advance {
    bool episode = false;
    bool anything = false;  // an episode, or a step of the same
  };

  // The only place that changes the phase.
  void enter(Phase phase, std::string reason, std::optional<Duration> wait = std::nullopt);
  void launch(std::string reason);
  void say_still_waiting(const std::string& what);
  // The next launch is to go where somebody asked for, which no power cut may undo.
  bool wished() const { return t_.state.next_launch.kind != LaunchFrom::Kind::newest; }

  // running.cpp: a worker that is being watched
  void begin_running(std::string reason);
  void arm();
  Advance note_progress(const protocol::NotifyMessage& message);
  void end_wrong_resume();
  void keep_clocks(const protocol::NotifyMessage& message, std::optional<protocol::Phase> phase_before,
                   Advance advance);
  void begin_adopted_progress_clock();
  void restart_progress_clock(bool advanced);
  void note_durable(const protocol::NotifyMessage& message, Advance advance);
  void extend_deadline(std::chrono::microseconds wanted);
  void running_deadline();
  void suspect(Cause cause, std::string what);
  void judge(const Inspection& seen);
  protocol::Phase phase_of_worker() const { return t_.state.progress.phase.value_or(protocol::Phase::train); }

  // ending.cpp: from a worker to none
  void end_worker(Cause cause, std::string reason);
  void terminate(std::string reason);
  void escalate();
  void settle_end(Ending ending);
  void rescue_before_leaving();
  void after_end(const Ending& ending);
  std::int64_t reached_goal() const;
  void note_attempt();
  void count_against_resume_point(const Ending& ending);
  void count(Cause cause);
  void record(Cause cause, const std::string& what, const std::string& decision);
  struct Sequel {
    Phase phase = Phase::fatal;    // fatal, backoff, or starting: at once
    std::optional<Duration> wait;  // until the next try; nothing: none
    std::string decision;
  };
  Sequel sequel_of(Cause cause) const;
  void incident(Cause cause, const std::string& what, const std::string& last_words = {});

  State& s() { return t_.state; }
  void act(Action action) { t_.actions.push_back(std::move(action)); }
  Instant in(Duration wait) const { return now_ + wait; }

  Transition t_;
  Instant now_;
  const Policy& policy_;
};

// What a worker says that it loaded is not what it was told to.
bool resumed_elsewhere(const State& state);

inline std::string attempt_name(std::int64_t attempt) {
  return "attempt " + std::to_string(attempt);
}

}  // namespace ts::core
