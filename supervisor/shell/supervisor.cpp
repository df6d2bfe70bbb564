#include "supervisor/shell/supervisor.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <utility>

#include "common/base/text.h"
#include "common/protocol/worker_contract.h"
#include "supervisor/api/version.h"
#include "supervisor/shell/worker_log.h"

namespace ts::shell {
namespace {

constexpr const char* kLockFile = "lock";
constexpr const char* kNotifySocket = "notify.sock";
constexpr std::chrono::milliseconds kRepeatedSignal{300};
constexpr std::size_t kBeatsKept = 32;
constexpr std::chrono::milliseconds kLastWordsWait{500};  // no end is judged later, whatever the log's disk does

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "an unknown host";
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

Supervisor::Supervisor(asio::io_context& io, config::ConfigFile file, Options options, Log& log, Console& console)
    : io_(io),
      config_(std::make_shared<const config::Config>(std::move(file.config))),
      places_(std::move(file.places)),
      options_(std::move(options)),
      log_(log),
      console_(console),
      policy_(make_policy(*config_)),
      children_(io),
      service_(io),
      timer_(io),
      look_timer_(io),
      words_timer_(io),
      log_timer_(io),
      draw_timer_(io),
      goodbye_timer_(io) {}

Supervisor::~Supervisor() = default;

Result<> Supervisor::open() {
  using checkpoint::Directory;
  const auto models = Directory::open(config_->checkpoints.directory, Directory::Create::yes);
  if (!models) return models.error();
  auto directory = Directory::open(config::resolved_state_directory(*config_), Directory::Create::yes);
  if (!directory) return directory.error();
  state_directory_.emplace(std::move(*directory));
  std::error_code error;
  state_path_ = std::filesystem::canonical(state_directory_->path(), error).string();
  if (error)
    return make_error(ErrorKind::unavailable, state_directory_->path().string() + ": " + error.message() + ".");
  auto lock = checkpoint::DirectoryLock::acquire(*state_directory_, "trainer-supervisor", kLockFile);
  if (!lock) return lock.error();
  lock_.emplace(std::move(*lock));
  state_id_ = directory_id(state_directory_->fd());
  auto journal = Directory::open(state_directory_->path(), Directory::Create::no);
  if (!journal) return journal.error();
  events_ = std::make_unique<Events>(io_, children_, std::move(*journal), config_->hooks.on_event, log_, [this] {
    return EventContext{run_id_, state_.attempt, state_.progress.episode};
  });

  auto receiver = NotifyReceiver::bind(
      io_, state_directory_->path() / kNotifySocket, [this](Notification& said) { return hear(said); },
      [this](const std::string& note) { tell(api::EventType::trouble, api::EventLevel::warn, note); });
  if (!receiver) return receiver.error();
  receiver_ = std::move(*receiver);
  auto server = api::HttpServer::listen(io_, config::resolved_control_socket(*config_), *this);
  if (!server) return server.error();
  server_ = std::move(*server);
  listen_on_tcp();
  asio::post(io_, [this] { service_.ready(); });  // when the loop runs, the socket is served

  write_config();
  std::string note;
  auto book = IncidentBook::open(*state_directory_);
  if (!book) return book.error();
  recorder_ = std::make_unique<IncidentRecorder>(
      io_, children_, std::move(*book),
      [this](const IncidentReport& report, const std::string& where) { tell_incident(report, where); },
      [this](const std::string& what) { tell(api::EventType::trouble, api::EventLevel::warn, what); });
  keeper_ = std::make_unique<StateKeeper>(
      io_, disk_, state_directory_->path().string(),
      StateKeeper::Uses{
          [this] { return remember(); },
          [this](const Memory& memory, Durable durable) { return save_memory(*state_directory_, memory, durable); },
          [this](const std::string& what) { tell(api::EventType::trouble, api::EventLevel::warn, what); }});
  const Memory memory = load_memory(*state_directory_, note);
  if (!note.empty()) tell(api::EventType::trouble, api::EventLevel::warn, note);
  state_ = memory.state;
  // The last launch that was begun may have left a worker, where none was written down for it.
  unknown_from_ = memory.worker ? memory.state.attempt + 1 : memory.state.attempt;
  run_id_ = memory.run_id;
  exact_ = memory.exact;
  recall_accounts(memory);
  facts_ = gather_directory_facts(*config_);
  tell_start();
  if (!memory.host.empty() && memory.host != host_name()) {
    tell(api::EventType::supervisor, api::EventLevel::warn,
         "This run was last supervised on " + escape_control(memory.host) + "; going on here, on " + host_name() + ".",
         {{"action", "moved"}, {"from", memory.host}, {"to", host_name()}});
  }
  if (adopt_survivor(memory)) {
    if (options_.fresh) post(core::RestartRequested{{core::LaunchFrom::Kind::fresh, {}}});
    return {};
  }
  // What was finished lies on disk, or is not finished any more: emptied by hand, or gone back by hand.
  const std::int64_t durable = facts_.newest ? facts_.newest->sidecar.episode : 0;
  // (Another worker may keep its checkpoints elsewhere: none of ours says nothing about it.)
  const bool ours = config_->worker.command.empty() || durable > 0;
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
  if (left_) return io_.stop();
  if (shutdown_asked_ && moment - *shutdown_asked_ < kRepeatedSignal) return;
  if (leave_ && (shutdown_asked_ || leave_->has_said())) return leave_at_once();
  if (!shutdown_asked_) shutdown_asked_ = moment;
  post(core::ShutdownRequested{state_.shutting_down});
}

void Supervisor::post(core::Event event) {
  if (leave_) return;  // what happens from now on is the next supervisor's
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
  draw_waiting();
  service_.follow(state_, now());
  leave_if_done();
}

void Supervisor::handle(const core::Event& event) {
  // A wish meets a worker or none, never one in the making.
  const bool is_wish = std::holds_alternative<core::StopRequested>(event) ||
                       std::holds_alternative<core::RestartRequested>(event) ||
                       std::holds_alternative<core::ShutdownRequested>(event);
  if (is_wish) settle_spawn();
  const core::Phase phase = state_.phase;
  const core::Vantage before = core::vantage_of(state_);
  const core::Instant moment = now();
  core::Transition transition = core::step(std::move(state_), event, moment, policy_);
  keep_accounts(before, event, transition, moment);
  state_ = std::move(transition.state);
  // Acting first: what is done takes its time on other threads, and what is said waits for nobody.
  for (const core::Action& action : transition.actions) {
    std::visit([this](const auto& what) { perform(what); }, action);
  }
  if (!transition.note.empty()) tell_transition(phase, transition);
}

void Supervisor::perform(const core::SignalWorker& action) {
  if (worker_) worker_->signal(action.signal);
}

void Supervisor::perform(const core::SaveState& action) {
  saved_ = kept_ = now();
  switch (action.when) {
    case core::SaveState::When::durable: return keeper_->save(Durable::now);
    case core::SaveState::When::written: return keeper_->save(Durable::later);
    case core::SaveState::When::soon: return keeper_->save_soon();
  }
}

Memory Supervisor::remember() {
  Memory memory{state_, run_id_, api::kVersion, std::nullopt, current_boot_id(), host_name(), exact_};
  if (worker_ && state_.has_process()) memory.worker = worker_->identity();
  // Launches that were given up before anybody had looked for earlier ones have launched nothing.
  if (unknown_from_) memory.state.attempt = std::min(memory.state.attempt, *unknown_from_);
  memory.accounts = remember_accounts();
  return memory;
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
  const std::pair before{state_.progress.episode, state_.progress.step};
  post(core::MessageReceived{state_.attempt, message});
  if (std::pair{state_.progress.episode, state_.progress.step} != before) keep_what_was_learned();
  if (message.episode) rate_.add(*message.episode, *last_beat_);
  if (resumed_said && *message.resumed > 0 && state_.phase != core::Phase::stopping) {
    tell(api::EventType::resumed, api::EventLevel::info,
         "Resuming training from episode " + std::to_string(*message.resumed + 1) + "/" +
             std::to_string(view().total_episodes),
         {{"episode", *message.resumed}});
  }
  if (message.status) note_status(*message.status, message.trouble);
  if (message.checkpoint) {
    refresh_facts();
  } else if (message.episode) {
    console_.progress(view(), *last_beat_, false);
  }
  return true;
}

void Supervisor::worker_ended(std::int64_t attempt, const WorkerEnd& end) {
  receiver_->drain();  // what it said before it ended comes first
  for (const std::string& note : end.notes) tell(api::EventType::leftover, api::EventLevel::warn, note);
  last_worker_ = worker_ ? worker_->identity() : ProcessIdentity{};
  worker_.reset();
  if (!core::leaves_work(state_, end.status)) held_.reset();  // else the next launch would still make it durable
  unsaved_end_ = end.status.code == static_cast<int>(protocol::ExitCode::cannot_write);
  log_end_ = 0;
  exit_ = end.status;
  reached_ = state_.progress.episode;
  hear_last_words(attempt, end.status);
}

// Its end is judged when its last words are read, or without them: they are worth a moment, not a hung disk's time.
void Supervisor::hear_last_words(std::int64_t attempt, const core::ExitStatus& status) {
  const auto judge = [this, attempt, status](std::string words, std::uint64_t log_end) {
    if (words_awaited_ != attempt) return;
    words_awaited_.reset();
    log_end_ = log_end;
    post(core::WorkerExited{attempt, status, std::move(words)});
    recorder_->left(attempt, status);
  };
  words_awaited_ = attempt;
  words_timer_.expires_after(kLastWordsWait);
  words_timer_.async_wait([judge](const boost::system::error_code& error) {
    if (!error) judge({}, 0);
  });
  log_reader_.post("reading " + worker_log().string(), [this, judge, file = worker_log(), from = log_offset_] {
    std::string words = last_words(file, from);
    asio::post(io_,
               [judge, words = std::move(words), end = log_size(file)]() mutable { judge(std::move(words), end); });
  });
}

void Supervisor::refresh_facts() {
  if (facts_asked_) return;  // the answer that is on its way begins after this
  facts_asked_ = true;
  disk_.post("reading " + config_->checkpoints.directory.string(),
             [this, config = config_, seen = facts_.newest ? facts_.newest->sidecar.episode : 0] {
               facts_asked_ = false;
               auto facts = std::make_shared<DirectoryFacts>();
               try {
                 *facts = gather_directory_facts(*config, seen);
               } catch (const std::exception&) {
                 return;  // what was known before is still shown
               }
               asio::post(io_, [this, facts] { facts_arrived(std::move(*facts)); });
             });
}

void Supervisor::facts_arrived(DirectoryFacts facts) {
  const bool newer = facts.newest && (!facts_.newest || facts.newest->sidecar.digest != facts_.newest->sidecar.digest);
  const std::string since = facts_.newest ? facts_.newest->sidecar.created : std::string();
  facts_ = std::move(facts);
  forget_filed_best();
  if (newer) note_checkpoints(since);
  if (newer) judge_exactness();
  // (Going back makes an older one the newest.)
  if (newer && facts_.newest->sidecar.created > since && checkpoints_.take(now())) tell_checkpoint();
  if (worker_ && newer) console_.progress(view(), now(), true);
}

// While nothing happens but time, a person still sees it pass.
void Supervisor::draw_waiting() {
  constexpr std::chrono::seconds kTick{1};
  if (!console_.is_terminal() || !is_waiting(state_) || leave_) {
    draw_timer_.cancel();
    return;
  }
  console_.progress(view(), now(), false);
  draw_timer_.expires_after(kTick);
  draw_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) draw_waiting();
  });
}

void Supervisor::arm_timer() {
  timer_.cancel();
  if (!state_.deadline || leave_) return;
  timer_.expires_at(std::chrono::steady_clock::time_point(*state_.deadline));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    receiver_->drain();  // signs of life before timers
    post(core::DeadlinePassed{});
  });
}

}  // namespace ts::shell
