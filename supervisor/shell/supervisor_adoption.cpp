// Workers that outlived an earlier supervisor.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/base/process_identity.h"
#include "common/base/text.h"
#include "supervisor/api/version.h"
#include "supervisor/shell/launch_marks.h"
#include "supervisor/shell/supervisor.h"
#include "supervisor/shell/worker_log.h"

namespace ts::shell {

namespace {

// Nobody holds what was in memory only, so this is what is left.
std::string what_it_cost(const std::optional<CheckpointFact>& newest) {
  if (!newest) return "It had saved nothing, so training begins anew.";
  return "What it had trained since episode " + std::to_string(newest->sidecar.episode) + ", saved at " +
         escape_control(newest->sidecar.created) + ", is lost; going on from the newest valid checkpoint.";
}

// Where a worker's supervisor has its state, when that is not here: then this directory is a copy of the one that it
// belongs to. One that was moved under a worker is the worker's still.
std::optional<std::string> reports_elsewhere(const ProcessIdentity& worker, const std::filesystem::path& here) {
  const auto marks = is_alive(worker) ? marks_of(worker.pid) : std::nullopt;
  if (!marks || marks->state_directory.empty()) return std::nullopt;
  const std::filesystem::path there = marks->state_directory;
  std::error_code error;
  if (!std::filesystem::exists(there, error) || std::filesystem::equivalent(there, here, error)) return std::nullopt;
  return there.string();
}

}  // namespace

// A worker that outlived the supervisor before us trains on under us. True when there is one.
bool Supervisor::adopt_survivor(const Memory& memory) {
  if (!memory.worker) return false;
  if (const auto elsewhere = reports_elsewhere(*memory.worker, state_directory_->path())) {
    tell(api::EventType::adoption, api::EventLevel::warn,
         "The worker " + std::to_string(memory.worker->pid) + " that this directory remembers reports to " +
             escape_control(*elsewhere) + ": this is a copy of that one. That worker is left alone; this run goes on " +
             "from the newest valid checkpoint here.",
         {{"pid", memory.worker->pid}, {"adopted", false}, {"rebooted", false}});
    return false;
  }
  const std::int64_t attempt = state_.attempt;
  auto survivor = WorkerProcess::adopt(io_, children_, *memory.worker,
                                       [this, attempt](const WorkerEnd& end) { worker_ended(attempt, end); });
  if (!survivor) {
    const bool rebooted = memory.boot_id != current_boot_id();
    interruption_ = rebooted ? "the machine was restarted, or lost power, while it trained"
                             : "its worker ended together with the last supervisor";
    tell(api::EventType::adoption, api::EventLevel::warn,
         "The worker " + std::to_string(memory.worker->pid) +
             " was running when the last supervisor was last heard of; " +
             (rebooted ? "the machine has been restarted since, or has lost power. " : "both are gone. ") +
             what_it_cost(facts_.newest),
         {{"pid", memory.worker->pid}, {"adopted", false}, {"rebooted", rebooted}});
    return false;
  }
  core::WorkerAdopted how;
  if (!memory.supervisor.empty() && memory.supervisor != api::kVersion) {
    how.when = "version " + escape_control(memory.supervisor) + " of the supervisor was replaced by " + api::kVersion;
  }
  watch_adopted(std::move(*survivor), std::move(how), log_size(worker_log()));
  return true;
}

// The supervisor before us was killed after it had started a worker and before it had written that down.
bool Supervisor::adopt(const UnrecordedWorker& found) {
  auto worker = WorkerProcess::adopt(io_, children_, found.identity,
                                     [this](const WorkerEnd& end) { worker_ended(state_.attempt, end); });
  if (!worker) return false;
  tell(api::EventType::adoption, api::EventLevel::warn,
       "Worker " + std::to_string(found.identity.pid) +
           " was started by an earlier supervisor that had no time to write it down, as attempt " +
           std::to_string(found.attempt) + " of this run; it trains on.",
       {{"pid", found.identity.pid}, {"adopted", true}, {"attempt", found.attempt}});
  unknown_from_.reset();
  if (run_id_ != found.run_id) begin_run();
  run_id_ = found.run_id;
  core::WorkerAdopted how;
  how.launched_as = found.attempt;
  how.resume = found.resume;
  watch_adopted(std::move(*worker), std::move(how), found.log_size);
  return true;
}

void Supervisor::watch_adopted(std::unique_ptr<WorkerProcess> worker, core::WorkerAdopted how, std::uint64_t log_size) {
  worker_ = std::move(worker);
  forget_worker();
  bound_worker_log();
  receiver_->begin_attempt();
  spawned_ = now() - age_of(worker_->identity());
  log_offset_ = log_size;
  how.pid = worker_->pid();
  post(std::move(how));
}

OwnLaunches Supervisor::own_launches() const {
  return {run_id_, state_id_, unknown_from_};
}

// What was known of the last one says nothing about the next.
void Supervisor::forget_worker() {
  last_beat_.reset();
  last_verdict_.reset();
  beats_.clear();
  held_.reset();
  rate_.reset();
  worker_in_trouble_ = false;
}

}  // namespace ts::shell
