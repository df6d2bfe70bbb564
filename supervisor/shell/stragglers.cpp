#include "supervisor/shell/stragglers.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>

#include "common/base/text.h"
#include "common/base/unique_fd.h"

namespace ts::shell {
namespace {

constexpr std::size_t kNamesMax = 8;
// Deeper families come to light as their elders are killed: orphans become our children.
constexpr int kGenerationsMax = 256;

class Search {
 public:
  Search(const ProcessTable& table, const Launch& launch, const std::set<pid_t>& kept,
         const std::function<std::optional<LaunchMarks>(pid_t)>& marks)
      : table_(table), launch_(launch), kept_(kept), marks_(marks) {}

  // Each process is asked once, its parents first, so that marks are read as seldom as possible.
  bool belongs(const ProcessFacts& process, int generation = 0) {
    const auto [known, fresh] = belongs_.emplace(process.pid, false);
    if (!fresh) return known->second;
    bool answer = false;
    if (!is_spared(process)) {
      const ProcessFacts* parent = generation < kGenerationsMax ? parent_of(process) : nullptr;
      answer = in_group(process) || (parent != nullptr && belongs(*parent, generation + 1)) ||
               bears_marks_of(launch_, marks_(process.pid));
    }
    return belongs_[process.pid] = answer;
  }

  // For a number that was given to somebody else since, the group of that number is somebody else's too.
  bool in_group(const ProcessFacts& process) const {
    if (process.group != launch_.leader.pid) return false;
    const auto leader = table_.find(launch_.leader.pid);
    return leader == table_.end() || leader->second.start_ticks == launch_.leader.start_ticks;
  }

  bool is_below(const ProcessFacts& process, pid_t ancestor) const {
    const ProcessFacts* at = &process;
    for (int steps = 0; at != nullptr && steps < kGenerationsMax; ++steps, at = parent_of(*at)) {
      if (at->parent == ancestor) return true;
    }
    return false;
  }

  bool is_below_kept(const ProcessFacts& process) const {
    const ProcessFacts* at = &process;
    for (int steps = 0; at != nullptr && steps < kGenerationsMax; ++steps, at = parent_of(*at)) {
      if (at->pid != launch_.leader.pid && kept_.contains(at->pid)) return true;
    }
    return false;
  }

 private:
  bool is_spared(const ProcessFacts& process) const {
    return process.ended || process.start_ticks < launch_.leader.start_ticks;
  }

  const ProcessFacts* parent_of(const ProcessFacts& process) const { return parent_in(table_, process); }

  const ProcessTable& table_;
  const Launch& launch_;
  const std::set<pid_t>& kept_;
  const std::function<std::optional<LaunchMarks>(pid_t)>& marks_;
  std::map<pid_t, bool> belongs_;
};

}  // namespace

LeftBehind left_behind(const ProcessTable& table, const Launch& launch, pid_t own_pid, pid_t below,
                       const std::set<pid_t>& kept, const std::function<std::optional<LaunchMarks>(pid_t)>& marks) {
  LeftBehind out;
  // Without the directory the marks do not tell two supervisors of copied directories apart.
  if (below == 0 && launch.marks.state_id.empty()) below = own_pid;
  Search search(table, launch, kept, marks);
  for (const auto& [pid, process] : table) {
    if (pid == own_pid || pid == launch.leader.pid || pid <= 1) continue;
    if (!search.in_group(process) && below != 0 && !search.is_below(process, below)) continue;
    if (search.is_below_kept(process) || !search.belongs(process)) continue;
    (search.in_group(process) ? out.group : out.stragglers).push_back(process);
  }
  return out;
}

void kill_exactly(const ProcessFacts& process) {
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
  if (!pidfd) return;
  const auto now = look_at(process.pid);
  if (!now || now->start_ticks != process.start_ticks) return;
  ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
}

std::string names_of(const std::map<pid_t, std::string>& processes) {
  std::string out = processes.size() == 1 ? "process " : "processes ";
  std::size_t said = 0;
  for (const auto& [pid, command] : processes) {
    if (said == kNamesMax) return out + " and " + std::to_string(processes.size() - said) + " more";
    out += (said++ == 0 ? "" : ", ") + std::to_string(pid) + " (" + escape_control(command) + ")";
  }
  return out;
}

}  // namespace ts::shell
