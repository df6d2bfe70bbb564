// Our child processes: the ones we started and wait for, and the orphans that the kernel gives us.
//
// The daemon is a child subreaper: what a worker's descendants leave behind becomes our child instead of init's, so it
// can be found, ended and reaped. Orphans that end are reaped as soon as the kernel says so. Whoever starts a process
// here keeps() it until it has waited for it, which protects it twice: its exit status is not taken from under its
// starter, and neither it nor anything below it is ever swept (supervisor/shell/stragglers.h).
//
// Sources: prctl(2), PR_SET_CHILD_SUBREAPER; waitid(2).
// Ownership: the io_context outlives it; one for each process. Threading: made and destroyed on the io_context's
// thread; start, keep, release and kept from any. Every child is started by start(), so that nobody takes it for an
// orphan before it is kept: while one is being started, which a disk that hangs can make long, orphans stay zombies,
// and nobody waits.
#pragma once

#include <sys/types.h>

#include <functional>
#include <mutex>
#include <set>

#include "supervisor/shell/net.h"

namespace ts::shell {

class Children {
 public:
  explicit Children(asio::io_context& io);

  void keep(pid_t pid);
  // Keeps the child that `spawn` starts; it returns 0 when it could not.
  pid_t start(const std::function<pid_t()>& spawn);
  // Waited for, or left alone: what has ended meanwhile behind it is reaped.
  void release(pid_t pid);
  std::set<pid_t> kept() const;

 private:
  void wait();
  void reap_orphans();

  asio::signal_set ended_;
  mutable std::mutex mutex_;  // guards what follows
  std::set<pid_t> kept_;
  int starting_ = 0;
};

}  // namespace ts::shell
