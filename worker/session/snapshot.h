// The state as of the last completed episode, in memory: what is saved when training is stopped in the middle of the
// next one.
//
// Two buffers alternate, so that at any instant one of them is whole. Each holds the very bytes of the `.pt` file.
//
// Ownership: owns the buffers. Threading: the training thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/checkpoint/archive_writer.h"
#include "common/protocol/notify_message.h"
#include "worker/session/training_task.h"

namespace ts::session {

// What belongs to the session itself and is saved with the task's state.
struct Best {
  std::int64_t episode = 0;  // 0: there is none yet
  double value = 0.0;

  bool operator==(const Best&) const = default;
};

struct Counters {
  std::int64_t episode = 0;  // episodes completed
  Best best;
};

struct Snapshot {
  Counters counters;
  EpisodeResult result;          // of the newest completed episode
  double copy_ms = 0.0;          // the training thread's time for the copy
  std::span<std::byte> archive;  // sealed on demand
};

class SnapshotBuffers {
 public:
  // Copies the task's state and the counters into the older buffer and makes it the newest.
  void take(TrainingTask& task, const Counters& counters, const EpisodeResult& result);

  // REQUIRES, both: take was called. `sealed` fills in the headers and checksums, which `newest` may lack.
  const Snapshot& newest() const { return buffers_[*newest_].snapshot; }
  const Snapshot& sealed();

 private:
  struct Buffer {
    std::vector<std::byte> bytes;
    Snapshot snapshot;
    bool is_sealed = false;
  };

  std::optional<checkpoint::ArchiveLayout> layout_;
  std::array<Buffer, 2> buffers_;
  std::optional<std::size_t> newest_;
};

// The whole state as it stands in the archive: the task's members, then the session's. The views point at `counters`.
checkpoint::Dict assemble_state(TrainingTask& task, const Counters& counters);

// The session's members of a loaded state.
Result<Counters> read_counters(const checkpoint::Dict& state);

}  // namespace ts::session
