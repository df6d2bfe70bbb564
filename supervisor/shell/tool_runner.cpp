#include "supervisor/shell/tool_runner.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "common/base/find_program.h"
#include "common/base/text.h"
#include "common/base/unique_fd.h"
#include "supervisor/shell/children.h"
#include "supervisor/shell/start_program.h"

namespace ts::shell {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kStopLook{100};     // how often a request to stop is looked for
constexpr milliseconds kDeathWait{2'000};  // from SIGKILL to giving a program up
constexpr std::size_t kPieceBytes = 16'384;

// No question to a server for debug symbols; nothing that is meant for us, and no mark of a worker's (stragglers.h).
std::vector<std::string> environment_with(const std::map<std::string, std::string>& more) {
  static constexpr std::array<std::string_view, 11> kDropped = {
      "DEBUGINFOD_URLS", "NOTIFY_SOCKET",  "WATCHDOG_USEC",  "WATCHDOG_PID",    "LISTEN_PID",
      "LISTEN_FDS",      "LISTEN_FDNAMES", "TRAINER_RUN_ID", "TRAINER_ATTEMPT", "TRAINER_STATE_DIRECTORY",
      "TRAINER_STATE_ID"};
  std::vector<std::string> out;
  for (const auto& [name, value] : more) out.push_back(name + "=" + value);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = text.substr(0, text.find('='));
    const bool dropped = std::find(kDropped.begin(), kDropped.end(), name) != kDropped.end();
    if (!dropped && !more.contains(std::string(name))) out.emplace_back(text);
  }
  return out;
}

// A file in memory rather than a pipe: however much is in it, nobody waits for its reader.
std::string open_input(const std::string& text, UniqueFd& out) {
  if (text.empty()) {
    out.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    return out ? "" : std::string("could not be started: /dev/null: ") + std::strerror(errno);
  }
  out.reset(::memfd_create("input", MFD_CLOEXEC));
  const auto size = static_cast<ssize_t>(text.size());
  if (!out || ::pwrite(out.get(), text.data(), text.size(), 0) != size) {
    return std::string("could not be started: its input: ") + std::strerror(errno);
  }
  return {};
}

struct Started {
  pid_t pid = 0;
  UniqueFd pidfd;
  UniqueFd output;
};

ToolRun not_started(std::string why) {
  return {{}, false, std::move(why)};
}

// Starts it, or says why not.
std::string start(const std::string& program, std::vector<std::string> arguments, const ToolInput& given,
                  Children* children, Started& out) {
  UniqueFd input;
  if (std::string why = open_input(given.text, input); !why.empty()) return why;
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::string("could not be started: ") + std::strerror(errno);
  out.output.reset(ends[0]);
  const UniqueFd output(ends[1]);
  ::fcntl(out.output.get(), F_SETFL, O_NONBLOCK);
  std::vector<std::string> environment = environment_with(given.environment);
  int error = 0;
  const auto spawn = [&]() -> pid_t {
    pid_t pid = 0;
    error = start_program(program, arguments, environment, {input.get(), output.get()}, pid);
    return pid;
  };
  out.pid = children == nullptr ? spawn() : children->start(spawn);
  if (error != 0) return std::string("could not be started: ") + std::strerror(error);
  out.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, out.pid, 0)));
  return {};
}

enum class Drained { open, closed, too_much };

// Takes what is in the pipe by now.
Drained drain(int pipe, std::size_t bytes_max, std::string& into) {
  std::array<char, kPieceBytes> piece;
  while (true) {
    const auto count = ::read(pipe, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno == EAGAIN ? Drained::open : Drained::closed;
    if (count == 0) return Drained::closed;
    const std::size_t room = bytes_max - into.size();
    into.append(piece.data(), std::min(room, static_cast<std::size_t>(count)));
    if (static_cast<std::size_t>(count) > room) return Drained::too_much;
  }
}

bool has_ended(int pidfd, milliseconds wait) {
  pollfd ended{pidfd, POLLIN, 0};
  const auto until = Clock::now() + wait;
  while (true) {
    const auto left = std::max(milliseconds{0}, std::chrono::ceil<milliseconds>(until - Clock::now()));
    const int count = ::poll(&ended, 1, static_cast<int>(left.count()));
    if (count > 0) return true;
    if (count == 0 || errno != EINTR) return false;
  }
}

// Collects output until the program has ended; otherwise returns why it must be ended.
std::string follow(const Started& tool, const ToolLimits& limits, const std::stop_token& stop, std::string& output) {
  const auto until = Clock::now() + limits.deadline;
  std::array<pollfd, 2> watched{pollfd{tool.output.get(), POLLIN, 0}, pollfd{tool.pidfd.get(), POLLIN, 0}};
  while (true) {
    if (stop.stop_requested()) return "was ended because the supervisor cannot wait for it";
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
    if (left <= left.zero()) return "was ended after " + human_duration(limits.deadline);
    const auto wait = std::min(left, kStopLook);
    ::poll(watched.data(), watched.size(), static_cast<int>(wait.count()));
    // The end first, the pipe after it: what it printed before it ended is in the pipe by then.
    const bool ended = has_ended(tool.pidfd.get(), milliseconds{0});
    if (watched[0].fd >= 0) {
      const Drained drained = drain(watched[0].fd, limits.bytes_max, output);
      if (drained == Drained::too_much) return "was ended after printing " + human_bytes(limits.bytes_max);
      if (drained == Drained::closed) watched[0].fd = -1;  // closed its output and goes on: only its end is waited for
    }
    if (ended) return {};
  }
}

std::string describe_end(const siginfo_t& info) {
  if (info.si_code != CLD_EXITED) return "was ended by signal " + std::to_string(info.si_status);
  return info.si_status == 0 ? std::string() : "ended with status " + std::to_string(info.si_status);
}

}  // namespace

ToolRun ToolRunner::run(const std::vector<std::string>& arguments, const ToolLimits& limits,
                        const std::stop_token& stop, const ToolInput& input) {
  reap_abandoned();
  const auto program = find_program(arguments.front());
  if (!program) return not_started("is not installed");
  Started tool;
  if (std::string why = start(*program, arguments, input, children_, tool); !why.empty())
    return not_started(std::move(why));
  ToolRun out;
  out.trouble = tool.pidfd ? follow(tool, limits, stop, out.output) : "could not be watched";
  out.complete = out.trouble.empty();
  // The rest of its group, while its own number is still taken.
  ::kill(-tool.pid, SIGKILL);
  if (tool.pidfd && !has_ended(tool.pidfd.get(), kDeathWait)) {
    abandoned_.push_back(tool.pid);
    release(tool.pid);
    return out;
  }
  siginfo_t info{};
  int reaped = 0;
  do {
    reaped = ::waitid(P_PID, static_cast<id_t>(tool.pid), &info, WEXITED);
  } while (reaped != 0 && errno == EINTR);
  release(tool.pid);
  if (reaped == 0 && out.complete) out.trouble = describe_end(info);
  return out;
}

void ToolRunner::release(pid_t pid) {
  if (children_ != nullptr) children_->release(pid);
}

void ToolRunner::reap_abandoned() {
  std::erase_if(abandoned_, [](pid_t pid) {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG) != 0 || info.si_pid == pid;
  });
}

}  // namespace ts::shell
