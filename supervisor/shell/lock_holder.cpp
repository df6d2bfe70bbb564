#include "supervisor/shell/lock_holder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "common/checkpoint/directory_lock.h"
#include "common/protocol/worker_contract.h"

namespace ts::shell {
namespace {

namespace fs = std::filesystem;

std::string proc(pid_t pid, std::string_view name) {
  return "/proc/" + std::to_string(pid) + "/" + std::string(name);
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool has_open(pid_t pid, const fs::path& file) {
  struct stat wanted {};
  if (::stat(file.c_str(), &wanted) != 0) return false;
  std::error_code error;
  fs::directory_iterator at(proc(pid, "fd"), error);
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    struct stat open {};
    if (::stat(at->path().c_str(), &open) == 0 && same_file(open, wanted)) return true;
  }
  return false;
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

core::LaunchMarks marks_in(std::string_view environment) {
  core::LaunchMarks marks;
  while (!environment.empty()) {
    const std::string_view entry = environment.substr(0, environment.find('\0'));
    environment.remove_prefix(std::min(entry.size() + 1, environment.size()));
    const std::size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = entry.substr(0, equals);
    const std::string_view value = entry.substr(equals + 1);
    if (name == protocol::kEnvRunId) marks.run_id = value;
    if (name == protocol::kEnvNotifySocket) marks.notify_socket = value;
    if (name == protocol::kEnvAttempt) {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), marks.attempt);
      if (error != std::errc{} || end != value.data() + value.size()) marks.attempt = 0;
    }
  }
  return marks;
}

std::optional<core::LaunchMarks> marks_of(pid_t pid) {
  constexpr int kLooks = 5;
  for (int look = 0; look < kLooks; ++look) {
    const std::string text = contents(proc(pid, "environ"));
    if (!text.empty()) return marks_in(text);
    if (!is_between_programs(pid)) break;  // not allowed, or it is being taken apart
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return std::nullopt;
}

ExaminedHolder examine_holder(const checkpoint::Directory& models, const core::OwnLaunches& own) {
  core::LockHolder holder;
  std::optional<ProcessIdentity> leader;
  if (const auto record = checkpoint::read_lock_record(models)) {
    holder.pid = record->pid;
    holder.alive = is_alive({record->pid, record->start_ticks, current_boot_id()});
    holder.has_lock_open = has_open(record->pid, models.path() / checkpoint::kLockFile);
    leader = identify_process(::getpgid(record->pid));
  }
  if (leader) {
    holder.leader = leader->pid;
    holder.marks = marks_of(leader->pid);
  }
  core::HolderVerdict verdict = core::judge_holder(holder, own);
  ExaminedHolder out;
  if (verdict.ours) out.worker = UnrecordedWorker{*leader, holder.marks->run_id, holder.marks->attempt};
  out.why = std::move(verdict.why);
  return out;
}

}  // namespace ts::shell
