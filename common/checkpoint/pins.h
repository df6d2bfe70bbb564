// Pinned checkpoints: those that pruning leaves alone. A pin is an empty file model_epN.pin beside the pair.
//
// Pinning needs no `.lock`, so it works beside a running trainer. What keeps the two apart is PinLock: pruning holds it
// from reading the pins until the last victim's sidecar is gone, pinning while it makes its marker. Who pins looks
// afterwards whether the pair is still valid; from then on no pruning can miss the marker.
//
// Threading: functions from any thread or process. Errors: sentences.
#pragma once

#include <chrono>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/checkpoint/directory.h"
#include "common/checkpoint/names.h"

namespace ts::checkpoint {

// An flock on the models directory itself, through a descriptor of its own; released with it, so never stale. Where the
// file system has no such lock this holds nothing: then a pruning in the very same moment may still take the pair.
//
// Source: flock(2).
class PinLock {
 public:
  // Waits, but not for ever, then refuses with kind `locked`: whoever else locks the directory must not stop training.
  static Result<PinLock> acquire(const Directory& directory, std::chrono::milliseconds wait_max = kWaitMax);

  static constexpr std::chrono::milliseconds kWaitMax{3000};

 private:
  explicit PinLock(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

enum class PinChange { made, none };

// When this returns without an error the pair is valid and its pin durable; `none` says that it was pinned before.
// After an error there is no marker that was not there before.
Result<PinChange> pin(const Directory& directory, Episode episode);

// Needs no valid pair; `none` says that it was not pinned.
Result<PinChange> unpin(const Directory& directory, Episode episode);

}  // namespace ts::checkpoint
