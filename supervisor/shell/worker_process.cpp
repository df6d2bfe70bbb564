#include "supervisor/shell/worker_process.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <boost/process/v2/process.hpp>

#include "common/base/find_program.h"
#include "common/base/text.h"
#include "common/base/unique_fd.h"
#include "common/protocol/worker_contract.h"
#include "supervisor/shell/launch_marks.h"
#include "supervisor/shell/start_program.h"
#include "supervisor/shell/stragglers.h"

namespace ts::shell {
namespace {

namespace process = boost::process::v2;

// Starts as Boost.Process's own launchers do, and returns what they return; but those fork, or have a vfork's child
// call C++ on our own stack.
struct Launcher {
  std::vector<std::string>& environment;
  StandardFiles files;

  template <class Executor>
  process::basic_process<Executor> operator()(const Executor& executor, boost::system::error_code& error,
                                              const std::string& program, std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), program);
    pid_t pid = 0;
    error.assign(start_program(program, arguments, environment, files, pid), boost::system::system_category());
    if (error) return process::basic_process<Executor>(executor);
    try {
      return process::basic_process<Executor>(executor, pid);
    } catch (const boost::system::system_error& trouble) {  // nobody could watch it: no descriptor is left, say
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
      error = trouble.code();
    }
    return process::basic_process<Executor>(executor);
  }
};

constexpr int kRoundsMax = 24;  // of the sweep: about four seconds
constexpr std::chrono::milliseconds kPauseMax{250};
constexpr int kLooksMax = 16;  // within a round, while more come to light

std::string system_reason(int error) {
  return std::strerror(error);
}

Error cannot_launch(ErrorKind kind, std::string_view stage, const std::string& subject, const std::string& why) {
  return make_error(
      kind, "could not launch the worker: " + std::string(stage) + " " + escape_control(subject) + ": " + why + ".");
}

// Variables that are meant for us and would mislead a child.
bool is_ours_alone(std::string_view name) {
  static constexpr std::array<std::string_view, 10> kNames = {protocol::kEnvNotifySocket,
                                                              protocol::kEnvWatchdogUsec,
                                                              protocol::kEnvWatchdogPid,
                                                              "LISTEN_PID",
                                                              "LISTEN_PIDFDID",
                                                              "LISTEN_FDS",
                                                              "LISTEN_FDNAMES",
                                                              "FDSTORE",
                                                              protocol::kEnvResumeCheckpoint,
                                                              protocol::kEnvResumeEpisode};
  for (const std::string_view candidate : kNames) {
    if (name == candidate) return true;
  }
  return false;
}

std::vector<std::string> child_environment(const std::map<std::string, std::string>& overrides) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = text.substr(0, text.find('='));
    if (!is_ours_alone(name) && overrides.find(std::string(name)) == overrides.end()) out.emplace_back(text);
  }
  for (const auto& [name, value] : overrides) out.push_back(name + "=" + value);
  return out;
}

Result<std::string> find_worker(const std::string& name) {
  if (auto program = find_program(name)) return std::move(*program);
  const int reason = errno;
  const bool is_path = name.find('/') != std::string::npos;
  return cannot_launch(
      ErrorKind::configuration, "look up", name,
      is_path ? system_reason(reason) + "; build it, or set worker.command" : "it is not in PATH; set worker.command");
}

// What execve(2) means where its word alone misleads.
std::string exec_reason(const boost::system::error_code& error) {
  if (error.value() == ENOENT) {
    return error.message() +
           "; the program is there, so its interpreter is not: see its #! line, or its dynamic loader";
  }
  if (error.value() == ENOEXEC) {
    return error.message() + "; it is no program for this machine, and a script needs a #! line";
  }
  return error.message();
}

Launch launch_of(ProcessIdentity leader, const std::map<std::string, std::string>& environment) {
  std::string text;
  for (const auto& [name, value] : environment) text += name + "=" + value + '\0';
  return {std::move(leader), marks_in(text)};
}

core::ExitStatus exit_status(const siginfo_t& info) {
  core::ExitStatus status;
  if (info.si_code == CLD_EXITED) {
    status.code = info.si_status;
  } else {
    status.signal = info.si_status;
  }
  return status;
}

}  // namespace

WorkerProcess::WorkerProcess(asio::io_context& io, Children& children, Launch launch, Leader leader, int pidfd,
                             OomCounters oom, OnExit on_exit)
    : children_(children),
      launch_(std::move(launch)),
      speakers_(launch_, leader),
      oom_(std::move(oom)),
      pidfd_(io, pidfd),
      timer_(io),
      on_exit_(std::move(on_exit)) {
  children_.keep(pid());
  await_end();
}

WorkerProcess::~WorkerProcess() {
  if (on_exit_) children_.release(pid());
}

Result<StartedWorker> StartedWorker::start(Children& children, const WorkerCommand& command) {
  const auto program = find_worker(command.arguments.front());
  if (!program) return program.error();
  const UniqueFd log(
      ::open(command.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644));
  if (!log) {
    return cannot_launch(ErrorKind::cannot_write, "open log", command.log_file.string(), system_reason(errno));
  }
  const UniqueFd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!nothing) return cannot_launch(ErrorKind::unavailable, "open", "/dev/null", system_reason(errno));
  std::vector<std::string> environment = child_environment(command.environment);
  thread_local asio::io_context own(1);  // the loop's is another thread's
  boost::system::error_code error;
  process::basic_process<asio::io_context::executor_type> child(own.get_executor());
  // Kept from the first instant on: whoever waits for a tool on another thread reaps orphans there.
  const pid_t pid = children.start([&]() -> pid_t {
    const Launcher launcher{environment, {nothing.get(), log.get()}};
    child = launcher(own.get_executor(), error, *program, {command.arguments.begin() + 1, command.arguments.end()});
    return error ? 0 : child.id();
  });
  if (error) {
    const bool none_started = error.value() == EAGAIN || error.value() == ENOMEM;
    return cannot_launch(ErrorKind::unavailable, none_started ? "fork" : "exec", *program, exec_reason(error));
  }
  // The group with the number 1 or 0 is nobody's worker, and kill(-1) is everybody's end: nothing of that is ever kept.
  if (pid <= 1) return cannot_launch(ErrorKind::internal, "fork", *program, "the launcher named no process");
  ::sched_yield();  // it comes first: all that follows is to watch it
  StartedWorker started(children, pid, OomCounters::read());
  child.detach();  // else it would be ended with this function
  // One more: Boost 1.81 does not give away its own (its handle for pidfds lacks the native_handle that it promises).
  started.pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!started.pidfd_) {
    return make_error(ErrorKind::unavailable, "could not watch the worker: " + system_reason(errno) + ".");
  }
  // A child that is not reaped keeps its number, so it can be looked at even if it is dead already.
  const auto facts = look_at(pid);
  started.launch_ = launch_of({pid, facts ? facts->start_ticks : 0, current_boot_id()}, command.environment);
  return started;
}

StartedWorker::StartedWorker(Children& children, pid_t pid, OomCounters oom)
    : children_(&children), launch_{{pid, 0, {}}, {}}, oom_(std::move(oom)) {}

StartedWorker::StartedWorker(StartedWorker&& other) noexcept
    : children_(std::exchange(other.children_, nullptr)),
      pidfd_(std::move(other.pidfd_)),
      launch_(std::move(other.launch_)),
      oom_(std::move(other.oom_)) {}

StartedWorker::~StartedWorker() {
  if (children_ == nullptr) return;
  const pid_t pid = launch_.leader.pid;
  ::kill(-pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  children_->release(pid);
}

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::watch(asio::io_context& io, StartedWorker started,
                                                            OnExit on_exit) {
  try {
    std::unique_ptr<WorkerProcess> worker(new WorkerProcess(io, *started.children_, started.launch_, Leader::child,
                                                            started.pidfd_.release(), started.oom_,
                                                            std::move(on_exit)));
    started.children_ = nullptr;  // from here on it is that one's
    return worker;
  } catch (const std::exception& trouble) {  // nobody would ever hear of its end
    return make_error(ErrorKind::unavailable, std::string("could not watch the worker: ") + trouble.what() + ".");
  }
}

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::adopt(asio::io_context& io, Children& children,
                                                            const ProcessIdentity& identity, OnExit on_exit) {
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, identity.pid, 0)));
  // The identity is compared after the pidfd is open: from then on the number cannot be reused unnoticed.
  if (!pidfd || !is_alive(identity)) {
    return make_error(ErrorKind::not_found, "worker " + std::to_string(identity.pid) + " is no longer there.");
  }
  Launch launch{identity, marks_of(identity.pid).value_or(LaunchMarks{})};
  return std::unique_ptr<WorkerProcess>(new WorkerProcess(io, children, std::move(launch), Leader::orphan,
                                                          pidfd.release(), OomCounters::read(), std::move(on_exit)));
}

void WorkerProcess::await_end() {
  pidfd_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (!error) leader_ended();
  });
}

void WorkerProcess::leader_ended() {
  ended_ = true;
  siginfo_t info{};
  ours_ = ::waitid(P_PID, static_cast<id_t>(pid()), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
  if (ours_) {
    status_ = exit_status(info);
    status_.out_of_memory = status_.signal == SIGKILL && oom_.have_risen(pid());
    ::kill(-pid(), SIGKILL);  // the rest of the group at once, while the zombie still holds its number
  }
  sweep();
}

// Kills what the worker has left behind, again and again until nothing is left: what is killed takes its time to go,
// and may have started more meanwhile.
void WorkerProcess::sweep() {
  if (sweep_once() || ++rounds_ >= kRoundsMax) return finish();
  timer_.expires_after(std::min(kPauseMax, std::chrono::milliseconds{1} * (1 << std::min(rounds_, 8))));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) sweep();
  });
}

// True when nothing is left.
bool WorkerProcess::sweep_once() {
  // Whatever a child of ours leaves behind becomes our child at once, so there is usually nothing to look for.
  if (ours_ && rounds_ == 0 && has_adopted_nobody_but(children_.kept())) return true;
  for (int look = 0; look < kLooksMax; ++look) {
    const pid_t self = ::getpid();
    const LeftBehind left = left_behind(all_processes(), launch_, self, ours_ ? self : 0, children_.kept(), marks_of);
    const std::size_t known = swept_.size();
    remaining_.clear();
    for (const auto* part : {&left.group, &left.stragglers}) {
      for (const ProcessFacts& process : *part) {
        kill_exactly(process);
        remaining_.emplace(process.pid, process.command);
        if (part == &left.stragglers) swept_.emplace(process.pid, process.command);
      }
    }
    if (left.empty()) return true;
    if (swept_.size() == known) return false;  // all of them are dying
  }
  return false;
}

void WorkerProcess::finish() {
  WorkerEnd end{status_, {}};
  const std::string who = "worker " + std::to_string(pid());
  if (!swept_.empty()) {
    end.notes.push_back("Ended what " + who + " had left behind outside of its process group: " + names_of(swept_) +
                        (status_.code == 0 ? ". A training ends when the process that was launched does, so that one "
                                             "must stay in the foreground."
                                           : "."));
  }
  if (!remaining_.empty()) {
    end.notes.push_back("Could not end all that " + who + " has left behind; still there: " + names_of(remaining_) +
                        ".");
  }
  if (ours_) ::waitid(P_PID, static_cast<id_t>(pid()), nullptr, WEXITED | WNOHANG);
  children_.release(pid());  // from here on the number may be another child's
  // The callback may destroy this object.
  const OnExit on_exit = std::exchange(on_exit_, nullptr);
  on_exit(end);
}

void WorkerProcess::signal(core::Signal signal) {
  if (ended_) return;  // what is left of it is being swept
  const int number = signal == core::Signal::terminate ? SIGTERM : signal == core::Signal::abort ? SIGABRT : SIGKILL;
  ::kill(-pid(), number);
  ::kill(-pid(), SIGCONT);
}

bool WorkerProcess::ask_to_save() {
  if (ended_ || !catches(pid(), SIGUSR1)) return false;
  return ::syscall(SYS_pidfd_send_signal, pidfd_.native_handle(), SIGUSR1, nullptr, 0) == 0;
}

}  // namespace ts::shell
