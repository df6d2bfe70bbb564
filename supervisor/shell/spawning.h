// A worker in the making: started on the disk thread, wanted on the loop, and either may be first. What the loop gives
// up in time is never started; what is started by then and not taken is ended.
//
// Ownership: shared by the loop and the job. Threading: is_wanted and settle on the disk thread, the rest on the loop.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include "common/base/result.h"
#include "supervisor/shell/worker_process.h"

namespace ts::shell {

struct Spawned {
  Result<StartedWorker> worker;
  std::uint64_t log_offset = 0;  // where its output begins
};

class Spawning {
 public:
  explicit Spawning(std::int64_t attempt) : attempt_(attempt) {}

  std::int64_t attempt() const { return attempt_; }

  bool is_wanted() const {
    const std::lock_guard lock(mutex_);
    return !given_up_;
  }

  // False: given up meanwhile, and ended.
  bool settle(Spawned spawned) {
    const std::lock_guard lock(mutex_);
    if (given_up_) return false;  // `spawned` goes when nothing is locked any more
    spawned_.emplace(std::move(spawned));
    return true;
  }

  // What has come of it so far; once.
  std::optional<Spawned> take() {
    const std::lock_guard lock(mutex_);
    return taken();
  }

  // The same, and where nothing has come of it so far, nothing will.
  std::optional<Spawned> take_or_give_up() {
    const std::lock_guard lock(mutex_);
    given_up_ = true;
    return taken();
  }

 private:
  std::optional<Spawned> taken() {
    std::optional<Spawned> out;
    if (spawned_) out.emplace(std::move(*spawned_));
    spawned_.reset();
    return out;
  }

  const std::int64_t attempt_;
  mutable std::mutex mutex_;
  std::optional<Spawned> spawned_;
  bool given_up_ = false;
};

}  // namespace ts::shell
