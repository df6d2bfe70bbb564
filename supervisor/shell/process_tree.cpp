#include "supervisor/shell/process_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <memory>
#include <vector>

#include "common/base/unique_fd.h"
#include "supervisor/shell/host_facts.h"

namespace ts::shell {
namespace {

constexpr int kGenerationsMax = 256;

template <class Number>
bool parse(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

}  // namespace

std::optional<ProcessFacts> facts_from_stat(std::string_view stat) {
  // The command may hold blanks and parentheses itself, so the fields are counted from its end.
  const std::size_t open = stat.find('(');
  const std::size_t close = stat.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open || open == 0) return {};
  ProcessFacts facts;
  facts.command = std::string(stat.substr(open + 1, close - open - 1));
  if (!parse(stat.substr(0, open - 1), facts.pid)) return {};
  std::string_view rest = stat.substr(close + 1);
  constexpr int kState = 3;
  constexpr int kParent = 4;
  constexpr int kGroup = 5;
  constexpr int kStartTime = 22;
  for (int number = kState; number <= kStartTime; ++number) {
    if (!rest.starts_with(' ')) return {};
    rest.remove_prefix(1);
    const std::string_view field = rest.substr(0, rest.find_first_of(" \n"));
    rest.remove_prefix(field.size());
    if (number == kState) facts.ended = field == "Z" || field == "X";
    if (number == kParent && !parse(field, facts.parent)) return {};
    if (number == kGroup && !parse(field, facts.group)) return {};
    if (number == kStartTime && !parse(field, facts.start_ticks)) return {};
  }
  return facts;
}

std::optional<ProcessFacts> look_at(pid_t pid) {
  if (pid <= 0) return {};
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {};
  std::array<char, 2048> text{};
  const ssize_t count = ::read(fd.get(), text.data(), text.size());
  if (count <= 0) return {};
  return facts_from_stat(std::string_view(text.data(), static_cast<std::size_t>(count)));
}

ProcessTable all_processes() {
  ProcessTable table;
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir("/proc"));
  if (!directory) return table;
  while (const dirent* entry = ::readdir(directory.get())) {
    pid_t pid = 0;
    if (!parse(std::string_view(entry->d_name), pid)) continue;
    if (auto facts = look_at(pid)) table.emplace(pid, std::move(*facts));
  }
  return table;
}

bool bears_marks_of(const Launch& launch, const std::optional<core::LaunchMarks>& marks) {
  return marks && !launch.marks.run_id.empty() && launch.marks.attempt > 0 && marks->run_id == launch.marks.run_id &&
         marks->attempt == launch.marks.attempt && marks->notify_socket == launch.marks.notify_socket;
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

bool has_no_children_but(const std::set<pid_t>& known) {
  constexpr std::size_t kThreadsMax = 256;
  const std::vector<pid_t> threads = numbers_in("/proc/self/task", kThreadsMax + 1);
  if (threads.empty() || threads.size() > kThreadsMax) return false;
  for (const pid_t thread : threads) {
    const auto listed = read_proc("/proc/self/task/" + std::to_string(thread) + "/children");
    if (!listed) return false;
    std::string_view rest = *listed;  // "12 13 "
    while (!rest.empty()) {
      const std::string_view number = rest.substr(0, rest.find(' '));
      rest.remove_prefix(std::min(rest.size(), number.size() + 1));
      pid_t child = 0;
      if (!parse(number, child) || !known.contains(child)) return false;
    }
  }
  return true;
}

}  // namespace ts::shell
