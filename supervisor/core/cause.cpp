#include "supervisor/core/cause.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "common/protocol/worker_contract.h"

namespace ts::core {
namespace {

constexpr std::array<std::pair<Cause, std::string_view>, 17> kCauses = {{
    {Cause::finished, "finished"},
    {Cause::interrupted, "interrupted"},
    {Cause::asked, "asked"},
    {Cause::killed_outside, "killed_outside"},
    {Cause::crash, "crash"},
    {Cause::out_of_memory, "out_of_memory"},
    {Cause::error_exit, "error_exit"},
    {Cause::start_timeout, "start_timeout"},
    {Cause::heartbeat_lost, "heartbeat_lost"},
    {Cause::no_progress, "no_progress"},
    {Cause::wrong_resume, "wrong_resume"},
    {Cause::bad_configuration, "bad_configuration"},
    {Cause::bad_data, "bad_data"},
    {Cause::cannot_save, "cannot_save"},
    {Cause::exec_failed, "exec_failed"},
    {Cause::cannot_prepare, "cannot_prepare"},
    {Cause::unknown, "unknown"},
}};

constexpr int kSigInt = 2;
constexpr int kSigKill = 9;
constexpr int kSigTerm = 15;

// The signals a training process is seen to die of; the numbers are Linux's on every architecture we build for.
std::string_view signal_name(int signal) {
  switch (signal) {
    case 1: return "SIGHUP";
    case kSigInt: return "SIGINT";
    case 3: return "SIGQUIT";
    case 4: return "SIGILL";
    case 6: return "SIGABRT";
    case 7: return "SIGBUS";
    case 8: return "SIGFPE";
    case kSigKill: return "SIGKILL";
    case 11: return "SIGSEGV";
    case 13: return "SIGPIPE";
    case kSigTerm: return "SIGTERM";
    case 24: return "SIGXCPU";
    case 25: return "SIGXFSZ";
    default: return "";
  }
}

bool is_out_of_memory(const ExitStatus& status) {
  return status.out_of_memory && status.signal == kSigKill;
}

}  // namespace

std::string_view to_string(Cause cause) {
  const auto found = std::find_if(kCauses.begin(), kCauses.end(), [&](const auto& row) { return row.first == cause; });
  return found == kCauses.end() ? "unknown" : found->second;
}

std::optional<Cause> parse_cause(std::string_view name) {
  const auto found = std::find_if(kCauses.begin(), kCauses.end(), [&](const auto& row) { return row.second == name; });
  if (found == kCauses.end()) return std::nullopt;
  return found->first;
}

std::string describe(const ExitStatus& status) {
  if (status.signal) {
    const std::string_view name = signal_name(*status.signal);
    return "was killed by signal " + std::to_string(*status.signal) +
           (name.empty() ? std::string() : " (" + std::string(name) + ")") +
           (is_out_of_memory(status) ? ": the kernel had run out of memory" : "");
  }
  if (status.code) return "exited with status " + std::to_string(*status.code);
  return "ended, nobody can tell how (it was adopted)";
}

Cause classify(const ExitStatus& status) {
  if (is_out_of_memory(status)) return Cause::out_of_memory;
  if (status.signal)
    return *status.signal == kSigInt || *status.signal == kSigTerm ? Cause::killed_outside : Cause::crash;
  if (!status.code) return Cause::unknown;
  const auto exit_code = protocol::parse_exit_code(*status.code);
  if (!exit_code) return Cause::error_exit;
  switch (*exit_code) {
    case protocol::ExitCode::finished: return Cause::finished;
    case protocol::ExitCode::unusable_data: return Cause::bad_data;
    case protocol::ExitCode::internal: return Cause::error_exit;
    case protocol::ExitCode::cannot_write: return Cause::cannot_save;
    case protocol::ExitCode::interrupted: return Cause::interrupted;
    case protocol::ExitCode::configuration: return Cause::bad_configuration;
  }
  return Cause::error_exit;
}

bool may_be_poison(Cause cause, const ExitStatus& status) {
  switch (cause) {
    case Cause::crash: {
      static constexpr std::array<int, 8> kOwnFaults = {4, 5,  6,  7,
                                                        8, 11, 24, 31};  // ILL TRAP ABRT BUS FPE SEGV XCPU SYS
      return status.signal && std::find(kOwnFaults.begin(), kOwnFaults.end(), *status.signal) != kOwnFaults.end();
    }
    case Cause::out_of_memory:
    case Cause::error_exit:
    case Cause::start_timeout:
    case Cause::heartbeat_lost:
    case Cause::no_progress: return true;
    default: return false;
  }
}

bool is_permanent(Cause cause) {
  return cause == Cause::bad_configuration || cause == Cause::bad_data;
}

Duration restart_delay(std::int64_t incidents, const Policy& policy, double spread) {
  if (incidents <= 1) return Duration::zero();
  const double initial = static_cast<double>(policy.backoff_initial.count());
  const double limit = static_cast<double>(policy.backoff_max.count());
  const double grown = std::min(limit, initial * std::pow(policy.backoff_factor, static_cast<double>(incidents - 2)));
  const double jittered = std::clamp(grown * (1.0 + policy.jitter * std::clamp(spread, -1.0, 1.0)), 0.0, limit);
  return Duration(static_cast<std::int64_t>(jittered));
}

double spread_from(std::uint64_t seed) {
  std::uint64_t z = seed + 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1.0p-52 - 1.0;
}

}  // namespace ts::core
