// /proc, as everything here reads it: bounded, and without a word when something is missing or odd.
//
// Nothing here waits for another process: of a process only `stat` is read, which takes no lock that a process hanging
// in the kernel may hold (see evidence.h for the files that do).
//
// Sources: proc(5), proc_pid_stat(5). Threading: plain functions, from any thread. Nothing throws but for memory.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ts::shell {

// What /proc/PID/stat says, as far as it is of use here.
struct ProcessFacts {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;
  std::uint64_t start_ticks = 0;
  bool ended = false;           // a zombie, or on its way there
  std::string command;          // at most 15 bytes, as the kernel keeps it: it may hold anything but a NUL
  char state = '?';             // R, S, D, T, t, Z …
  std::uint64_t cpu_ticks = 0;  // user and system time so far, in clock ticks
  pid_t session = 0;
};

// From the text of /proc/PID/stat, or of a thread's. Pure. The command may hold blanks, parentheses and newlines, so
// the fields are counted from the last ')'.
std::optional<ProcessFacts> facts_from_stat(std::string_view stat);

std::optional<ProcessFacts> look_at(pid_t pid);

// Whether the process has a handler for this signal, so that it does not end by it; false also where that is not known.
// (The file takes no lock that a hanging process may hold: proc_pid_status(5) is computed from the task itself.)
bool catches(pid_t pid, int signal);

// From the text of /proc/PID/status. Pure.
bool catches(std::string_view status, int signal);

// The whole of a small file of /proc, at most `bytes_max` of it; nothing where it cannot be read.
std::optional<std::string> read_proc(const std::string& path, std::size_t bytes_max = 4096);

// The numbers in a directory of /proc in ascending order, the first `number_max` that are found: processes of /proc,
// threads of /proc/PID/task.
std::vector<pid_t> numbers_in(const std::string& directory, std::size_t number_max);

}  // namespace ts::shell
