// The decisions of the supervisor: step(state, event, now, policy) -> {state, actions, reason}.
//
// Everything that happens to the supervisor is an Event, everything it does is an Action, and one function connects
// them. It reads no clock, file or socket and starts nothing, so every rule can be tested by calling it. The shell
// feeds it events one at a time (signs of life and exits before timers) and performs what it returns, in order.
//
// Threading: plain values and pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/protocol/notify_message.h"
#include "supervisor/core/cause.h"
#include "supervisor/core/policy.h"
#include "supervisor/core/progress_limits.h"
#include "supervisor/core/time.h"

namespace ts::core {

// ---- state ---------------------------------------------------------------------------------------------------------

enum class Phase {
  stopped,   // nothing runs, nothing is wanted
  starting,  // a resume point is being settled, or the worker was spawned and is not READY yet
  running,   // READY was seen
  stopping,  // the worker is being ended, or has ended and its memory is being rescued
  backoff,   // waiting before the next launch
  finished,  // the worker said that the training is done
  fatal,     // given up: for good, or until the cooldown is over
};

std::string_view to_string(Phase phase);

enum class Desired { up, down };

// Where a launch should resume: at the newest valid checkpoint, at one that was asked for, or nowhere (fresh).
struct LaunchFrom {
  enum class Kind { newest, selector, fresh };
  Kind kind = Kind::newest;
  std::string selector;  // of Kind::selector

  bool operator==(const LaunchFrom&) const = default;
};

// What was settled for a launch: a checkpoint, or nothing (episode 0, empty path).
struct ResumePoint {
  std::int64_t episode = 0;
  std::string path;
  bool foreign = false;  // a file of another origin: what is in it is for the worker to tell

  bool operator==(const ResumePoint&) const = default;
};

// How far the escalation against a worker has gone.
enum class StopStep { evidence, terminate, abort, kill, unkillable };

// What a look at a silent worker and its machine has shown.
struct Inspection {
  bool starved = false;  // it could not have done better: the machine is short of processor, memory or disk
  bool stopped = false;  // somebody has stopped it with a signal
  std::string why;       // one clause, "no part of it has used the processor for 1 s"

  bool operator==(const Inspection&) const = default;
};

// A limit that a running worker is held to, and the one extension that it may get.
struct Clock {
  std::optional<Instant> due;
  bool extended = false;

  bool operator==(const Clock&) const = default;
};

// The three clocks: is it alive, does training get anywhere, and how much would a power cut cost.
struct Clocks {
  Clock beat;
  Clock progress;
  std::optional<Instant> durable_due;  // alarms, and kills nobody
  std::optional<Cause> suspected;      // it is being looked at for this
  std::string suspicion;               // the same, as a sentence begins
  std::optional<Instant> look_due;     // when it is judged without the look
  Instant beaten{0};                   // when it last beat: not all that it says is a beat
  Instant progressed{0};               // when training last advanced
  // The same, or when the worker entered this phase if that was later; nothing: before it was watched here.
  std::optional<Instant> phase_since;
  std::optional<Instant> at_risk_since;  // of the oldest work that is not durable

  bool operator==(const Clocks&) const = default;
};

// An end whose consequences wait for the rescue of what was in the worker's memory.
struct Ending {
  Cause cause = Cause::unknown;
  ExitStatus status;
  std::string what;
  std::string last_words;
  bool relaunch_asked = false;  // by a person, after this end

  bool operator==(const Ending&) const = default;
};

// A resume point that kills its workers.
struct Poison {
  std::int64_t episode = 0;
  std::int64_t deaths = 0;  // before an episode was completed, in a row

  bool operator==(const Poison&) const = default;
};

// What the worker has told about its training.
struct Progress {
  std::int64_t episode = 0;  // episodes completed
  std::int64_t total = 0;
  std::int64_t step = 0;
  std::optional<protocol::Phase> phase;
  protocol::Metrics metrics;
  std::string status;
  std::optional<std::int64_t> resumed;  // what this attempt really loaded

  bool operator==(const Progress&) const = default;
};

struct State {
  Phase phase = Phase::stopped;
  Desired desired = Desired::down;
  std::string reason = "not started yet";
  Instant since{0};                 // when this phase began
  std::optional<Instant> deadline;  // when silence in this phase has a consequence
  bool shutting_down = false;       // leave when the worker is gone

  std::int64_t attempt = 0;  // launches of this run so far
  std::int64_t pid = 0;      // of the worker; 0: there is none
  ResumePoint resume;        // of this attempt
  std::int64_t goal = 0;     // of this attempt: the episodes that it was launched for; 0: not known
  LaunchFrom next_launch;    // of the next one: the operator's wish, durable until it is carried out
  StopStep stop_step = StopStep::terminate;
  Cause stop_cause = Cause::asked;  // why we are ending it
  std::int64_t high_water = 0;      // the most episodes that this run has ever completed
  std::int64_t incidents = 0;       // in a row, without the high-water mark rising between them
  std::int64_t fruitless = 0;       // attempts of those that raised it no further either
  bool fruitful = false;            // this attempt has raised it
  Clocks clocks;                    // of a worker that runs
  LearnedGaps learned;              // what is normal for this run
  bool tells_progress = false;      // this attempt has told how far it is, and can be held to getting further
  bool stopped_outside = false;     // somebody had stopped this worker with a signal when it was judged
  std::int64_t snapshot = 0;        // newest episode of this attempt that is held in memory here; 0: none
  std::int64_t unsaved = 0;         // the same of an earlier one, which could not be written so far; 0: none
  std::optional<Ending> ending;     // of the worker that is gone
  Poison poison;                    // the resume point under suspicion; episode 0: none
  std::map<Cause, std::int64_t> restarts;
  std::optional<Cause> last_cause;  // of the newest incident
  std::int64_t finished_total = 0;  // the highest goal that was reached, 0 for none
  Progress progress;

  bool has_process() const { return pid != 0; }
  // Something of the old worker is still to be settled before another may be started.
  bool is_occupied() const { return has_process() || ending.has_value(); }
  bool operator==(const State&) const = default;
};

// ---- events --------------------------------------------------------------------------------------------------------

struct StartRequested {
  bool by_operator = false;  // then the history of incidents begins anew
  std::string why{};         // a clause for the reason; empty: because it was asked for
};
struct StopRequested {};
struct RestartRequested {
  LaunchFrom from;
};
struct ShutdownRequested {
  bool now = false;  // a second Ctrl+C: no more waiting
};
struct LaunchPrepared {
  std::int64_t attempt = 0;
  ResumePoint resume;
};
struct LaunchRefused {
  std::int64_t attempt = 0;
  Cause cause = Cause::cannot_prepare;
  bool permanent = false;  // trying again without a person's help is no use
  std::string why;
};
struct WorkerSpawned {
  std::int64_t attempt = 0;
  std::int64_t pid = 0;
};
struct SpawnFailed {
  std::int64_t attempt = 0;
  std::string why;  // stage and system error
};
struct WorkerAdopted {  // found alive, left by an earlier supervisor
  std::int64_t pid = 0;
  std::int64_t launched_as = 0;  // this attempt, where nobody had written its number down; else 0
  std::string when = "the supervisor before this one was killed or crashed";  // it trained on then
  ResumePoint resume{};  // what it was told, where nobody had written that down
};
struct MessageReceived {
  std::int64_t attempt = 0;
  protocol::NotifyMessage message;
};
struct WorkerExited {
  std::int64_t attempt = 0;
  ExitStatus status;
  std::string last_words;  // the end of what it printed; may be empty
};
struct WorkerInspected {  // the answer to InspectWorker
  std::int64_t attempt = 0;
  Inspection seen;
};
struct EvidenceGathered {  // the answer to GatherEvidence
  std::int64_t attempt = 0;
  std::string where;  // for people; may be empty
};
struct RescueSettled {  // the answer to RescueSnapshot
  std::int64_t attempt = 0;
  std::string what;         // one clause: what was saved, or why nothing was
  bool still_held = false;  // it could not be written, and may be tried again
};
struct DeadlinePassed {};

using Event = std::variant<StartRequested, StopRequested, RestartRequested, ShutdownRequested, LaunchPrepared,
                           LaunchRefused, WorkerSpawned, SpawnFailed, WorkerAdopted, MessageReceived, WorkerExited,
                           WorkerInspected, EvidenceGathered, RescueSettled, DeadlinePassed>;

// ---- actions -------------------------------------------------------------------------------------------------------

enum class Signal { terminate, abort, kill };

struct PrepareLaunch {
  std::int64_t attempt = 0;
  LaunchFrom from;
  std::optional<Poison> poison;  // this resume point is to be set aside, if there is an older one
};
struct SpawnWorker {
  std::int64_t attempt = 0;
  ResumePoint resume;
};
struct SignalWorker {
  Signal signal = Signal::terminate;
};
struct InspectWorker {  // look at it and at its machine, for about a second
  std::int64_t attempt = 0;
};
struct GatherEvidence {  // before it is ended: what it was doing
  std::int64_t attempt = 0;
  Cause cause = Cause::unknown;
  std::string why;
};
struct RescueSnapshot {  // make what was in its memory durable
  std::int64_t attempt = 0;
};
struct RecordIncident {  // an unplanned end, for those who ask later
  std::int64_t attempt = 0;
  Cause cause = Cause::unknown;
  std::string what;
  std::string decision;
};
// Write the state down before the launch, rescue or leaving that follows: durable, where it holds what a power cut must
// not undo; else so that it outlives this process, and durable a moment later. A signal does not wait for it.
// Or only soon, where the next worker's start writes it down: a supervisor that is killed before that is not remembered
// to have seen the end of its worker.
struct SaveState {
  enum class When { durable, written, soon };
  When when = When::durable;
};
struct LeaveDaemon {};

using Action = std::variant<PrepareLaunch, SpawnWorker, SignalWorker, InspectWorker, GatherEvidence, RescueSnapshot,
                            RecordIncident, SaveState, LeaveDaemon>;

struct Transition {
  State state;
  std::vector<Action> actions;
  std::string note;  // one sentence for the log: what happened and what was decided; empty when there is nothing to say
  bool alarm = false;  // a person should see it
};

// Whether what this worker has announced is to be made durable when it ends like this; otherwise it is of no use.
bool leaves_work(const State& state, const ExitStatus& status);

Transition step(State state, const Event& event, Instant now, const Policy& policy);

}  // namespace ts::core
