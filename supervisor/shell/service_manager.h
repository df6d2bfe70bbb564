// What the service manager that started us is told: that we serve, what we do, that we live, that a stop takes time.
//
// The messages are sd_notify's. They are sent without waiting for the receiver, which sd_notify(3) itself would do: a
// manager that does not read must not blind the supervisor. What its queue has no room for is sent a little later. With
// no NOTIFY_SOCKET every call does nothing.
//
// The watchdog is fed from the event loop's own timer, so that a loop that hangs is noticed and the daemon replaced;
// the worker trains on meanwhile.
//
// Sources: sd_notify(3), sd_watchdog_enabled(3), systemd.service(5) (TimeoutStopSec=, WatchdogSec=).
// Threading: the io_context's thread. Errors: none.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

#include "common/protocol/notify_message.h"
#include "common/protocol/notify_sender.h"
#include "supervisor/core/supervision.h"
#include "supervisor/shell/net.h"

namespace ts::shell {

// How long the manager should be asked to wait from now on for a daemon that is leaving; nothing while it is not, or
// has no worker to wait for and nothing of a dead one to save. Pure.
std::optional<core::Instant> wait_until(const core::State& state);

// Between two feedings of our own watchdog: half of what the manager allows, as sd_watchdog_enabled(3) recommends; zero
// when there is none, or it is for another process. By these values of the environment, or null. Pure.
std::chrono::microseconds feeding_interval(const char* watchdog_usec, const char* watchdog_pid, pid_t self);

class ServiceManager {
 public:
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID of this process.
  explicit ServiceManager(asio::io_context& io);
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  bool present() const { return sender_.connected(); }

  // Start-up is done. From now on the watchdog is fed.
  void ready();

  // Tells what is new in this state. At most one message a second, unless we are leaving.
  void follow(const core::State& state, core::Instant now);

 private:
  void feed_watchdog();
  void send(bool urgent);
  void send_later(std::chrono::milliseconds delay);

  protocol::NotifySender sender_;
  protocol::NotifyMessage unsent_;
  std::string status_;  // the last one that was or will be sent
  bool stopping_ = false;
  std::optional<core::Instant> wait_until_;  // as the manager knows it
  std::chrono::microseconds feeding_interval_{0};
  std::chrono::steady_clock::time_point last_sent_{};
  bool timer_runs_ = false;
  asio::steady_timer timer_;
  asio::steady_timer watchdog_;
};

}  // namespace ts::shell
