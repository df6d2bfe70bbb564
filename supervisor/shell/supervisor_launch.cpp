// From the wish for a worker to one that runs. All that may wait for a disk is done on the disk thread.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <utility>

#include "supervisor/shell/supervisor.h"
#include "supervisor/shell/worker_command.h"
#include "supervisor/shell/worker_log.h"

namespace ts::shell {
namespace {

constexpr std::chrono::seconds kLogInterval{10};

}  // namespace

void Supervisor::perform(const core::PrepareLaunch& action) {
  const std::string what = "settling where to resume in " + config_->checkpoints.directory.string();
  disk_.post(what, [this, action, own = own_launches(), held = held_, config = config_, log = worker_log()] {
    auto plan = std::make_shared<LaunchPlan>();
    try {
      *plan = prepare_launch(action, held.get(), own, *config);
      if (plan->found) plan->found->log_size = log_size(log);
    } catch (const std::exception& error) {  // out of memory, say: an incident like any other, not our end
      plan->run_id = own.run_id;
      plan->outcome = core::LaunchRefused{action.attempt, core::Cause::cannot_prepare, false,
                                          std::string("settling the resume point failed: ") + error.what()};
    }
    asio::post(io_, [this, action, plan] { launch_settled(action, std::move(*plan)); });
  });
}

void Supervisor::launch_settled(const core::PrepareLaunch& action, LaunchPlan plan) {
  if (leave_) return;
  for (const std::string& note : plan.notes) tell(api::EventType::store, api::EventLevel::warn, note);
  if (plan.snapshot_settled) {
    held_.reset();
    unsaved_end_ = false;
  }
  if (plan.survivors_settled && !plan.found) unknown_from_.reset();
  const bool awaited = state_.phase == core::Phase::starting && !state_.has_process();
  if (plan.found && !worker_ && !state_.is_occupied()) {
    const bool unwanted = state_.desired == core::Desired::down;  // a stop came while the lock was looked at
    if (adopt(*plan.found)) {
      if (unwanted) post(core::StopRequested{});
      return refresh_facts();
    }
    // It has ended since; what it has left behind is ended by the next look.
    if (awaited && action.attempt == state_.attempt && !is_alive(plan.found->identity)) return perform(action);
  }
  const auto* prepared = std::get_if<core::LaunchPrepared>(&plan.outcome);
  // Nothing of ours runs, and somebody else is at work there: whoever started us should know at once.
  refused_by_lock_ = plan.locked && spawned_ == core::Instant{0};
  if (prepared != nullptr && awaited && prepared->attempt == state_.attempt) {
    if (plan.run_id != run_id_) begin_run();
    run_id_ = plan.run_id;
    resumed_ = std::move(plan.resumed);
    launched_for_ = state_.reason;
    recorder_->relaunched(prepared->resume.episode, std::max<std::int64_t>(0, reached_ - prepared->resume.episode));
    // Told, and looked around for, when the worker is on its way.
    const core::LaunchPrepared launch = *prepared;
    post(launch);
    tell_launch(launch);
  } else {
    post(std::move(plan.outcome));
  }
  refresh_facts();
}

// A program, its interpreter and its log may each lie on a disk that hangs.
void Supervisor::perform(const core::SpawnWorker& action) {
  policy_.heartbeat_timeout = config_->supervisor.heartbeat_timeout;  // what it is told
  const LaunchContext context{worker_config_, options_.own_program, receiver_->address(), state_path_, state_id_,
                              run_id_,        state_.reason};
  WorkerCommand command = make_worker_command(*config_, context, action.attempt, action.resume);
  spawning_ = std::make_shared<Spawning>(action.attempt);
  receiver_->pause();
  const std::string what = "starting " + command.arguments.front() + ", whose output goes to " + worker_log().string();
  disk_.post(what, [this, spawning = spawning_, command = std::move(command), logging = config_->logging] {
    if (spawning->is_wanted() && spawning->settle(start_worker(command, logging))) {
      asio::post(io_, [this] { spawn_settled(); });
    }
  });
}

// On the disk thread.
Spawned Supervisor::start_worker(const WorkerCommand& command, const config::Logging& logging) {
  try {
    const auto logged = prepare_worker_log(command.log_file, logging.max_size, logging.max_files);
    if (!logged) return {logged.error()};
    const std::uint64_t log_offset = log_size(command.log_file);
    return {StartedWorker::start(children_, command), log_offset};
  } catch (const std::exception& error) {  // out of memory, say
    return {make_error(ErrorKind::unavailable, std::string("could not launch the worker: ") + error.what() + ".")};
  }
}

void Supervisor::spawn_settled() {
  auto spawned = spawning_ ? spawning_->take() : std::nullopt;
  if (spawned) post(watch_spawned(std::move(*spawned)));
}

void Supervisor::settle_spawn() {
  if (!spawning_) return;
  auto spawned = spawning_->take_or_give_up();
  if (spawned) return handle(watch_spawned(std::move(*spawned)));
  spawning_.reset();
  receiver_->resume();
}

// A living worker's output goes on into the file that it was given, and is looked at from time to time.
void Supervisor::bound_worker_log() {
  log_timer_.expires_after(kLogInterval);
  log_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error || !worker_) return;
    bound_worker_log();
    const std::string what = "bounding " + worker_log().string();
    if (log_reader_.doing() == what) return;  // a disk that hangs
    const config::Logging& logging = config_->logging;
    const auto keep = logging.max_size * static_cast<std::uint64_t>(std::max<std::int64_t>(1, logging.max_files));
    log_reader_.post(what, [this, file = worker_log(), keep] {
      const auto done = forget_old_output(file, keep);
      if (done) return;
      asio::post(io_, [this, why = done.error().message] {
        if (!std::exchange(log_trouble_told_, true)) tell(api::EventType::trouble, api::EventLevel::warn, why);
      });
    });
  });
}

core::Event Supervisor::watch_spawned(Spawned spawned) {
  const std::int64_t attempt = std::exchange(spawning_, nullptr)->attempt();
  receiver_->resume();
  if (!spawned.worker) return core::SpawnFailed{attempt, spawned.worker.error().message};
  auto worker = WorkerProcess::watch(io_, std::move(*spawned.worker),
                                     [this, attempt](const WorkerEnd& end) { worker_ended(attempt, end); });
  if (!worker) return core::SpawnFailed{attempt, worker.error().message};
  worker_ = std::move(*worker);
  receiver_->begin_attempt();
  spawned_ = now();
  log_offset_ = spawned.log_offset;
  forget_worker();
  bound_worker_log();
  return core::WorkerSpawned{attempt, worker_->pid()};
}

}  // namespace ts::shell
