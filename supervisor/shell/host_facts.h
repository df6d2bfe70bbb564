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

namespace ts::shell {

// The fields of /proc/PID/stat that are of use here.
struct ProcessStat {
  std::string name;  // as it is: it may hold anything but a NUL
  char state = '?';
  pid_t group = 0;
  std::uint64_t cpu_ticks = 0;  // user and system time, in clock ticks
};

// Pure. The name may hold blanks, parentheses and newlines, so the fields are counted from the last ')'.
std::optional<ProcessStat> parse_stat(std::string_view text);

struct Pressure {
  std::optional<double> some;  // avg10, percent
  std::optional<double> full;
};

// Pure: /proc/pressure/{cpu,memory,io}.
Pressure parse_pressure(std::string_view text);

// Pure: the tasks that run or want to, from /proc/loadavg ("0.20 0.18 0.12 3/80 11206": 3).
std::optional<std::int64_t> parse_runnable(std::string_view text);

// The whole of a small file of /proc, at most `bytes_max` of it; nothing where it cannot be read.
std::optional<std::string> read_proc(const std::string& path, std::size_t bytes_max = 4096);

// The numbers in a directory of /proc in ascending order, the first `number_max` that are found: processes of /proc,
// threads of /proc/PID/task.
std::vector<pid_t> numbers_in(const std::string& directory, std::size_t number_max);

// The processes of a process group, the leader first when it is there.
std::vector<pid_t> members_of(pid_t group);

// One look at the worker that leads `group`.
core::HostSample look_at_host(pid_t group);

}  // namespace ts::shell
