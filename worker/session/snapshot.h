// The state as of the last completed episode, in memory: what is saved in the background while training goes on, and
// when training is stopped in the middle of the next episode.
//
// Each snapshot is a buffer that holds the very bytes of the `.pt` file. A buffer is filled only while nobody refers to
// it, so at any instant the newest snapshot is whole, whatever is being copied, saved or killed.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/checkpoint/archive_writer.h"
#include "common/protocol/notify_message.h"
#include "worker/session/memory_file.h"
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

class Snapshot {
 public:
  Counters counters;
  EpisodeResult result;  // of the newest completed episode
  double copy_ms = 0.0;  // the training thread's time for the copy

  // Fills in headers and checksums around the tensors' bytes, once. Then the bytes are the file's. Threading: this and
  // what follows from any thread, by several at a time; the thread that comes second waits for the first.
  std::span<const std::byte> sealed();

  // The digest of the sealed bytes, computed once.
  std::string digest();

  // The same where it has been computed already, else nothing (an empty text).
  std::string known_digest() const;

  // CRC-32 of each of the task's tensors, in order: what tells a state that does not change from one that does. The
  // session's own counters are left out. Empty for a copy of a file. REQUIRES: sealed() was called.
  std::span<const std::uint32_t> task_checksums() const { return {checksums_.data(), task_tensors_}; }

  std::size_t bytes() const { return memory_.bytes().size(); }

  // Of the memory file, its size sealed; -1: there is none, and nobody else can be handed this snapshot.
  int descriptor() const { return memory_.fd(); }

 private:
  friend class SnapshotPool;

  MemoryFile memory_;
  std::shared_ptr<const checkpoint::ArchiveLayout> layout_;  // nothing: a copy of a file, sealed already
  std::size_t task_tensors_ = 0;
  mutable std::mutex mutex_;  // guards what follows
  std::vector<std::uint32_t> checksums_;
  bool is_sealed_ = false;
  std::string digest_;
};

// Referring to a snapshot keeps it as it is.
using SnapshotRef = std::shared_ptr<Snapshot>;

// Buffers, used again and again. Threading: `take` and `copy_of` on the training thread; references may be dropped on
// any thread.
class SnapshotPool {
 public:
  // As many as training and saving need: the one being filled, the newest, one in save (or one that waits for the disk
  // to be mended, to become the best model). Touched, so that no episode pays for it.
  static constexpr std::size_t kReady = 3;

  // Prepares kReady buffers for states of this structure. An error says how much memory is missing.
  Result<> prepare(TrainingTask& task);

  // One more of the same, for whoever keeps one for good (the announcer does).
  Result<> prepare_another();

  // Of the states that were prepared for.
  std::size_t snapshot_bytes() const { return layout_->file_bytes(); }

  // Copies the task's state and the counters into a free buffer. Where no memory is left for another buffer, waits
  // until one is given back. REQUIRES: prepare has succeeded.
  SnapshotRef take(TrainingTask& task, const Counters& counters, const EpisodeResult& result);

  // A snapshot that holds the bytes of a file.
  Result<SnapshotRef> copy_of(std::span<const std::byte> archive);

 private:
  // Outlives the pool as long as there are references.
  struct FreeList {
    std::mutex mutex;
    std::condition_variable returned;
    std::vector<std::unique_ptr<Snapshot>> buffers;
  };

  std::unique_ptr<Snapshot> free_buffer(std::size_t bytes);
  SnapshotRef lend(std::unique_ptr<Snapshot> buffer) const;

  std::shared_ptr<const checkpoint::ArchiveLayout> layout_;
  std::shared_ptr<FreeList> free_ = std::make_shared<FreeList>();
};

// The whole state as it stands in the archive: the task's members, then the session's. The views point at `counters`.
checkpoint::Dict assemble_state(TrainingTask& task, const Counters& counters);

// The session's members of a loaded state.
Result<Counters> read_counters(const checkpoint::Dict& state);

}  // namespace ts::session
