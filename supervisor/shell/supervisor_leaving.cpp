// The end of the daemon, by whatever way it comes.
#include <unistd.h>

#include <chrono>
#include <exception>
#include <memory>
#include <utility>

#include "common/protocol/worker_contract.h"
#include "supervisor/shell/supervisor.h"

namespace ts::shell {
namespace {

int exit_code_of(core::Cause cause) {
  using protocol::ExitCode;
  switch (cause) {
    case core::Cause::bad_configuration: return static_cast<int>(ExitCode::configuration);
    case core::Cause::bad_data: return static_cast<int>(ExitCode::unusable_data);
    case core::Cause::cannot_save: return static_cast<int>(ExitCode::cannot_write);
    default: return static_cast<int>(ExitCode::internal);
  }
}

constexpr std::chrono::seconds kGoodbye{5};

}  // namespace

void Supervisor::leave_if_done() {
  if (leave_) return;
  const bool gave_up = (state_.phase == core::Phase::fatal && !state_.deadline) || refused_by_lock_;
  const bool done = options_.exit_when_done && (state_.phase == core::Phase::finished || gave_up);
  if (!leaving_ && !done) return;
  if (!leaving_ && gave_up) exit_code_ = exit_code_of(state_.last_cause.value_or(core::Cause::unknown));
  if (leaving_ && unsaved_end_) exit_code_ = static_cast<int>(protocol::ExitCode::cannot_write);
  begin_leaving();
}

// What is saved by now, and what is still to be written, comes first: the disk thread keeps the order.
void Supervisor::begin_leaving() {
  disk_.post("reading " + config_->checkpoints.directory.string(), [this, config = config_] {
    try {
      auto facts = std::make_shared<DirectoryFacts>(gather_directory_facts(*config));
      asio::post(io_, [this, facts] { facts_ = std::move(*facts); });
    } catch (const std::exception&) {  // no memory, say: what was known before has to do
    }
  });
  const auto end_of = [](DiskWorker& worker) {
    return [&worker](std::function<void()> done) { worker.post({}, std::move(done)); };
  };
  std::vector<Leaving::Part> parts{{[this] { return disk_.doing(); }, end_of(disk_)},
                                   {[this] { return log_reader_.doing(); }, end_of(log_reader_)},
                                   {[this] { return "writing incidents in " + state_directory_->path().string(); },
                                    [this](std::function<void()> done) { recorder_->end(std::move(done)); }},
                                   {[this] { return "writing " + log_.file().name(); },
                                    [this](std::function<void()> done) { log_.file().end(std::move(done)); }}};
  leave_ = std::make_unique<Leaving>(
      io_, std::move(parts),
      [this](const std::string& what) { tell(api::EventType::trouble, api::EventLevel::warn, what); },
      [this] {
        say_goodbye();
        end_conversations();
      });
  timer_.cancel();
}

// Whoever asks twice does not want to wait for a disk, which may never answer. Its locks stay taken until it does: the
// kernel keeps a process that waits for a device.
void Supervisor::leave_at_once() {
  tell(api::EventType::trouble, api::EventLevel::warn,
       "Leaving at once, as asked again, without waiting for " + leave_->awaited() + ".");
  exit_code_ = static_cast<int>(protocol::ExitCode::cannot_write);
  left_at_once_ = true;
  io_.stop();
}

void Supervisor::say_goodbye() {
  const std::string saved =
      facts_.newest ? "the newest checkpoint is " + facts_.newest->path : "there is no checkpoint yet";
  const std::string episode = std::to_string(state_.progress.episode);
  api::EventLevel level = api::EventLevel::info;
  std::string message;
  switch (state_.phase) {
    case core::Phase::finished:
      message = "Finished: " + episode + "/" + std::to_string(view().total_episodes) + " episodes; " + saved + ".";
      break;
    case core::Phase::fatal:
      level = api::EventLevel::error;
      message = "Gave up; " + saved + ".";
      break;
    default:
      message = "Stopped after episode " + episode + "; " + saved + ". To go on, start " +
                (service_.present() ? "the service again." : "it again with the same command.");
  }
  tell(api::EventType::supervisor, level, std::move(message),
       {{"action", "left"}, {"state", core::to_string(state_.phase)}, {"pid", ::getpid()}});
}

// Whoever follows the events, and the hook, hear the last ones; nobody waits long for them.
void Supervisor::end_conversations() {
  left_ = true;
  goodbye_timer_.expires_after(kGoodbye);
  goodbye_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) io_.stop();
  });
  const auto heard = [this, left = std::make_shared<int>(2)] {
    if (--*left == 0) io_.stop();
  };
  server_->finish(heard);
  events_->finish(heard);
}

}  // namespace ts::shell
