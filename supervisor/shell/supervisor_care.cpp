// What is done about a worker that is silent or has died: a look at it, evidence, rescue, the record.
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "common/base/text.h"
#include "supervisor/shell/closer.h"
#include "supervisor/shell/host_facts.h"
#include "supervisor/shell/supervisor.h"

namespace ts::shell {
namespace {

constexpr std::chrono::seconds kBetweenLooks{1};

std::string one_line(const protocol::NotifyMessage& message) {
  std::string text = protocol::encode(message);
  while (text.ends_with('\n')) text.pop_back();
  for (char& letter : text) {
    if (letter == '\n') letter = ' ';
  }
  return text;
}

// What told of it.
std::string detected_by(core::Cause cause) {
  switch (cause) {
    case core::Cause::start_timeout: return "no READY=1";
    case core::Cause::heartbeat_lost: return "heartbeat";
    case core::Cause::no_progress: return "progress";
    case core::Cause::wrong_resume: return "X_TRAINER_RESUMED";
    case core::Cause::exec_failed:
    case core::Cause::cannot_prepare: return "launch";
    default: return "exit";
  }
}

std::string_view outcome_name(Rescue::Outcome outcome) {
  switch (outcome) {
    case Rescue::Outcome::rescued: return "rescued";
    case Rescue::Outcome::not_needed: return "not_needed";
    case Rescue::Outcome::refused: return "refused";
    case Rescue::Outcome::not_written: return "not_written";
  }
  return "refused";
}

}  // namespace

// Two looks, so that there is a difference between them. The core judges; a beat that comes meanwhile settles it.
void Supervisor::perform(const core::InspectWorker& action) {
  if (!worker_) return;
  const core::HostSample before = look_at_host(worker_->pid());
  look_timer_.expires_after(kBetweenLooks);
  look_timer_.async_wait(
      [this, attempt = action.attempt, before, when = now()](const boost::system::error_code& error) {
        if (!error) looked_at(attempt, before, when);
      });
}

void Supervisor::looked_at(std::int64_t attempt, const core::HostSample& before, core::Instant when) {
  if (!worker_ || worker_->has_ended() || attempt != state_.attempt) return;
  receiver_->drain();  // signs of life before judgements
  core::SilenceFacts facts;
  facts.before = before;
  facts.after = look_at_host(worker_->pid());
  facts.between = now() - when;
  facts.phase = state_.progress.phase;
  const core::SilenceVerdict verdict = core::judge_silence(facts);
  last_verdict_ = verdict;
  const bool stopped = facts.after.leader == 'T' || facts.after.leader == 't';
  post(core::WorkerInspected{attempt, {verdict.kind == core::SilenceVerdict::Kind::starved, stopped, verdict.why}});
}

IncidentReport Supervisor::report_on(std::int64_t attempt, pid_t pid, core::Cause cause,
                                     const std::string& what) const {
  IncidentReport report;
  report.run_id = run_id_;
  report.attempt = attempt;
  report.pid = pid;
  report.cause = cause;
  report.what = what;
  report.detected_by = detected_by(cause);
  if (state_.progress.phase) report.phase = protocol::to_string(*state_.progress.phase);
  report.episode = state_.progress.episode;
  if (last_beat_) report.last_heard_s = std::chrono::duration<double>(now() - *last_beat_).count();
  report.silence = last_verdict_;
  if (accounts_.noticed) report.detect_s = accounts_.detect_s;
  return report;
}

EvidenceRequest Supervisor::evidence_of(const ProcessIdentity& worker) const {
  EvidenceRequest request;
  request.worker = worker;
  request.log_file = worker_log();
  request.log_offset = log_offset_;
  for (const Heard& heard : beats_) request.beats.push_back({heard.time, one_line(heard.message)});
  // Less than the core waits, so that what was found is known before the first signal.
  request.deadline = policy_.evidence - policy_.evidence / 4;
  return request;
}

void Supervisor::perform(const core::GatherEvidence& action) {
  if (!worker_) return;
  recorder_->investigate(report_on(action.attempt, worker_->pid(), action.cause, action.why),
                         evidence_of(worker_->identity()), [this, attempt = action.attempt](const std::string& where) {
                           post(core::EvidenceGathered{attempt, where});
                         });
}

void Supervisor::perform(const core::RecordIncident& action) {
  const bool ran = action.cause != core::Cause::exec_failed && action.cause != core::Cause::cannot_prepare;
  IncidentReport report = report_on(action.attempt, ran ? last_worker_.pid : 0, action.cause, action.what);
  report.decision = action.decision;
  if (ran) report.exit = exit_;
  EvidenceRequest request = evidence_of(last_worker_);
  request.log_end = log_end_;
  recorder_->ended(std::move(report), std::move(request));
}

// The newest one counts. Its memory stays readable here whatever becomes of the worker.
void Supervisor::hold_snapshot(Notification& said) {
  auto& snapshot = said.message.snapshot;
  if (!snapshot) return;
  const bool wanted = config_->snapshots.enabled && snapshot->bytes <= config_->snapshots.max_bytes;
  if (said.descriptors.empty() || !wanted || !is_memory_file(said.descriptors.front().get())) {
    snapshot.reset();  // nothing to hold
    return;
  }
  std::shared_ptr<const HeldSnapshot> best;
  if (held_ && !snapshot->is_best) best = held_->notice.is_best ? held_ : held_->best;
  held_ = std::make_shared<HeldSnapshot>(
      HeldSnapshot{std::move(said.descriptors.front()), *snapshot, state_.attempt, std::move(best)});
  forget_filed_best();
}

// Only while its worker lives: of a dead one's snapshots the disk thread may be reading.
void Supervisor::forget_filed_best() {
  if (!worker_ || !held_ || !held_->best) return;
  const bool filed = facts_.best && facts_.best->sidecar.episode >= held_->best->notice.episode;
  if (filed || !config_->checkpoints.save_best) held_->best.reset();
}

void Supervisor::perform(const core::RescueSnapshot& action) {
  const std::string name = "saving what the worker left in memory in " + config_->checkpoints.directory.string();
  disk_.post(name, [this, attempt = action.attempt, held = held_, own = own_launches(), config = config_] {
    auto rescue = std::make_shared<Rescue>();
    if (held) *rescue = rescue_now(*held, own, *config);
    asio::post(io_, [this, attempt, rescue] {
      // One that could not be written is tried again before the next launch.
      const bool still_held = rescue->outcome == Rescue::Outcome::not_written;
      if (!still_held) held_.reset();
      if (rescue->outcome != Rescue::Outcome::refused) unsaved_end_ = still_held;
      ++rescues_[static_cast<std::size_t>(rescue->outcome)];
      refresh_facts();
      tell(api::EventType::rescue, still_held ? api::EventLevel::warn : api::EventLevel::debug, rescue->sentence,
           {{"outcome", outcome_name(rescue->outcome)}});
      post(core::RescueSettled{attempt, as_clause(rescue->sentence), still_held});
    });
  });
}

}  // namespace ts::shell
