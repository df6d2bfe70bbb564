#include "supervisor/shell/process_tree.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <vector>

namespace ts::shell {
namespace {

constexpr int kGenerationsMax = 256;
constexpr std::size_t kProcessesMax = std::size_t{1} << 22;  // PID_MAX_LIMIT of 64-bit Linux

template <class Number>
bool parse(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

ProcessTable all_processes() {
  ProcessTable table;
  for (const pid_t pid : numbers_in("/proc", kProcessesMax)) {
    if (auto facts = look_at(pid)) table.emplace(pid, std::move(*facts));
  }
  return table;
}

const ProcessFacts* parent_in(const ProcessTable& table, const ProcessFacts& process) {
  const auto found = table.find(process.parent);
  if (found == table.end() || found->second.start_ticks > process.start_ticks) return nullptr;
  return &found->second;
}

bool bears_marks_of(const Launch& launch, const std::optional<LaunchMarks>& marks) {
  return marks && !launch.marks.run_id.empty() && launch.marks.attempt > 0 && marks->run_id == launch.marks.run_id &&
         marks->attempt == launch.marks.attempt && marks->state_id == launch.marks.state_id;
}

Descent descends(const ProcessFacts& from, const ProcessIdentity& ancestor, pid_t top,
                 const std::function<std::optional<ProcessFacts>(pid_t)>& look) {
  ProcessFacts at = from;
  for (int generation = 0; generation < kGenerationsMax; ++generation) {
    if (at.pid == ancestor.pid) return at.start_ticks == ancestor.start_ticks ? Descent::yes : Descent::no;
    if (at.pid == top || at.parent <= 1) return Descent::no;
    const auto parent = look(at.parent);
    if (!parent || parent->start_ticks > at.start_ticks) return Descent::unknown;
    at = *parent;
  }
  return Descent::no;
}

bool has_adopted_nobody_but(const std::set<pid_t>& known) {
  const std::string self = std::to_string(::getpid());
  const auto listed = read_proc("/proc/" + self + "/task/" + self + "/children");
  if (!listed) return false;
  std::string_view rest = *listed;  // "12 13 "
  while (!rest.empty()) {
    const std::string_view number = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(rest.size(), number.size() + 1));
    pid_t child = 0;
    if (!parse(number, child) || !known.contains(child)) return false;
  }
  return true;
}

}  // namespace ts::shell
