// What a process was launched as, by the environment it was started with: whatever a worker starts inherits it.
//
// Source: proc(5): /proc/PID/environ, readable by the process's own user and by root. Threading: plain functions;
// blocking, but only on /proc. Where a process hangs in the kernel with its memory locked, so does whoever reads this.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "supervisor/core/supervision.h"

namespace ts::shell {

struct LaunchMarks {
  std::string run_id;
  std::int64_t attempt = 0;
  std::string state_directory;  // of the supervisor that launched it, as it was called then
  std::string state_id;         // and which directory that is, whatever it is called by now
  core::ResumePoint resume;     // what it was told
};

// "DEVICE:INODE" of a directory that is open; one supervisor has a state directory at a time. Empty when that cannot be
// seen.
std::string directory_id(int fd);

// What an environment (NAME=VALUE, each ended by a NUL) says; what is missing is empty. Pure.
LaunchMarks marks_in(std::string_view environment);

// Nothing when it cannot be read.
std::optional<LaunchMarks> marks_of(pid_t pid);

}  // namespace ts::shell
