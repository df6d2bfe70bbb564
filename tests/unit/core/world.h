// A world for the core to live in: it prepares and spawns as it is told, its one worker beats, hangs, dies and ends,
// its operator changes his mind, and its supervisor is killed and started again. All of it drawn from one seed.
//
// The world knows what really lives, so it can tell when the core would put a second worker beside it (P4).
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "tests/unit/core/invariants.h"

namespace ts::core {

class World {
 public:
  // How the worker behaves: at random, dying before it completes an episode, or as one would wish.
  enum class Temper { random, crashing, cooperative };

  World(std::uint32_t seed, Policy policy) : random_(seed), policy_(policy) {}

  Temper temper = Temper::random;
  bool operator_is_busy = true;  // asks for this and that

  const State& state() const { return state_; }
  std::int64_t spawned() const { return spawned_; }
  std::int64_t supervisors() const { return supervisors_; }
  std::int64_t rescues() const { return rescues_; }
  std::int64_t looks() const { return looks_; }
  std::int64_t condemned() const { return condemned_; }
  std::int64_t incidents() const { return incidents_; }
  std::int64_t steps() const { return steps_; }
  Instant now() const { return now_; }
  const std::string& trouble() const { return trouble_; }  // the first broken invariant

  // One thing happens.
  void tick() {
    if (queue_.empty()) happen();
    while (!queue_.empty() && trouble_.empty()) {
      const Event event = std::move(queue_.front());
      queue_.pop_front();
      feed(event);
    }
  }

  void post(Event event) { queue_.push_back(std::move(event)); }

 private:
  struct Process {
    std::int64_t attempt = 0;
    std::int64_t pid = 0;
    std::int64_t episode = 0;
    std::int64_t step = 0;
    bool ready = false;
    bool hangs = false;
    bool in_kernel = false;  // not even SIGKILL ends it for now
    bool dead = false;       // but not reported yet
    ExitStatus status;
  };

  bool chance(int percent) { return static_cast<int>(random_() % 100) < percent; }
  std::int64_t below(std::int64_t bound) { return static_cast<std::int64_t>(random_() % static_cast<unsigned>(bound)); }

  void feed(const Event& event) {
    ++steps_;
    Transition transition = step(state_, event, now_, policy_);
    note_trouble(broken(state_, event, transition, policy_));
    state_ = std::move(transition.state);
    for (const Action& action : transition.actions) {
      std::visit([this](const auto& what) { perform(what); }, action);
    }
  }

  void note_trouble(const std::string& what) {
    if (trouble_.empty()) trouble_ = what;
  }

  void perform(const PrepareLaunch& action) {
    condemned_ += action.poison ? 1 : 0;
    preparing_.push_back(action);
  }
  void perform(const SpawnWorker& action) {
    if (process_) note_trouble("a second worker was spawned beside a living one (P4)");
    // Answered before anything else is heard, as the shell does.
    if (temper == Temper::random && chance(5)) {
      queue_.push_front(SpawnFailed{action.attempt, "exec failed"});
      return;
    }
    process_ = Process{};
    process_->attempt = action.attempt;
    process_->pid = ++spawned_ + 1000;
    process_->episode = action.resume.episode;
    process_->in_kernel = temper == Temper::random && chance(10);
    if (temper == Temper::random && chance(3)) return come_back();  // kill -9 before its number is written down
    queue_.push_front(WorkerSpawned{action.attempt, process_->pid});
  }
  void perform(const SignalWorker& action) {
    if (!process_) note_trouble("a signal was sent to nobody");
    if (!process_ || process_->dead) return;
    if (action.signal == Signal::kill && !process_->in_kernel) die({std::nullopt, 9});
    if (action.signal == Signal::abort && chance(50)) die({std::nullopt, 6});
    if (action.signal == Signal::terminate && !process_->hangs && (temper == Temper::cooperative || chance(70))) {
      die({75, std::nullopt});
    }
  }
  void perform(const InspectWorker& action) {
    ++looks_;
    if (chance(10)) return;  // the look never comes back
    answers_.push_back(WorkerInspected{action.attempt, {chance(30), chance(20), "it was looked at"}});
  }
  void perform(const GatherEvidence& action) {
    if (!chance(10)) answers_.push_back(EvidenceGathered{action.attempt, "incidents/1"});
  }
  void perform(const RescueSnapshot& action) {
    if (process_) note_trouble("a living worker's memory is taken for what it left (P5)");
    ++rescues_;
    if (temper == Temper::random && chance(20)) {
      answers_.push_back(RescueSettled{action.attempt, "the disk is full", true});
      return;
    }
    durable_ = std::max(durable_, state_.snapshot);
    answers_.push_back(RescueSettled{action.attempt, "saved"});
  }
  void perform(const RecordIncident&) { ++incidents_; }
  void perform(const SaveState& action) {
    written_soon_ = action.when == SaveState::When::soon;
    if (written_soon_) return;
    memory_ = state_;
    if (unknown_from_) memory_.attempt = std::min(memory_.attempt, *unknown_from_);
  }
  void perform(const LeaveDaemon&) {
    const bool seen = process_ && !unrecorded_;
    if (seen && state_.stop_step != StopStep::unkillable) note_trouble("the supervisor left a worker behind");
    come_back();
  }

  void die(ExitStatus status) {
    process_->dead = true;
    process_->status = status;
  }

  // Another supervisor, with what the one before made durable; a living worker is adopted.
  void come_back() {
    ++supervisors_;
    State next;
    next.attempt = memory_.attempt;
    next.incidents = memory_.incidents;
    next.fruitless = memory_.fruitless;
    next.high_water = memory_.high_water;
    next.restarts = memory_.restarts;
    next.finished_total = memory_.finished_total;
    next.goal = memory_.goal;
    if (temper == Temper::random && chance(20)) policy_.total_episodes += 100;
    next.next_launch = memory_.next_launch;
    next.progress.episode = memory_.progress.episode;
    next.resume = memory_.resume;
    next.learned = memory_.learned;
    next.tells_progress = memory_.tells_progress;
    next.poison = memory_.poison;
    const bool known = process_ && memory_.pid == process_->pid;
    unknown_from_ = memory_.attempt + (memory_.pid != 0 ? 1 : 0);
    state_ = next;
    queue_.clear();
    preparing_.clear();
    answers_.clear();
    if (process_ && process_->dead) process_.reset();
    unrecorded_ = process_ && !known;
    if (unrecorded_ && process_->attempt < *unknown_from_)
      note_trouble("a living worker is believed to have ended (P6)");
    if (known && process_) {
      queue_.push_back(WorkerAdopted{process_->pid, 0});
    } else {
      queue_.push_back(StartRequested{false});
    }
  }

  void happen() {
    if (written_soon_ && chance(50)) perform(SaveState{SaveState::When::written});
    const bool calm = temper != Temper::random;
    if (operator_is_busy && chance(3)) return ask();
    if (!calm && chance(1)) return come_back();  // kill -9 and start again
    if (!preparing_.empty() && (calm || chance(70))) return settle();
    if (!answers_.empty() && (calm || chance(60))) return answer();
    if (unrecorded_) return pass_time();
    if (process_ && process_->dead && (calm || chance(60))) return report();
    const bool stuck = process_ && (process_->hangs || process_->in_kernel);
    const bool beats_in_time = temper == Temper::cooperative && process_ && !stuck;
    if (process_ && !process_->dead && (beats_in_time || chance(80))) return live();
    pass_time();
  }

  void ask() {
    const Event wishes[] = {StartRequested{true},
                            StopRequested{},
                            RestartRequested{},
                            RestartRequested{{LaunchFrom::Kind::selector, "ep3"}},
                            RestartRequested{{LaunchFrom::Kind::fresh, ""}},
                            ShutdownRequested{false},
                            ShutdownRequested{true},
                            StartRequested{true}};
    post(wishes[static_cast<std::size_t>(below(8))]);
  }

  void settle() {
    const PrepareLaunch asked = preparing_.front();
    preparing_.pop_front();
    unknown_from_.reset();
    if (unrecorded_) {  // found by its marks, before anything is launched
      unrecorded_ = false;
      feed(WorkerAdopted{process_->pid, process_->attempt});
      if (process_) process_->attempt = state_.attempt;  // as the shell reports it from here on
      return;
    }
    if (temper == Temper::random && chance(5)) {
      post(LaunchRefused{asked.attempt, Cause::cannot_prepare, chance(10), "the disk did not answer"});
      return;
    }
    durable_ = std::max(durable_, state_.unsaved);
    const bool fresh = asked.from.kind == LaunchFrom::Kind::fresh || durable_ == 0;
    if (asked.from.kind != LaunchFrom::Kind::newest) durable_ = fresh ? 0 : std::min<std::int64_t>(durable_, 3);
    post(LaunchPrepared{asked.attempt, fresh ? ResumePoint{} : ResumePoint{durable_, "models/model.pt"}});
  }

  void answer() {
    const Event event = std::move(answers_.front());
    answers_.pop_front();
    post(event);
  }

  void report() {
    const Event event = WorkerExited{process_->attempt, process_->status, chance(30) ? "bye" : ""};
    process_.reset();
    post(event);
  }

  void live() {
    now_ += std::chrono::milliseconds(1 + below(500));
    protocol::NotifyMessage message;
    if (!process_->ready) {
      if (temper == Temper::crashing && chance(50)) return die({std::nullopt, 11});
      if (temper == Temper::random && chance(5)) process_->hangs = true;
      if (process_->hangs) return pass_time();
      process_->ready = message.ready = true;
      message.resumed = message.episode = process_->episode;
      if (temper == Temper::random && chance(3)) message.resumed = below(10);  // elsewhere
    } else if (temper == Temper::crashing) {
      return die({std::nullopt, 11});
    } else if (temper == Temper::random && chance(15)) {
      static constexpr int kCodes[] = {0, 1, 65, 70, 74, 75, 78};
      if (chance(50)) return die({kCodes[below(7)], std::nullopt});
      return die({std::nullopt, static_cast<int>(1 + below(31))});
    } else if (temper == Temper::random && (process_->hangs || chance(3))) {
      process_->hangs = true;
      return pass_time();
    } else {
      message.watchdog = true;
      if (chance(50)) durable_ = *(message.episode = ++process_->episode);
      if (message.episode && chance(70)) {
        message.snapshot = protocol::SnapshotNotice{*message.episode, 1, "xxh3-128:00", "{}"};
      }
      if (chance(30)) message.step = ++process_->step;
      if (chance(20)) message.phase = static_cast<protocol::Phase>(below(4));
      if (chance(10)) message.checkpoint = "models/model.pt";
      if (temper == Temper::random && chance(2)) message.watchdog_trigger = true;
      const bool being_ended = state_.phase == Phase::stopping;
      if (!being_ended && chance(5)) message.extend_timeout = std::chrono::seconds(below(200));
    }
    post(MessageReceived{process_->attempt, message});
    if (state_.deadline && now_ >= *state_.deadline) post(DeadlinePassed{});  // signs of life before timers
  }

  void pass_time() {
    now_ += std::chrono::milliseconds(1 + below(20'000));
    if (process_ && process_->in_kernel && chance(5)) process_->in_kernel = false;
    if (state_.deadline && chance(50)) now_ = std::max(now_, *state_.deadline);
    if (state_.deadline && now_ >= *state_.deadline) post(DeadlinePassed{});
  }

  std::mt19937 random_;
  Policy policy_;
  State state_;
  State memory_;
  bool written_soon_ = false;                 // what has changed since
  bool unrecorded_ = false;                   // the process is not known to this supervisor
  std::optional<std::int64_t> unknown_from_;  // launches from here on may run, as far as it knows
  Instant now_{std::chrono::hours{1}};
  std::deque<Event> queue_;
  std::deque<PrepareLaunch> preparing_;
  std::deque<Event> answers_;  // to looks, evidence and rescues
  std::optional<Process> process_;
  std::int64_t durable_ = 0;  // newest episode on disk
  std::int64_t spawned_ = 0;
  std::int64_t supervisors_ = 1;
  std::int64_t rescues_ = 0;
  std::int64_t looks_ = 0;
  std::int64_t condemned_ = 0;
  std::int64_t incidents_ = 0;
  std::int64_t steps_ = 0;
  std::string trouble_;
};

}  // namespace ts::core
