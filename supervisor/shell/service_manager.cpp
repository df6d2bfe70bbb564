#include "supervisor/shell/service_manager.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "common/base/text.h"
#include "common/protocol/worker_contract.h"
#include "supervisor/api/status.h"

namespace ts::shell {
namespace {

constexpr std::chrono::seconds kInterval{1};       // between two messages that have time
constexpr std::chrono::milliseconds kRetry{100};   // when the manager's queue was full
constexpr std::chrono::seconds kPatience{30};      // beyond the worker's own limit: for the steps after it
constexpr std::chrono::minutes kRescueMax{10};     // a disk that never answers must not keep a machine from going down
constexpr std::chrono::seconds kExtensionStep{1};  // a limit that moved by less is not worth a message
constexpr std::size_t kStatusBytesMax = 1000;      // of a datagram of 4096 with other lines in it
constexpr std::chrono::microseconds kFeedingMin{1000};
constexpr std::chrono::hours kFeedingMax{1};

}  // namespace

std::optional<core::Instant> wait_until(const core::State& state) {
  if (!state.shutting_down || !state.is_occupied() || !state.deadline) return std::nullopt;
  const core::Instant until = *state.deadline + kPatience;
  return state.has_process() ? until : std::min<core::Instant>(until, state.since + kRescueMax);
}

std::chrono::microseconds feeding_interval(const char* watchdog_usec, const char* watchdog_pid, pid_t self) {
  const auto allowed = watchdog_usec == nullptr ? std::nullopt : parse_plain_integer(watchdog_usec);
  const bool for_another = watchdog_pid != nullptr && parse_plain_integer(watchdog_pid) != self;
  if (!allowed || *allowed <= 0 || for_another) return std::chrono::microseconds::zero();
  return std::clamp(std::chrono::microseconds(*allowed / 2), kFeedingMin, std::chrono::microseconds(kFeedingMax));
}

ServiceManager::ServiceManager(asio::io_context& io)
    : sender_(std::getenv(protocol::kEnvNotifySocket)), timer_(io), watchdog_(io) {
  if (!present()) return;
  feeding_interval_ =
      feeding_interval(std::getenv(protocol::kEnvWatchdogUsec), std::getenv(protocol::kEnvWatchdogPid), ::getpid());
}

void ServiceManager::ready() {
  if (!present()) return;
  unsent_.ready = true;
  send(true);
  if (feeding_interval_ > feeding_interval_.zero()) feed_watchdog();
}

void ServiceManager::follow(const core::State& state, core::Instant now) {
  if (!present()) return;
  std::string status = shorten(escape_control(api::summary(state)), kStatusBytesMax);
  if (status != status_) {
    unsent_.status = status;
    status_ = std::move(status);
  }
  if (state.shutting_down && !stopping_) unsent_.stopping = stopping_ = true;
  const auto until = wait_until(state);
  if (until && (!wait_until_ || *until >= *wait_until_ + kExtensionStep)) {
    wait_until_ = until;
    unsent_.extend_timeout = std::chrono::duration_cast<std::chrono::microseconds>(*until - now);
  }
  send(state.shutting_down);
}

void ServiceManager::feed_watchdog() {
  unsent_.watchdog = true;
  send(true);
  watchdog_.expires_after(feeding_interval_);
  watchdog_.async_wait([this](const boost::system::error_code& error) {
    if (!error) feed_watchdog();
  });
}

void ServiceManager::send(bool urgent) {
  if (unsent_ == protocol::NotifyMessage{}) return;
  const auto now = std::chrono::steady_clock::now();
  if (!urgent && now < last_sent_ + kInterval) {
    return send_later(std::chrono::ceil<std::chrono::milliseconds>(last_sent_ + kInterval - now));
  }
  if (!sender_.send(unsent_)) return send_later(kRetry);
  unsent_ = {};
  last_sent_ = now;
}

void ServiceManager::send_later(std::chrono::milliseconds delay) {
  if (timer_runs_) return;
  timer_runs_ = true;
  timer_.expires_after(delay);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    timer_runs_ = false;
    send(true);
  });
}

}  // namespace ts::shell
