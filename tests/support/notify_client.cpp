// A worker that speaks through libsystemd, as programs that know nothing of us do: READY, a status, episodes, and its
// state handed over in a memfd (tests/integration/notify_clients_test.py).
//
//   notify_client STATE DIGEST
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include <systemd/sd-daemon.h>

namespace {

constexpr std::uint64_t kBarrierTimeoutUs = 60'000'000;
constexpr useconds_t kBeatUs = 20'000;

int fail(const char* what) {
  std::perror(what);
  return 1;
}

// The descriptor goes along; the supervisor keeps its own.
int hand_over(const std::string& state, const std::string& digest) {
  const int memory = ::memfd_create("snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (memory < 0 || ::write(memory, state.data(), state.size()) != static_cast<ssize_t>(state.size()) ||
      ::fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
    return fail("memfd");
  }
  const std::string text =
      "FDSTORE=1\nFDNAME=snapshot\nX_TRAINER_EPISODE=7\nX_TRAINER_METRICS={\"profit\": 1.5}\n"
      "X_TRAINER_SNAPSHOT={\"episode\": 7, \"bytes\": " +
      std::to_string(state.size()) + ", \"digest\": \"" + digest + "\"}";
  if (sd_pid_notify_with_fds(0, 0, text.c_str(), &memory, 1) <= 0) return fail("sd_pid_notify_with_fds");
  ::close(memory);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::uint64_t watchdog_us = 0;
  if (sd_watchdog_enabled(0, &watchdog_us) <= 0 || watchdog_us == 0) return fail("sd_watchdog_enabled");
  if (sd_notifyf(0, "READY=1\nSTATUS=%s %d\nX_TRAINER_TOTAL=%d", "libsystemd speaks for", ::getpid(), 9) <= 0) {
    return fail("sd_notifyf");
  }
  if (hand_over(argv[1], argv[2]) != 0) return 1;
  if (sd_notify_barrier(0, kBarrierTimeoutUs) <= 0) return fail("sd_notify_barrier");
  std::puts("everything before this was heard");
  std::fflush(stdout);
  while (sd_notify(0, "WATCHDOG=1") > 0) ::usleep(kBeatUs);
  return fail("sd_notify");
}
