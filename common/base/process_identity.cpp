#include "common/base/process_identity.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

namespace ts {
namespace {

std::string read_proc_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

std::optional<std::uint64_t> start_ticks_from_stat(std::string_view stat) {
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  std::istringstream fields{std::string(stat.substr(name_end + 1))};
  std::string field;
  constexpr int kStateField = 3;
  constexpr int kStartTimeField = 22;
  for (int number = kStateField; fields >> field; ++number) {
    if (number == kStateField && (field == "Z" || field == "X")) return std::nullopt;
    if (number == kStartTimeField) {
      std::uint64_t ticks = 0;
      const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), ticks);
      if (error != std::errc{} || end != field.data() + field.size()) return std::nullopt;
      return ticks;
    }
  }
  return std::nullopt;
}

std::optional<ProcessIdentity> identify_process(pid_t pid) {
  if (pid <= 0) return std::nullopt;
  const auto start = start_ticks_from_stat(read_proc_file("/proc/" + std::to_string(pid) + "/stat"));
  if (!start) return std::nullopt;
  return ProcessIdentity{pid, *start, current_boot_id()};
}

const ProcessIdentity& own_identity() {
  thread_local ProcessIdentity self;  // a fork copies it, with the number of its parent
  if (self.pid != ::getpid()) self = identify_process(::getpid()).value_or(ProcessIdentity{::getpid(), 0, {}});
  return self;
}

const std::string& current_boot_id() {
  static const std::string kId = [] {
    std::string id = read_proc_file("/proc/sys/kernel/random/boot_id");
    while (!id.empty() && (id.back() == '\n' || id.back() == ' ')) id.pop_back();
    return id;
  }();
  return kId;
}

std::chrono::nanoseconds age_of(const ProcessIdentity& identity) {
  timespec since_boot{};
  ::clock_gettime(CLOCK_BOOTTIME, &since_boot);  // what the start is counted on
  const std::chrono::duration<double> now(static_cast<double>(since_boot.tv_sec) +
                                          static_cast<double>(since_boot.tv_nsec) / 1e9);
  const std::chrono::duration<double> start(static_cast<double>(identity.start_ticks) /
                                            static_cast<double>(::sysconf(_SC_CLK_TCK)));
  // Whatever a damaged file says: more than the machine's own age never comes out.
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::max(now - start, now.zero()));
}

bool is_alive(const ProcessIdentity& identity) {
  return identify_process(identity.pid) == identity;
}

}  // namespace ts
