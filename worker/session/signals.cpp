#include "worker/session/signals.h"

#include <signal.h>

#include <atomic>
#include <cstdint>
#include <ctime>

namespace ts::session {
namespace {

constexpr std::int64_t kSameRequestMs = 300;

std::atomic<bool> stop_flag{false};
std::atomic<std::int64_t> stop_asked_ms{0};
std::atomic<bool> save_flag{false};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<std::int64_t>::is_always_lock_free);

void on_stop(int number) {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const std::int64_t now_ms = std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
  std::int64_t first_ms = 0;
  if (stop_asked_ms.compare_exchange_strong(first_ms, now_ms)) {
    stop_flag.store(true);
    return;
  }
  if (now_ms - first_ms < kSameRequestMs) return;
  ::signal(number, SIG_DFL);
  ::raise(number);  // delivered when the handler returns and unblocks it
}

void on_save(int) {
  save_flag.store(true);
}

void install(int number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  ::sigaction(number, &action, nullptr);
}

}  // namespace

void install_signal_handlers() {
  install(SIGTERM, on_stop);
  install(SIGINT, on_stop);
  install(SIGUSR1, on_save);
  // A file size limit then shows as EFBIG, which is handled, and a closed pipe as EPIPE.
  ::signal(SIGXFSZ, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
}

bool stop_requested() {
  return stop_flag.load(std::memory_order_relaxed);
}

bool take_save_request() {
  return save_flag.load(std::memory_order_relaxed) && save_flag.exchange(false);
}

}  // namespace ts::session
