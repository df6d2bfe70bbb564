#include "supervisor/shell/launch_marks.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <thread>

#include "common/protocol/worker_contract.h"

namespace ts::shell {
namespace {

namespace fs = std::filesystem;

std::string proc(pid_t pid, std::string_view name) {
  return "/proc/" + std::to_string(pid) + "/" + std::string(name);
}

std::string contents(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// In the middle of execve(2) a process has neither an environment nor arguments for a moment. (A kernel thread never
// has any, but no program either.)
bool is_between_programs(pid_t pid) {
  std::error_code error;
  const fs::path program = fs::read_symlink(proc(pid, "exe"), error);
  return !program.empty() && contents(proc(pid, "cmdline")).empty();
}

}  // namespace

LaunchMarks marks_in(std::string_view environment) {
  LaunchMarks marks;
  while (!environment.empty()) {
    const std::string_view entry = environment.substr(0, environment.find('\0'));
    environment.remove_prefix(std::min(entry.size() + 1, environment.size()));
    const std::size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = entry.substr(0, equals);
    const std::string_view value = entry.substr(equals + 1);
    if (name == protocol::kEnvRunId) marks.run_id = value;
    if (name == protocol::kEnvStateDirectory) marks.state_directory = value;
    if (name == protocol::kEnvAttempt) {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), marks.attempt);
      if (error != std::errc{} || end != value.data() + value.size()) marks.attempt = 0;
    }
  }
  return marks;
}

std::optional<LaunchMarks> marks_of(pid_t pid) {
  constexpr int kLooks = 5;
  for (int look = 0; look < kLooks; ++look) {
    const std::string text = contents(proc(pid, "environ"));
    if (!text.empty()) return marks_in(text);
    if (!is_between_programs(pid)) break;  // not allowed, or it is being taken apart
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return std::nullopt;
}

}  // namespace ts::shell
