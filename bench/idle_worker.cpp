// The worker that bench/supervision.py has supervised by everybody in turn: it writes down when its main() began and
// then does nothing, or beats. Linked statically, so that its own start is the same few hundred microseconds
// everywhere.
//
// Told by the environment, since some supervisors start a program without arguments:
//   BENCH_STAMP     a line "PID NANOSECONDS" (CLOCK_MONOTONIC) is appended to this file
//   BENCH_PIDFILE   gets the pid (monit)
//   BENCH_READY_FD  gets a newline: ready (s6)
//   BENCH_BEAT_MS   READY=1 to NOTIFY_SOCKET, and then WATCHDOG=1 with a growing step so often
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

bool write_to(int fd, const char* text) {
  return ::write(fd, text, std::strlen(text)) == static_cast<ssize_t>(std::strlen(text));
}

bool write_file(const char* path, int flags, const char* text) {
  const int fd = ::open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
  const bool written = fd >= 0 && write_to(fd, text);
  if (fd >= 0) ::close(fd);
  return written;
}

void say(int fd, const sockaddr_un& address, const char* text) {
  // Nobody there is no trouble of ours: the supervisor may be on its way back.
  [[maybe_unused]] const auto sent =
      ::sendto(fd, text, std::strlen(text), 0, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

int beat(const char* socket_path, long interval_ms) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_path, sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return 1;
  say(fd, address, "READY=1");
  const timespec pause{interval_ms / 1000, interval_ms % 1000 * 1'000'000};
  for (long step = 1;; ++step) {
    ::nanosleep(&pause, nullptr);
    char text[64];
    std::snprintf(text, sizeof text, "WATCHDOG=1\nX_TRAINER_STEP=%ld", step);
    say(fd, address, text);
  }
}

}  // namespace

int main() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  char line[64];
  std::snprintf(line, sizeof line, "%d %lld\n", static_cast<int>(::getpid()),
                static_cast<long long>(now.tv_sec) * 1'000'000'000 + now.tv_nsec);
  const char* stamp = std::getenv("BENCH_STAMP");
  if (stamp == nullptr || !write_file(stamp, O_APPEND, line)) return 1;
  if (const char* file = std::getenv("BENCH_PIDFILE")) write_file(file, O_TRUNC, line);
  if (const char* fd = std::getenv("BENCH_READY_FD")) write_to(std::atoi(fd), "\n");
  const char* notify = std::getenv("NOTIFY_SOCKET");
  const char* interval = std::getenv("BENCH_BEAT_MS");
  if (notify != nullptr && interval != nullptr) return beat(notify, std::atol(interval));
  for (;;) ::pause();
}
