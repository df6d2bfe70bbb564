#include "supervisor/shell/launch_marks.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <thread>

#include "common/base/text.h"
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

// Within bounds, whatever the environment says: arithmetic follows.
std::optional<std::int64_t> counted(std::string_view text) {
  constexpr std::int64_t kCountMax = 1'000'000'000;
  const auto number = parse_plain_integer(text);
  return number && *number <= kCountMax ? number : std::nullopt;
}

// In the middle of execve(2) a process has neither an environment nor arguments for a moment. (A kernel thread never
// has any, but no program either.)
bool is_between_programs(pid_t pid) {
  std::error_code error;
  const fs::path program = fs::read_symlink(proc(pid, "exe"), error);
  return !program.empty() && contents(proc(pid, "cmdline")).empty();
}

}  // namespace

std::string directory_id(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return {};
  return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
}

LaunchMarks marks_in(std::string_view environment) {
  LaunchMarks marks;
  std::optional<std::int64_t> episode;
  while (!environment.empty()) {
    const std::string_view entry = environment.substr(0, environment.find('\0'));
    environment.remove_prefix(std::min(entry.size() + 1, environment.size()));
    const std::size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = entry.substr(0, equals);
    const std::string_view value = entry.substr(equals + 1);
    if (name == protocol::kEnvRunId) marks.run_id = value;
    if (name == protocol::kEnvStateDirectory) marks.state_directory = value;
    if (name == protocol::kEnvStateId) marks.state_id = value;
    if (name == protocol::kEnvResumeCheckpoint) marks.resume.path = value;
    if (name == protocol::kEnvResumeEpisode) episode = counted(value);
    if (name == protocol::kEnvAttempt) marks.attempt = counted(value).value_or(0);
  }
  marks.resume.episode = episode.value_or(0);
  marks.resume.foreign = !marks.resume.path.empty() && !episode;
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
