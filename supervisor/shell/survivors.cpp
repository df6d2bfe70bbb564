#include "supervisor/shell/survivors.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <thread>
#include <tuple>
#include <utility>

#include "supervisor/shell/stragglers.h"

namespace ts::shell {
namespace {

constexpr pid_t kKernelThreads = 2;  // kthreadd, the parent of all of them
constexpr int kGenerationsMax = 256;

using Marked = std::map<pid_t, LaunchMarks>;

class Kin {
 public:
  Kin(const ProcessTable& table, pid_t own_pid) : table_(table), own_pid_(own_pid) {
    const auto self = table.find(own_pid);
    for (const ProcessFacts* at = self == table.end() ? nullptr : &self->second;
         at != nullptr && elders_.insert(at->pid).second; at = parent_in(table_, *at)) {
    }
  }

  bool is_ours(const ProcessFacts& process) const {
    const ProcessFacts* at = &process;
    for (int steps = 0; at != nullptr && steps < kGenerationsMax; ++steps, at = parent_in(table_, *at)) {
      if (at->pid == own_pid_) return true;
    }
    return elders_.contains(process.pid);
  }

 private:
  const ProcessTable& table_;
  const pid_t own_pid_;
  std::set<pid_t> elders_;
};

// What was launched, and not what it has started: that has a parent of the same launch, or is younger.
bool was_launched(const ProcessFacts& process, const Marked& marked) {
  const auto parent = marked.find(process.parent);
  const bool below = parent != marked.end() && parent->second.attempt == marked.at(process.pid).attempt;
  return process.group == process.pid && process.session != process.pid && !below;
}

// Nobody else's process is ours, whatever its environment says: as root we could read everybody's.
bool is_of_our_user(pid_t pid) {
  struct stat status {};
  return ::stat(("/proc/" + std::to_string(pid)).c_str(), &status) == 0 && status.st_uid == ::geteuid();
}

}  // namespace

Survivors find_survivors(const ProcessTable& table, pid_t own_pid, std::int64_t unknown_from,
                         const std::function<std::optional<LaunchMarks>(pid_t)>& marks) {
  const Kin kin(table, own_pid);
  Marked marked;
  for (const auto& [pid, process] : table) {
    const bool is_kernel = pid <= kKernelThreads || process.parent == kKernelThreads;
    if (is_kernel || process.ended || kin.is_ours(process)) continue;
    if (auto known = marks(pid)) marked.emplace(pid, std::move(*known));
  }

  const ProcessFacts* newest = nullptr;
  const auto rank = [&](const ProcessFacts& process) {
    return std::tuple(-marked.at(process.pid).attempt, process.start_ticks, process.pid);
  };
  for (const auto& [pid, launched_as] : marked) {
    const ProcessFacts& process = table.at(pid);
    if (launched_as.attempt < unknown_from || !was_launched(process, marked)) continue;
    if (newest == nullptr || rank(process) < rank(*newest)) newest = &process;
  }

  Survivors out;
  if (newest != nullptr) {
    const LaunchMarks& launched_as = marked.at(newest->pid);
    out.worker = UnrecordedWorker{
        {newest->pid, newest->start_ticks, {}}, launched_as.run_id, launched_as.attempt, launched_as.resume};
  }
  for (const auto& [pid, launched_as] : marked) {
    if (!out.worker || launched_as.attempt != out.worker->attempt) out.leftovers.push_back(table.at(pid));
  }
  return out;
}

std::optional<LaunchMarks> marks_from(pid_t pid, const std::string& state_id) {
  if (state_id.empty() || !is_of_our_user(pid)) return {};
  auto marks = marks_of(pid);
  if (!marks || marks->run_id.empty() || marks->attempt <= 0 || marks->state_id != state_id) return {};
  return marks;
}

SettledSurvivors settle_survivors(const std::string& state_id, std::int64_t unknown_from) {
  constexpr int kRoundsMax = 10;  // the last wait is half a second: what is killed takes its time to go
  const auto find = [&] {
    return find_survivors(all_processes(), ::getpid(), unknown_from,
                          [&](pid_t pid) { return marks_from(pid, state_id); });
  };
  std::map<pid_t, std::string> ended;
  Survivors found = find();
  for (int round = 0; !found.leftovers.empty() && round < kRoundsMax; ++round) {
    for (const ProcessFacts& process : found.leftovers) {
      kill_exactly(process);
      ended.emplace(process.pid, process.command);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{1 << round});
    found = find();
  }

  SettledSurvivors out;
  out.worker = std::move(found.worker);
  if (out.worker) out.worker->identity.boot_id = current_boot_id();
  std::map<pid_t, std::string> remaining;
  for (const ProcessFacts& process : found.leftovers) {
    remaining.emplace(process.pid, process.command);
    ended.erase(process.pid);
  }
  if (!ended.empty()) {
    out.notes.push_back("Ended what workers of an earlier supervisor had left behind: " + names_of(ended) + ".");
  }
  if (!remaining.empty()) {
    out.notes.push_back("Could not end all that workers of an earlier supervisor have left behind; still there: " +
                        names_of(remaining) + ".");
  }
  return out;
}

}  // namespace ts::shell
