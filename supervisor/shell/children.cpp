#include "supervisor/shell/children.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

namespace ts::shell {

Children::Children(asio::io_context& io) : ended_(io, SIGCHLD) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);  // cannot fail on any Linux that we build for (3.4)
  wait();
}

void Children::keep(pid_t pid) {
  const std::lock_guard lock(mutex_);
  kept_.insert(pid);
}

pid_t Children::start(const std::function<pid_t()>& spawn) {
  {
    const std::lock_guard lock(mutex_);
    ++starting_;
  }
  const auto started = [this](pid_t pid) {
    {
      const std::lock_guard lock(mutex_);
      --starting_;
      if (pid != 0) kept_.insert(pid);
    }
    reap_orphans();  // those that have ended meanwhile
  };
  pid_t pid = 0;
  try {
    pid = spawn();
  } catch (...) {  // no memory, say
    started(0);
    throw;
  }
  started(pid);
  return pid;
}

std::set<pid_t> Children::kept() const {
  const std::lock_guard lock(mutex_);
  return kept_;
}

void Children::release(pid_t pid) {
  {
    const std::lock_guard lock(mutex_);
    kept_.erase(pid);
  }
  reap_orphans();
}

void Children::wait() {
  ended_.async_wait([this](const boost::system::error_code& error, int) {
    if (error) return;
    reap_orphans();
    wait();
  });
}

void Children::reap_orphans() {
  const std::lock_guard lock(mutex_);
  if (starting_ > 0) return;  // which of them is being started, nobody knows yet
  // The kernel shows one that has ended at a time. A kept one hides those behind it until it is released, which comes
  // soon after its end.
  while (true) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    if (kept_.contains(info.si_pid)) return;
    ::waitid(P_PID, static_cast<id_t>(info.si_pid), &info, WEXITED | WNOHANG);
  }
}

}  // namespace ts::shell
