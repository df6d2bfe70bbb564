// What a worker and its supervisor have agreed on besides the heartbeat: environment, exit codes. Any program that
// keeps to this can be supervised (docs/PROTOCOL.md).
//
// These values leave the process: they never change meaning. The exit codes are those of sysexits(3).
#pragma once

#include <optional>
#include <string_view>

#include "common/base/result.h"

namespace ts::protocol {

inline constexpr const char* kEnvNotifySocket = "NOTIFY_SOCKET";
inline constexpr const char* kEnvWatchdogUsec = "WATCHDOG_USEC";
inline constexpr const char* kEnvWatchdogPid = "WATCHDOG_PID";
inline constexpr const char* kEnvRunId = "TRAINER_RUN_ID";
inline constexpr const char* kEnvAttempt = "TRAINER_ATTEMPT";
inline constexpr const char* kEnvResumeReason = "TRAINER_RESUME_REASON";
inline constexpr const char* kEnvResumeCheckpoint = "TRAINER_RESUME_CHECKPOINT";
inline constexpr const char* kEnvResumeEpisode = "TRAINER_RESUME_EPISODE";
inline constexpr const char* kEnvStateDirectory = "TRAINER_STATE_DIRECTORY";
inline constexpr const char* kEnvStateId = "TRAINER_STATE_ID";

enum class ExitCode : int {
  finished = 0,
  unusable_data = 65,  // market data or checkpoint
  internal = 70,       // a bug, a non-finite loss
  cannot_write = 74,   // the models directory: full, read-only, failing, or locked by another
  interrupted = 75,    // state saved, relaunch me
  configuration = 78,  // never retried
};

constexpr ExitCode exit_code_for(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::configuration: return ExitCode::configuration;
    case ErrorKind::data:
    case ErrorKind::checkpoint:
    case ErrorKind::not_found: return ExitCode::unusable_data;
    case ErrorKind::cannot_write:
    case ErrorKind::locked:
    case ErrorKind::unavailable: return ExitCode::cannot_write;
    case ErrorKind::internal: return ExitCode::internal;
  }
  return ExitCode::internal;
}

// The meaning of a worker's exit status, nothing when it is none of the contract's.
constexpr std::optional<ExitCode> parse_exit_code(int status) {
  switch (status) {
    case 0:
    case 65:
    case 70:
    case 74:
    case 75:
    case 78: return static_cast<ExitCode>(status);
    default: return std::nullopt;
  }
}

}  // namespace ts::protocol
