// What core::judge_silence is told: a worker's processes and its machine, read from /proc.
//
// Nothing here waits for another process: of a process only `stat` is read and `task` listed, which take no lock that a
// process hanging in the kernel may hold (as reading cmdline, maps or smaps does, see evidence.h). A machine with very
// many processes or threads is read up to a bound. What is missing or odd is left out; nothing throws.
//
// Sources: proc(5), proc_pid_stat(5); Documentation/accounting/psi.rst of Linux.
// Threading: plain functions, from any thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/core/silence.h"
#include "supervisor/shell/proc.h"

namespace ts::shell {

struct Pressure {
  std::optional<double> some;  // avg10, percent
  std::optional<double> full;
};

// Pure: /proc/pressure/{cpu,memory,io}.
Pressure parse_pressure(std::string_view text);

// Pure: the tasks that run or want to, from /proc/loadavg ("0.20 0.18 0.12 3/80 11206": 3).
std::optional<std::int64_t> parse_runnable(std::string_view text);

// The processes of a process group, the leader first when it is there.
std::vector<pid_t> members_of(pid_t group);

// One look at the worker that leads `group`.
core::HostSample look_at_host(pid_t group);

}  // namespace ts::shell
