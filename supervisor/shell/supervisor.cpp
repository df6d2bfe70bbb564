#include "supervisor/shell/supervisor.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <utility>

#include "common/base/text.h"
#include "common/protocol/worker_contract.h"
#include "supervisor/shell/worker_command.h"
#include "supervisor/shell/worker_log.h"

namespace ts::shell {
namespace {

constexpr const char* kLockFile = "lock";
constexpr const char* kNotifySocket = "notify.sock";
constexpr std::chrono::milliseconds kRepeatedSignal{300};
constexpr std::size_t kBeatsKept = 32;
constexpr std::chrono::milliseconds kDurableSoon{200};
constexpr int kStatusesAMinute = 30;

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "an unknown host";
}

int exit_code_of(core::Cause cause) {
  using protocol::ExitCode;
  switch (cause) {
    case core::Cause::bad_configuration: return static_cast<int>(ExitCode::configuration);
    case core::Cause::bad_data: return static_cast<int>(ExitCode::unusable_data);
    case core::Cause::cannot_save: return static_cast<int>(ExitCode::cannot_write);
    default: return static_cast<int>(ExitCode::internal);
  }
}

}  // namespace

core::Policy make_policy(const config::Config& config) {
  core::Policy policy;
  policy.total_episodes = config.training.episodes;
  policy.startup_timeout = config.supervisor.startup_timeout;
  policy.heartbeat_timeout = config.supervisor.heartbeat_timeout;
  policy.progress_timeout = config.supervisor.progress_timeout;
  // A worker that tells of its saves should make one durable in every save_interval; thrice that is trouble.
  policy.durability_alarm = 3 * config.checkpoints.save_interval;
  policy.stop_timeout = config.supervisor.stop_timeout;
  policy.poison_after = config.restart.poison_after;
  policy.backoff_initial = config.restart.backoff_initial;
  policy.backoff_max = config.restart.backoff_max;
  policy.backoff_factor = config.restart.backoff_factor;
  policy.jitter = config.restart.jitter;
  policy.max_attempts_without_progress = config.restart.max_attempts_without_progress;
  policy.cooldown = config.restart.cooldown;
  return policy;
}

core::Instant Supervisor::now() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

Supervisor::Supervisor(asio::io_context& io, config::Config config, Options options,
                       std::shared_ptr<spdlog::logger> log, Console& console)
    : io_(io),
      config_(std::move(config)),
      options_(std::move(options)),
      log_(std::move(log)),
      console_(console),
      policy_(make_policy(config_)),
      children_(io),
      service_(io),
      timer_(io),
      look_timer_(io),
      save_timer_(io) {}

Supervisor::~Supervisor() {
  disk_.join();
}

Result<> Supervisor::open() {
  using checkpoint::Directory;
  const auto models = Directory::open(config_.checkpoints.directory, Directory::Create::yes);
  if (!models) return models.error();
  auto directory = Directory::open(config::resolved_state_directory(config_), Directory::Create::yes);
  if (!directory) return directory.error();
  state_directory_.emplace(std::move(*directory));
  auto lock = checkpoint::DirectoryLock::acquire(*state_directory_, "trainer-supervisor", kLockFile);
  if (!lock) return lock.error();
  lock_.emplace(std::move(*lock));

  auto receiver = NotifyReceiver::bind(
      io_, state_directory_->path() / kNotifySocket, [this](Notification& said) { return hear(said); },
      [this](const std::string& note) { log_->warn(note); });
  if (!receiver) return receiver.error();
  receiver_ = std::move(*receiver);
  auto server = api::HttpServer::listen(io_, config::resolved_control_socket(config_), *this);
  if (!server) return server.error();
  server_ = std::move(*server);
  asio::post(io_, [this] { service_.ready(); });  // when the loop runs, the socket is served

  for (const std::string& key : config::keys_without_effect(config_)) {
    log_->warn("{} is set, but has no effect in this version.", key);
  }
  std::string note;
  auto book = IncidentBook::open(*state_directory_);
  if (!book) return book.error();
  recorder_ = std::make_unique<IncidentRecorder>(io_, children_, std::move(*book), log_);
  const Memory memory = load_memory(*state_directory_, note);
  if (!note.empty()) log_->warn(note);
  state_ = memory.state;
  run_id_ = memory.run_id;
  exact_ = memory.exact;
  facts_ = gather_directory_facts(config_);
  if (!memory.host.empty() && memory.host != host_name()) {
    log_->warn("This run was last supervised on {}; going on here, on {}.", escape_control(memory.host), host_name());
  }
  if (adopt_survivor(memory) || adopt_unrecorded(*models)) {
    if (options_.fresh) post(core::RestartRequested{{core::LaunchFrom::Kind::fresh, {}}});
    return {};
  }
  // What was finished lies on disk, or is not finished any more: emptied by hand, or gone back by hand.
  const std::int64_t durable = facts_.newest ? facts_.newest->sidecar.episode : 0;
  // (Another worker may keep its checkpoints elsewhere: none of ours says nothing about it.)
  const bool ours = config_.worker.command.empty() || durable > 0;
  if (ours && durable < state_.finished_total) state_.finished_total = 0;
  if (durable < state_.high_water) state_.high_water = durable;
  if (options_.fresh) {
    post(core::RestartRequested{{core::LaunchFrom::Kind::fresh, {}}});
  } else {
    post(core::StartRequested{false, interruption_});
  }
  return {};
}

// Service managers and wrappers often send a signal to the process and to its group: that is one request.
void Supervisor::shut_down() {
  const core::Instant moment = now();
  if (shutdown_asked_ && moment - *shutdown_asked_ < kRepeatedSignal) return;
  if (!shutdown_asked_) shutdown_asked_ = moment;
  post(core::ShutdownRequested{state_.shutting_down});
}

void Supervisor::post(core::Event event) {
  queue_.push_back(std::move(event));
  if (draining_) return;
  draining_ = true;
  while (!queue_.empty()) {
    const core::Event next = std::move(queue_.front());
    queue_.pop_front();
    handle(next);
  }
  draining_ = false;
  arm_timer();
  service_.follow(state_, now());
  leave_if_done();
}

void Supervisor::handle(const core::Event& event) {
  core::Transition transition = core::step(std::move(state_), event, now(), policy_);
  state_ = std::move(transition.state);
  if (!transition.note.empty()) {
    const bool bad = state_.phase == core::Phase::fatal;
    const auto level = bad ? spdlog::level::err : transition.alarm ? spdlog::level::warn : spdlog::level::info;
    log_->log(level, "{}: {}", core::to_string(state_.phase), transition.note);
  }
  for (const core::Action& action : transition.actions) {
    std::visit([this](const auto& what) { perform(what); }, action);
  }
}

void Supervisor::perform(const core::PrepareLaunch& action) {
  asio::post(disk_, [this, action, own = own_launches(), held = held_] {
    auto plan = std::make_shared<LaunchPlan>();
    try {
      *plan = prepare_launch(action, held.get(), own, config_);
    } catch (const std::exception& error) {  // out of memory, say: an incident like any other, not our end
      plan->run_id = own.run_id;
      plan->outcome = core::LaunchRefused{action.attempt, core::Cause::cannot_prepare, false,
                                          std::string("settling the resume point failed: ") + error.what()};
    }
    asio::post(io_, [this, plan] { launch_settled(std::move(*plan)); });
  });
}

void Supervisor::launch_settled(LaunchPlan plan) {
  for (const std::string& note : plan.notes) log_->warn(note);
  if (plan.snapshot_settled) {
    held_.reset();
    unsaved_end_ = false;
  }
  if (plan.found && !worker_ && !state_.is_occupied()) {
    const bool unwanted = state_.desired == core::Desired::down;  // a stop came while the lock was looked at
    if (adopt(*plan.found)) {
      if (unwanted) post(core::StopRequested{});
      return refresh_facts();
    }
  }
  const auto* prepared = std::get_if<core::LaunchPrepared>(&plan.outcome);
  const bool awaited = state_.phase == core::Phase::starting && !state_.has_process();
  // Nothing of ours runs, and somebody else is at work there: whoever started us should know at once.
  refused_by_lock_ = plan.locked && spawned_ == core::Instant{0};
  if (prepared != nullptr && awaited && prepared->attempt == state_.attempt) {
    if (plan.run_id != run_id_) exact_.reset();
    run_id_ = plan.run_id;
    resumed_ = std::move(plan.resumed);
    recorder_->relaunched(prepared->resume.episode, std::max<std::int64_t>(0, reached_ - prepared->resume.episode));
    if (prepared->resume.path.empty()) {
      log_->info("Starting from the beginning: no checkpoint in {}/", config_.checkpoints.directory.string());
    } else if (resumed_) {
      log_->info("Auto-resuming from episode {}: {}", prepared->resume.episode, prepared->resume.path);
    } else {
      log_->info("Resuming from {}, a file of another origin", prepared->resume.path);
    }
  }
  refresh_facts();
  post(std::move(plan.outcome));
}

void Supervisor::perform(const core::SpawnWorker& action) {
  const LaunchContext context{options_.config_file, options_.own_program, receiver_->address(), run_id_, state_.reason};
  const WorkerCommand command = make_worker_command(config_, context, action.attempt, action.resume);
  const auto logged = prepare_worker_log(command.log_file, config_.logging.max_size, config_.logging.max_files);
  if (!logged) {
    post(core::SpawnFailed{action.attempt, logged.error().message});
    return;
  }
  log_offset_ = log_size(command.log_file);
  const std::int64_t attempt = action.attempt;
  auto worker = WorkerProcess::spawn(io_, children_, command,
                                     [this, attempt](const WorkerEnd& end) { worker_ended(attempt, end); });
  if (!worker) {
    post(core::SpawnFailed{attempt, worker.error().message});
    return;
  }
  worker_ = std::move(*worker);
  receiver_->begin_attempt();
  spawned_ = now();
  forget_worker();
  post(core::WorkerSpawned{attempt, worker_->pid()});
}

void Supervisor::perform(const core::SignalWorker& action) {
  if (worker_) worker_->signal(action.signal);
}

void Supervisor::perform(const core::SaveState& action) {
  save_state(action.durable ? Durable::now : Durable::later);
  // What is not durable yet becomes so when the relaunch is done.
  save_timer_.cancel();
  if (action.durable) return;
  save_timer_.expires_after(kDurableSoon);
  save_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) save_state(Durable::now);
  });
}

void Supervisor::save_state(Durable durable) {
  Memory memory{state_, run_id_, std::nullopt, current_boot_id(), host_name(), exact_};
  if (worker_ && state_.has_process()) memory.worker = worker_->identity();
  const auto saved = save_memory(*state_directory_, memory, durable);
  // The run's identity is in the sidecars too, so going on without this file loses history and no work.
  if (!saved) log_->warn("The supervisor's own state was not saved: {}", saved.error().message);
}

void Supervisor::perform(const core::LeaveDaemon&) {
  leaving_ = true;
}

// False: this sender may not speak for the worker.
bool Supervisor::hear(Notification& said) {
  if (!worker_ || !worker_->may_speak(said.sender)) return false;
  hold_snapshot(said);
  const protocol::NotifyMessage& message = said.message;
  last_beat_ = now();
  beats_.push_back({std::chrono::system_clock::now(), message});
  if (beats_.size() > kBeatsKept) beats_.pop_front();
  const bool resumed_said = message.resumed && !state_.progress.resumed;
  post(core::MessageReceived{state_.attempt, message});
  if (message.episode) rate_.add(*message.episode, *last_beat_);
  if (resumed_said && *message.resumed > 0 && state_.phase != core::Phase::stopping) {
    log_->info("Resuming training from episode {}/{}", *message.resumed + 1, view().total_episodes);
  }
  if (message.status) note_status(*message.status);
  if (message.checkpoint) {
    refresh_facts();
  } else if (message.episode) {
    console_.progress(view(), *last_beat_, false);
  }
  return true;
}

// A chatty worker must not fill the log: so many lines a minute are enough for a person.
void Supervisor::note_status(const std::string& status) {
  if (status.empty() || status == last_status_) return;
  last_status_ = status;
  if (now() - statuses_since_ > std::chrono::minutes{1}) {
    statuses_since_ = now();
    statuses_ = 0;
  }
  if (++statuses_ <= kStatusesAMinute) log_->info("worker: {}", escape_control(status));
  if (statuses_ == kStatusesAMinute) log_->info("worker: (more of these in this minute are not logged)");
}

void Supervisor::worker_ended(std::int64_t attempt, const WorkerEnd& end) {
  receiver_->drain();  // what it said before it ended comes first
  for (const std::string& note : end.notes) log_->warn(note);
  last_worker_ = worker_ ? worker_->identity() : ProcessIdentity{};
  worker_.reset();
  if (!core::leaves_work(state_, end.status)) held_.reset();  // else the next launch would still make it durable
  unsaved_end_ = end.status.code == static_cast<int>(protocol::ExitCode::cannot_write);
  log_end_ = log_size(worker_log());
  exit_ = end.status;
  reached_ = state_.progress.episode;
  post(core::WorkerExited{attempt, end.status, last_words(worker_log(), log_offset_)});
}

void Supervisor::refresh_facts() {
  if (facts_asked_) return;  // the answer that is on its way begins after this
  facts_asked_ = true;
  asio::post(disk_, [this] {
    facts_asked_ = false;
    auto facts = std::make_shared<DirectoryFacts>();
    try {
      *facts = gather_directory_facts(config_);
    } catch (const std::exception&) {
      return;  // what was known before is still shown
    }
    asio::post(io_, [this, facts] { facts_arrived(std::move(*facts)); });
  });
}

void Supervisor::facts_arrived(DirectoryFacts facts) {
  const bool newer = facts.newest && (!facts_.newest || facts.newest->sidecar.digest != facts_.newest->sidecar.digest);
  facts_ = std::move(facts);
  if (newer) judge_exactness();
  if (worker_ && newer) console_.progress(view(), now(), true);
}

// The first checkpoint after a resume tells in which environment the run goes on.
void Supervisor::judge_exactness() {
  if (!resumed_ || facts_.newest->sidecar.episode <= resumed_->episode) return;
  auto differing = exactness_differences(resumed_->exactness, facts_.newest->sidecar.exactness);
  for (std::string& name : exactness_differences(resumed_->config, facts_.newest->sidecar.config)) {
    differing.push_back(std::move(name));
  }
  if (!differing.empty()) {
    log_->warn("This run is no longer bit-exact: since the resume from episode {} these differ: {}", resumed_->episode,
               join(differing, ", "));
  }
  exact_ = exact_.value_or(true) && differing.empty();
  resumed_.reset();
}

void Supervisor::arm_timer() {
  timer_.cancel();
  if (!state_.deadline) return;
  timer_.expires_at(std::chrono::steady_clock::time_point(*state_.deadline));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    receiver_->drain();  // signs of life before timers
    post(core::DeadlinePassed{});
  });
}

void Supervisor::leave_if_done() {
  const bool gave_up = (state_.phase == core::Phase::fatal && !state_.deadline) || refused_by_lock_;
  const bool done = options_.exit_when_done && (state_.phase == core::Phase::finished || gave_up);
  if (!leaving_ && !done) return;
  if (!leaving_ && gave_up) exit_code_ = exit_code_of(state_.last_cause.value_or(core::Cause::unknown));
  if (leaving_ && unsaved_end_) exit_code_ = static_cast<int>(protocol::ExitCode::cannot_write);
  facts_ = gather_directory_facts(config_);
  say_goodbye();
  io_.stop();
}

}  // namespace ts::shell
