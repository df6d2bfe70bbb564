// The facts for core::judge_holder, from the lock file and /proc: who holds the models directory's lock, and as what it
// was started.
//
// Source: proc(5): /proc/PID/environ is the environment that a process was started with, readable by its own user.
// Threading: plain functions; blocking, but only on /proc and one small file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/process_identity.h"
#include "common/checkpoint/directory.h"
#include "supervisor/core/lock_holder.h"

namespace ts::shell {

// A worker of ours that outlived its supervisor and that no state file names.
struct UnrecordedWorker {
  ProcessIdentity identity;  // of the leader of its process group, which is what was launched
  std::string run_id;
  std::int64_t attempt = 0;
  std::uint64_t log_size = 0;  // of what is printed when it was found; for whoever adopts it
};

struct ExaminedHolder {
  std::optional<UnrecordedWorker> worker;
  std::string why;  // it is ours, or it is not
};

// To be asked when the lock was found held.
ExaminedHolder examine_holder(const checkpoint::Directory& models, const core::OwnLaunches& own);

// What an environment (NAME=VALUE, each ended by a NUL) says; what is missing is empty. Pure.
core::LaunchMarks marks_in(std::string_view environment);

// What a process was started as; nothing when that cannot be read.
std::optional<core::LaunchMarks> marks_of(pid_t pid);

}  // namespace ts::shell
