// Whether a silent worker hangs, or is only kept from running by its machine.
//
// A watchdog that counts seconds kills the most workers when the machine is at its limit: what Fedora's watchdogs
// reported was starvation every time (systemd pull request 13843). So before a silent worker is ended it is looked at
// twice, a second or so apart, and what was seen is judged here: one extension for a starved one, none for a hang.
// Pure.
//
// A wrong extension costs one more timeout until a hang is found; a wrong refusal costs a worker that was well. Where
// the facts leave it open, the rules lean to the extension, which there is only one of for each silence.
//
// Sources: Documentation/accounting/psi.rst of Linux (some: at least one task waited; full: all that had work did),
// proc(5) (states of a process).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/protocol/notify_message.h"

namespace ts::core {

// One look at a worker and its machine. What could not be read is missing, and never counts for an extension.
struct HostSample {
  std::optional<char> leader;            // state of the worker's leader as in /proc/PID/stat: R, S, D, T, t, Z …
  bool uninterruptible = false;          // some thread of the worker's process group is in state D
  std::int64_t runnable_threads = 0;     // of the group, in state R
  std::chrono::nanoseconds cpu_time{0};  // of the whole group so far
  std::optional<double> cpu_some;        // pressure, avg10, in percent
  std::optional<double> memory_full;
  std::optional<double> io_full;
  std::optional<std::int64_t> runnable;  // tasks of the machine that run or want to (/proc/loadavg)
  std::int64_t cpus = 1;                 // that the worker may run on
};

struct SilenceFacts {
  HostSample before;
  HostSample after;
  std::chrono::nanoseconds between{0};
  std::optional<protocol::Phase> phase;  // what the worker last told that it does
  bool extended = false;                 // this silence has had its extension
};

struct SilenceVerdict {
  enum class Kind { starved, hung };
  Kind kind = Kind::hung;
  std::string why;  // one clause: what was seen

  bool operator==(const SilenceVerdict&) const = default;
};

SilenceVerdict judge_silence(const SilenceFacts& facts);

// "granted one extension because …", "no extension because …"
std::string describe(const SilenceVerdict& verdict);

}  // namespace ts::core
