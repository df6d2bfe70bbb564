// Why a worker ended, and what follows from it. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "supervisor/core/policy.h"

namespace ts::core {

// These names appear in status, events and logs; they do not change.
enum class Cause {
  finished,           // exit 0: the training is done
  interrupted,        // exit 75: state saved, relaunch me
  asked,              // we ended it: stop, restart, shutdown
  killed_outside,     // SIGINT or SIGTERM that we did not send
  crash,              // any other signal
  out_of_memory,      // SIGKILL, and the kernel says that it was short of memory
  error_exit,         // any other exit status
  start_timeout,      // no READY=1 in time
  heartbeat_lost,     // silent too long
  no_progress,        // alive, but its training stood still for too long
  wrong_resume,       // it resumed elsewhere than it was told
  bad_configuration,  // exit 78
  bad_data,           // exit 65
  cannot_save,        // exit 74
  exec_failed,        // it never ran
  cannot_prepare,     // no resume point could be settled
  unknown,            // an adopted worker whose status cannot be read
};

std::string_view to_string(Cause cause);
std::optional<Cause> parse_cause(std::string_view name);

// How a process ended: by its own exit status, by a signal, or nobody can tell.
struct ExitStatus {
  std::optional<int> code;
  std::optional<int> signal;
  bool out_of_memory = false;  // with SIGKILL: by the kernel's out-of-memory killer

  bool operator==(const ExitStatus&) const = default;
};

// "exited with status 75", "was killed by signal 9 (SIGKILL)", …
std::string describe(const ExitStatus& status);

// The cause of an end that nobody here asked for.
Cause classify(const ExitStatus& status);

// Whether such an end, before anything was achieved, speaks against what the worker was started from. A signal that a
// faulty program does not get by itself (SIGKILL, SIGTERM, …) was sent by somebody; a full disk is nobody's fault.
bool may_be_poison(Cause cause, const ExitStatus& status);

// Trying again cannot help: the configuration or the data must change first.
bool is_permanent(Cause cause);

// The wait before the launch that follows the `incidents`-th incident in a row without progress: none after the first,
// then exponential up to a bound. `spread` in [-1, 1] places it within the jitter.
Duration restart_delay(std::int64_t incidents, const Policy& policy, double spread);

// A number in [-1, 1] that looks random and depends on `seed` alone, so that a history can be replayed.
// Source: SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
double spread_from(std::uint64_t seed);

}  // namespace ts::core
