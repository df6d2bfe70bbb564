// Who a process is, beyond its number: a pid alone is reused, a pid with its start time within one boot is not.
//
// Source: proc(5), /proc/<pid>/stat field 22 (starttime, clock ticks since boot); /proc/sys/kernel/random/boot_id.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ts {

struct ProcessIdentity {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;  // clock ticks after boot
  std::string boot_id;

  bool operator==(const ProcessIdentity&) const = default;
};

// The identity of a living (not zombie) process, nothing when there is none with that pid.
std::optional<ProcessIdentity> identify_process(pid_t pid);

// Our own. Asked for once in each process: it does not change. Without a start time where the kernel does not tell.
const ProcessIdentity& own_identity();

// Pure part of identify_process: the start time in the text of /proc/<pid>/stat. The command name may hold blanks and
// parentheses, so fields are counted from the last ')'. Nothing for zombies and malformed text.
std::optional<std::uint64_t> start_ticks_from_stat(std::string_view stat);

// This boot's id, or an empty string where the kernel does not tell. Asked for once: a process does not outlive a boot.
const std::string& current_boot_id();

// Since it was started.
std::chrono::nanoseconds age_of(const ProcessIdentity& identity);

// Whether exactly this process (not a later one with its pid) is still alive.
bool is_alive(const ProcessIdentity& identity);

}  // namespace ts
