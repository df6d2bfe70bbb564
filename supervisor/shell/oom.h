// Whether the kernel ran out of memory and killed, as its own counters tell.
//
// A process that the kernel's out-of-memory killer ends dies of SIGKILL like any other. The kernel counts those kills:
// for each control group (v2: memory.events, with the groups below it; v1: memory.oom_control), and for the machine in
// /proc/vmstat. The group's counter decides where there is one, the machine's elsewhere. A worker is in our group
// unless somebody moved it: one that ended in a v2 group that is not below ours goes by the machine's.
//
// Sources: Linux Documentation/admin-guide/cgroup-v2.rst (memory.events, oom_kill), cgroup-v1/memory.rst; proc(5).
// Threading: plain values; blocking, but only on /proc and /sys.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace ts::shell {

// The number in the line "oom_kill N" of memory.events, memory.oom_control or vmstat. Pure.
std::optional<std::uint64_t> oom_kills_in(std::string_view text);

// Where the kills are counted for a process with this /proc/PID/cgroup, by our /proc/self/mountinfo; empty when its
// memory is not accounted, or that cannot be seen from here. Pure.
std::filesystem::path oom_counter_file(std::string_view cgroup, std::string_view mountinfo);

// The counters as they stand when a worker is launched, to be compared with those at its end.
class OomCounters {
 public:
  static OomCounters read();

  // For a worker that SIGKILL has ended and that is not reaped yet.
  bool have_risen(pid_t worker) const;

 private:
  std::optional<std::uint64_t> group_;
  bool group_alone_ = false;
  std::optional<std::uint64_t> machine_;
};

}  // namespace ts::shell
