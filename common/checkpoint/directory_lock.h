// One writer per models directory (P4): an flock on `.lock`, held by whoever trains, or moves, prunes or sweeps there.
//
// The descriptor is close-on-exec, so no child keeps the lock of a dead parent; the kernel drops it with the process,
// so a crash never leaves one behind. The file names its holder for the sentence that a second one gets.
//
// Source: flock(2). Threading: plain value.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/checkpoint/directory.h"
#include "common/checkpoint/names.h"

namespace ts::checkpoint {

// What a holder wrote into the lock file about itself.
struct LockRecord {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;  // as in ProcessIdentity
  std::string program;
};

// Nothing when the file is not there or says nothing that can be understood. A record alone does not mean that the lock
// is held: it stays when its writer ends.
std::optional<LockRecord> read_lock_record(const Directory& directory, std::string_view name = kLockFile);

class DirectoryLock {
 public:
  // Never waits. Refused with kind `locked` and the holder's pid. `program` is what the sentence will call us; `name`
  // is the lock file.
  static Result<DirectoryLock> acquire(const Directory& directory, std::string_view program,
                                       std::string_view name = kLockFile);

 private:
  explicit DirectoryLock(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace ts::checkpoint
