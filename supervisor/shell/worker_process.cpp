#include "supervisor/shell/worker_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include <boost/process/v2/posix/default_launcher.hpp>
#include <boost/process/v2/process.hpp>
#include <boost/process/v2/stdio.hpp>

#include "common/base/text.h"
#include "common/base/unique_fd.h"
#include "common/protocol/worker_contract.h"

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

std::string system_reason(int error) {
  return std::strerror(error);
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

Result<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (::access(name.c_str(), X_OK) == 0) return name;
    return make_error(ErrorKind::configuration, "the worker's program " + escape_control(name) + " cannot be run: " +
                                                    system_reason(errno) + "; build it, or set worker.command.");
  }
  // As execvp(3) looks; Boost.Process's own search would need Boost.Filesystem linked in for this alone.
  const char* path = std::getenv("PATH");
  std::istringstream directories(path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path);
  for (std::string directory; std::getline(directories, directory, ':');) {
    const std::string candidate = (directory.empty() ? "." : directory) + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return make_error(ErrorKind::configuration,
                    "the worker's program " + escape_control(name) + " is not in PATH; set worker.command.");
}

}  // namespace

WorkerProcess::WorkerProcess(asio::io_context& io, ProcessIdentity identity, int pidfd, OnExit on_exit)
    : identity_(std::move(identity)), pidfd_(io, pidfd), on_exit_(std::move(on_exit)) {
  watch();
}

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::spawn(asio::io_context& io, const WorkerCommand& command,
                                                            OnExit on_exit) {
  const auto program = find_program(command.arguments.front());
  if (!program) return program.error();
  const UniqueFd log(
      ::open(command.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644));
  if (!log) {
    return make_error(ErrorKind::cannot_write, "could not open the worker's log " +
                                                   escape_control(command.log_file.string()) + ": " +
                                                   system_reason(errno) + ".");
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
  // By its executor: the overload for a context drops the error and throws it (Boost 1.81).
  auto child = launcher(io.get_executor(), error, *program, arguments,
                        process::process_stdio{nullptr, log.get(), log.get()}, CleanChild{});
  if (error) {
    if (launcher.pid > 0) ::waitpid(launcher.pid, nullptr, 0);  // it ended without having been anybody
    return make_error(ErrorKind::unavailable, "the worker's program " + escape_control(*program) +
                                                  " could not be executed: " + error.message() + ".");
  }
  const pid_t pid = child.id();
  child.detach();
  ::setpgid(pid, pid);  // whoever comes first, the child or we: from here on the group exists
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) {
    const int why = errno;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return make_error(ErrorKind::unavailable, "could not watch the worker: " + system_reason(why) + ".");
  }
  // A child that is not reaped keeps its number, so its identity can be read even if it is dead already.
  auto identity = identify_process(pid).value_or(ProcessIdentity{pid, 0, current_boot_id()});
  return std::unique_ptr<WorkerProcess>(new WorkerProcess(io, std::move(identity), pidfd, std::move(on_exit)));
}

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::adopt(asio::io_context& io, const ProcessIdentity& identity,
                                                            OnExit on_exit) {
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, identity.pid, 0)));
  // The identity is compared after the pidfd is open: from then on the number cannot be reused unnoticed.
  if (!pidfd || !is_alive(identity)) {
    return make_error(ErrorKind::not_found, "worker " + std::to_string(identity.pid) + " is no longer there.");
  }
  return std::unique_ptr<WorkerProcess>(new WorkerProcess(io, identity, pidfd.release(), std::move(on_exit)));
}

void WorkerProcess::watch() {
  pidfd_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (!error) reap();
  });
}

void WorkerProcess::reap() {
  siginfo_t info{};
  const auto id = static_cast<id_t>(identity_.pid);
  const bool ours = ::waitid(P_PID, id, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
  ::kill(-identity_.pid, SIGKILL);  // the rest of the group, while the zombie still holds its number
  core::ExitStatus status;
  if (ours) {
    ::waitid(P_PID, id, &info, WEXITED | WNOHANG);
    if (info.si_code == CLD_EXITED) {
      status.code = info.si_status;
    } else {
      status.signal = info.si_status;
    }
  }
  // The callback may destroy this object.
  const OnExit on_exit = std::move(on_exit_);
  on_exit(status);
}

void WorkerProcess::signal(core::Signal signal) {
  const int number = signal == core::Signal::terminate ? SIGTERM : signal == core::Signal::abort ? SIGABRT : SIGKILL;
  ::kill(-identity_.pid, number);
  ::kill(-identity_.pid, SIGCONT);
}

bool WorkerProcess::owns(pid_t sender) const {
  return sender == identity_.pid || (sender > 0 && ::getpgid(sender) == identity_.pid);
}

}  // namespace ts::shell
