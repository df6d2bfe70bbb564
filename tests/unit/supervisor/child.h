// A process of its own group that does what a test asks for, gone with its object.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include "common/base/process_identity.h"
#include "supervisor/shell/host_facts.h"

namespace ts::shell {

// ThreadSanitizer adds a thread of its own to every process, and makes a vfork a fork: no child waits in state D then.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

class Child {
 public:
  // `body` runs in the child, which ends when it returns.
  explicit Child(const std::function<void()>& body) : pid_(::fork()) {
    if (pid_ == 0) {
      ::setpgid(0, 0);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      body();
      ::_exit(0);
    }
    ::setpgid(pid_, pid_);
    identity_ = identify_process(pid_).value_or(ProcessIdentity{});
  }
  ~Child() { end(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void end() {
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  pid_t pid() const { return pid_; }
  const ProcessIdentity& identity() const { return identity_; }

  char state() const {
    const auto text = read_proc("/proc/" + std::to_string(pid_) + "/stat");
    const auto stat = text ? facts_from_stat(*text) : std::nullopt;
    return stat ? stat->state : '?';
  }
  // Whether it comes to be in one of these states.
  bool comes_to(std::string_view states) const {
    for (int i = 0; i < 2000 && states.find(state()) == std::string_view::npos; ++i) ::usleep(10'000);
    return states.find(state()) != std::string_view::npos;
  }

 private:
  pid_t pid_;
  ProcessIdentity identity_;
};

inline void sleep_for_ever() {
  while (true) ::pause();
}

inline void be_busy() {
  for (volatile unsigned count = 0;;) count = count + 1;
}

// Until it is killed in state D: the kernel lets a process that has called vfork(2) wait like that for its child.
inline void wait_uninterruptibly() {
  if (::vfork() == 0) {
    while (true) ::pause();
  }
}

inline bool is_gone(pid_t pid) {
  for (int i = 0; i < 1000; ++i) {
    if (!identify_process(pid)) return true;  // nobody, or a zombie
    ::usleep(10'000);
  }
  return false;
}

}  // namespace ts::shell
