// One worker process: spawned here or adopted from an earlier supervisor, watched and signalled.
//
// Spawned with Boost.Process v2 into a process group of its own, so that Ctrl+C at the terminal reaches the supervisor
// alone and a signal from here reaches the whole family. Watched through a pidfd, which works for children and adopted
// processes alike. When the leader has exited, what is left of its group is killed before the leader is reaped: until
// then its number cannot be given to anyone else.
//
// Sources: pidfd_open(2), waitid(2) (WNOWAIT), setpgid(2), kill(2).
// Ownership: held by unique_ptr; destroying it leaves the process alone. Threading: the io_context's thread.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/process_identity.h"
#include "common/base/result.h"
#include "supervisor/core/supervision.h"
#include "supervisor/shell/net.h"

namespace ts::shell {

struct WorkerCommand {
  std::vector<std::string> arguments;              // the first names the program, looked up in PATH unless it has a '/'
  std::map<std::string, std::string> environment;  // set on top of ours
  std::filesystem::path log_file;                  // stdout and stderr are appended here: a file, so that the worker
                                                   // outlives us without losing a line
};

class WorkerProcess {
 public:
  using OnExit = std::function<void(core::ExitStatus)>;

  // `on_exit` is called once, never from within spawn or adopt.
  static Result<std::unique_ptr<WorkerProcess>> spawn(asio::io_context& io, const WorkerCommand& command,
                                                      OnExit on_exit);
  static Result<std::unique_ptr<WorkerProcess>> adopt(asio::io_context& io, const ProcessIdentity& identity,
                                                      OnExit on_exit);

  pid_t pid() const { return identity_.pid; }
  const ProcessIdentity& identity() const { return identity_; }

  // To the whole group, with SIGCONT besides: a stopped worker cannot act on anything but SIGKILL.
  void signal(core::Signal signal);

  // Whether a message from `sender` may speak for this worker: itself or a member of its process group.
  bool owns(pid_t sender) const;

 private:
  WorkerProcess(asio::io_context& io, ProcessIdentity identity, int pidfd, OnExit on_exit);
  void watch();
  void reap();

  ProcessIdentity identity_;
  asio::posix::stream_descriptor pidfd_;
  OnExit on_exit_;
};

}  // namespace ts::shell
