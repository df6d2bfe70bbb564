#include "supervisor/shell/host_facts.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "common/base/text.h"

namespace ts::shell {
namespace {

constexpr std::size_t kProcessesMax = 65'536;  // of the machine
constexpr std::size_t kMembersMax = 256;       // of the group
constexpr std::size_t kThreadsMax = 2'048;     // of the group

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// The text up to the next blank, cut off the front.
std::string_view next_word(std::string_view& text) {
  const std::size_t begin = std::min(text.find_first_not_of(' '), text.size());
  text.remove_prefix(begin);
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(word.size());
  return word;
}

// The percentage in "some avg10=1.23 avg60=…".
std::optional<double> avg10_of(std::string_view line) {
  next_word(line);
  std::string_view word = next_word(line);
  constexpr std::string_view kName = "avg10=";
  if (!word.starts_with(kName)) return std::nullopt;
  const auto value = parse_number<double>(word.substr(kName.size()));
  if (!value || !(*value >= 0.0 && *value <= 100.0)) return std::nullopt;
  return value;
}

Pressure pressure_of(const char* resource) {
  const auto text = read_proc(std::string("/proc/pressure/") + resource);
  return text ? parse_pressure(*text) : Pressure{};
}

std::int64_t cpus_for(pid_t pid) {
  cpu_set_t allowed;
  // Fails on machines with more CPUs than a cpu_set_t holds; then all of them count.
  if (::sched_getaffinity(pid, sizeof allowed, &allowed) == 0) return std::max(1, CPU_COUNT(&allowed));
  return std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN));
}

std::chrono::nanoseconds time_of(std::uint64_t ticks) {
  const auto per_second = static_cast<std::uint64_t>(std::max(1L, ::sysconf(_SC_CLK_TCK)));
  constexpr std::uint64_t kSecondsMax = 9'000'000'000;  // what nanoseconds in 63 bits can hold
  const std::uint64_t seconds = std::min(ticks / per_second, kSecondsMax);
  return std::chrono::seconds(seconds) + std::chrono::nanoseconds(ticks % per_second * 1'000'000'000 / per_second);
}

std::string path_of(pid_t pid, std::string_view name) {
  return "/proc/" + std::to_string(pid) + "/" + std::string(name);
}

}  // namespace

std::vector<pid_t> members_of(pid_t group) {
  std::vector<pid_t> out;
  if (group <= 0) return out;
  for (const pid_t pid : numbers_in("/proc", kProcessesMax)) {
    if (out.size() < kMembersMax && ::getpgid(pid) == group) out.push_back(pid);
  }
  const auto leader = std::find(out.begin(), out.end(), group);
  if (leader != out.end()) std::rotate(out.begin(), leader, leader + 1);
  return out;
}

Pressure parse_pressure(std::string_view text) {
  Pressure out;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.starts_with("some ")) out.some = avg10_of(line);
    if (line.starts_with("full ")) out.full = avg10_of(line);
  }
  return out;
}

std::optional<std::int64_t> parse_runnable(std::string_view text) {
  for (int i = 0; i < 3; ++i) next_word(text);
  const std::string_view word = next_word(text);
  const std::size_t slash = word.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  return parse_plain_integer(word.substr(0, slash));
}

core::HostSample look_at_host(pid_t group) {
  core::HostSample out;
  std::size_t threads = 0;
  std::uint64_t cpu_ticks = 0;
  for (const pid_t pid : members_of(group)) {
    const auto text = read_proc(path_of(pid, "stat"));
    const auto stat = text ? facts_from_stat(*text) : std::nullopt;
    if (!stat || stat->group != group) continue;  // gone, or elsewhere, since it was listed
    if (pid == group) out.leader = stat->state;
    cpu_ticks += stat->cpu_ticks;
    const std::string tasks = path_of(pid, "task");
    for (const pid_t thread : numbers_in(tasks, kThreadsMax - threads)) {
      ++threads;
      const auto line = read_proc(tasks + "/" + std::to_string(thread) + "/stat");
      const auto state = line ? facts_from_stat(*line) : std::nullopt;
      if (!state) continue;
      if (state->state == 'D') out.uninterruptible = true;
      if (state->state == 'R') ++out.runnable_threads;
    }
  }
  out.cpu_time = time_of(cpu_ticks);
  out.cpu_some = pressure_of("cpu").some;
  out.memory_full = pressure_of("memory").full;
  out.io_full = pressure_of("io").full;
  if (const auto load = read_proc("/proc/loadavg")) out.runnable = parse_runnable(*load);
  out.cpus = cpus_for(group);
  return out;
}

}  // namespace ts::shell
