#include "supervisor/shell/worker_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <utility>

#include <boost/process/v2/posix/default_launcher.hpp>
#include <boost/process/v2/process.hpp>
#include <boost/process/v2/stdio.hpp>

#include "common/base/text.h"
#include "common/base/unique_fd.h"
#include "common/protocol/worker_contract.h"
#include "supervisor/shell/lock_holder.h"
#include "supervisor/shell/stragglers.h"

namespace ts::shell {
namespace {

namespace process = boost::process::v2;

constexpr unsigned kCloseRangeCloexec = 1U << 2;  // CLOSE_RANGE_CLOEXEC, Linux 5.11

// What every child starts with, whatever we did to ourselves. Runs between fork and exec.
struct CleanChild {
  template <class Launcher, class Path>
  boost::system::error_code on_exec_setup(Launcher&, const Path&, const char* const*&) const {
    ::setpgid(0, 0);
    // Boost 1.81 means to close every other descriptor and misses those below its own pipe; ours are close-on-exec, but
    // not what Asio accepts nor what our own parent left open.
    ::syscall(SYS_close_range, 3U, ~0U, kCloseRangeCloexec);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    for (const int signal : {SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGCHLD}) ::signal(signal, SIG_DFL);
    return {};
  }
  // The launcher would go on to exit(3) and run our own exit handlers in the child.
  template <class Launcher, class Path>
  void on_exec_error(Launcher&, const Path&, const char* const*&, const boost::system::error_code&) const {
    ::_exit(127);
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
  static constexpr std::array<std::string_view, 8> kNames = {protocol::kEnvNotifySocket, protocol::kEnvWatchdogUsec,
                                                             protocol::kEnvWatchdogPid,  "LISTEN_PID",
                                                             "LISTEN_PIDFDID",           "LISTEN_FDS",
                                                             "LISTEN_FDNAMES",           "FDSTORE"};
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

Result<> can_be_run(const std::string& program) {
  struct stat status {};
  if (::stat(program.c_str(), &status) != 0 || ::access(program.c_str(), X_OK) != 0) {
    return cannot_launch(ErrorKind::configuration, "look up", program,
                         system_reason(errno) + "; build it, or set worker.command");
  }
  if (S_ISREG(status.st_mode)) return {};
  return cannot_launch(ErrorKind::configuration, "look up", program,
                       (S_ISDIR(status.st_mode) ? system_reason(EISDIR) : "it is no file") + "; set worker.command");
}

Result<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (const auto good = can_be_run(name); !good) return good.error();
    return name;
  }
  // As execvp(3) looks; Boost.Process's own search would need Boost.Filesystem linked in for this alone.
  const char* path = std::getenv("PATH");
  std::istringstream directories(path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path);
  for (std::string directory; std::getline(directories, directory, ':');) {
    const std::string candidate = (directory.empty() ? "." : directory) + "/" + name;
    if (can_be_run(candidate)) return candidate;
  }
  return cannot_launch(ErrorKind::configuration, "look up", name, "it is not in PATH; set worker.command");
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

WorkerProcess::WorkerProcess(asio::io_context& io, Children& children, Launch launch, int pidfd, OomCounters oom,
                             OnExit on_exit)
    : children_(children),
      launch_(std::move(launch)),
      speakers_(launch_),
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
  const auto program = find_program(command.arguments.front());
  if (!program) return program.error();
  const UniqueFd log(
      ::open(command.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644));
  if (!log) {
    return cannot_launch(ErrorKind::cannot_write, "open log", command.log_file.string(), system_reason(errno));
  }
  const std::vector<std::string> arguments(command.arguments.begin() + 1, command.arguments.end());
  const std::vector<std::string> environment = child_environment(command.environment);
  boost::system::error_code error;
  process::posix::default_launcher launcher;
  // Set directly: Boost 1.81's process_environment is not usable header-only (its on_setup is defined nowhere).
  std::vector<const char*> environment_pointers;
  for (const std::string& entry : environment) environment_pointers.push_back(entry.c_str());
  environment_pointers.push_back(nullptr);
  launcher.env = environment_pointers.data();
  OomCounters oom = OomCounters::read();
  // The launcher tells its context of the fork, which a context that another thread runs must not be told.
  asio::io_context own(1);
  // By its executor: the overload for a context drops the error and throws it (Boost 1.81).
  // Kept from the first instant on: whoever waits for a tool on another thread reaps orphans there.
  const pid_t pid = children.start([&]() -> pid_t {
    auto child = launcher(own.get_executor(), error, *program, arguments,
                          process::process_stdio{nullptr, log.get(), log.get()}, CleanChild{});
    if (error) return 0;
    const pid_t started = child.id();
    child.detach();
    return started;
  });
  if (error) {
    if (launcher.pid <= 0) return cannot_launch(ErrorKind::unavailable, "fork", *program, error.message());
    ::waitpid(launcher.pid, nullptr, 0);  // it ended without having been anybody
    return cannot_launch(ErrorKind::unavailable, "exec", *program, exec_reason(error));
  }
  // The group with the number 1 or 0 is nobody's worker, and kill(-1) is everybody's end: nothing of that is ever kept.
  if (pid <= 1) return cannot_launch(ErrorKind::internal, "fork", *program, "the launcher named no process");
  ::setpgid(pid, pid);  // whoever comes first, the child or we: from here on the group exists
  StartedWorker started(children, pid, std::move(oom));
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
    std::unique_ptr<WorkerProcess> worker(new WorkerProcess(
        io, *started.children_, started.launch_, started.pidfd_.release(), started.oom_, std::move(on_exit)));
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
  Launch launch{identity, marks_of(identity.pid).value_or(core::LaunchMarks{})};
  return std::unique_ptr<WorkerProcess>(
      new WorkerProcess(io, children, std::move(launch), pidfd.release(), OomCounters::read(), std::move(on_exit)));
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
  if (ours_ && rounds_ == 0 && has_no_children_but(children_.kept())) return true;
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
