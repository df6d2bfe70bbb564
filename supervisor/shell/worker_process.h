// One worker process: started here or adopted from an earlier supervisor, watched and signalled.
//
// Started with Boost.Process v2 into a process group of its own, so that Ctrl+C at the terminal reaches the supervisor
// alone and a signal from here reaches the whole family. Watched through a pidfd, which works for children and adopted
// processes alike. When the leader has exited, what is left of its group and what had left the group
// (supervisor/shell/stragglers.h) is killed before the leader is reaped: until then its number cannot be given to
// anyone else. The owner hears of the end when all of that is gone, or after a few seconds if something cannot be
// ended.
//
// Errors: a launch that fails says at which stage: look up, open log, fork, exec.
// Sources: pidfd_open(2), waitid(2) (WNOWAIT), setpgid(2), kill(2).
// Ownership: held by unique_ptr; destroying it leaves the process alone. Threading: the io_context's thread, but for
// StartedWorker: starting one may wait for a disk.
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
#include "common/base/unique_fd.h"
#include "supervisor/core/supervision.h"
#include "supervisor/shell/children.h"
#include "supervisor/shell/net.h"
#include "supervisor/shell/oom.h"
#include "supervisor/shell/process_tree.h"
#include "supervisor/shell/speakers.h"

namespace ts::shell {

struct WorkerCommand {
  std::vector<std::string> arguments;              // the first names the program, looked up in PATH unless it has a '/'
  std::map<std::string, std::string> environment;  // set on top of ours
  std::filesystem::path log_file;                  // stdout and stderr are appended here: a file, so that the worker
                                                   // outlives us without losing a line
};

// A worker that runs and is not watched yet. Whoever lets go of one that it has not had watched ends it, and waits for
// its end.
//
// Threading: any, one at a time. Ownership: the registry of children outlives it.
class StartedWorker {
 public:
  // Looks the program up, opens the log, forks and executes; each of which may wait for a disk.
  static Result<StartedWorker> start(Children& children, const WorkerCommand& command);
  ~StartedWorker();
  StartedWorker(StartedWorker&& other) noexcept;
  StartedWorker& operator=(StartedWorker&&) = delete;

 private:
  friend class WorkerProcess;
  StartedWorker(Children& children, pid_t pid, OomCounters oom);

  Children* children_;  // null when it is watched, or another object's
  UniqueFd pidfd_;
  Launch launch_;
  OomCounters oom_;
};

struct WorkerEnd {
  core::ExitStatus status;
  std::vector<std::string> notes;  // sentences for the log: what it left behind, and what became of that
};

class WorkerProcess {
 public:
  using OnExit = std::function<void(const WorkerEnd&)>;

  // `on_exit` is called once, never from within watch or adopt. `children` outlives this.
  static Result<std::unique_ptr<WorkerProcess>> watch(asio::io_context& io, StartedWorker started, OnExit on_exit);
  static Result<std::unique_ptr<WorkerProcess>> adopt(asio::io_context& io, Children& children,
                                                      const ProcessIdentity& identity, OnExit on_exit);
  ~WorkerProcess();

  pid_t pid() const { return launch_.leader.pid; }
  const ProcessIdentity& identity() const { return launch_.leader; }

  // To the whole group, with SIGCONT besides: a stopped worker cannot act on anything but SIGKILL.
  void signal(core::Signal signal);
  // Asks the worker itself, and nobody else, to save now (docs/PROTOCOL.md, "Signals"). False: it does not catch
  // SIGUSR1, which would end it, so nothing was done.
  bool ask_to_save();

  // It has, and what it left behind is being swept; its end will be told.
  bool has_ended() const { return ended_; }

  bool may_speak(const Sender& sender) { return speakers_.may_speak(sender); }

 private:
  WorkerProcess(asio::io_context& io, Children& children, Launch launch, Leader leader, int pidfd, OomCounters oom,
                OnExit on_exit);
  void await_end();
  void leader_ended();
  void sweep();
  bool sweep_once();
  void finish();

  Children& children_;
  Launch launch_;
  Speakers speakers_;
  OomCounters oom_;
  asio::posix::stream_descriptor pidfd_;
  asio::steady_timer timer_;
  OnExit on_exit_;

  bool ended_ = false;  // the leader; it is a zombie until finish()
  bool ours_ = false;   // our child
  core::ExitStatus status_;
  int rounds_ = 0;
  std::map<pid_t, std::string> swept_;      // stragglers that were killed
  std::map<pid_t, std::string> remaining_;  // whatever is there after the latest round
};

}  // namespace ts::shell
