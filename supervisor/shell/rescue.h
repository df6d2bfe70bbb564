// Rescue: a dead worker's newest announced snapshot becomes a checkpoint like any other, before the next launch chooses
// where to resume (P5). Blocking disk work, so it runs on the disk thread, under the models directory's lock.
//
// Nothing about the snapshot is trusted (P7). Its descriptor came from another program: it must be a memfd whose size
// is sealed, whose pages are all there, and which from then on nobody can write to anew or punch holes into; so mapping
// it can neither fault nor block. It is read where it lies, never copied to the heap. Its content is compared with the
// digest that was announced, and so is what was written.
//
// Sources: memfd_create(2), fcntl(2) ("File Sealing"), fallocate(2) (FALLOC_FL_PUNCH_HOLE), mmap(2).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/base/unique_fd.h"
#include "common/checkpoint/directory.h"
#include "common/checkpoint/sidecar.h"
#include "common/checkpoint/store_writer.h"
#include "common/config/config.h"
#include "common/protocol/notify_message.h"

namespace ts::shell {

// The newest snapshot that the worker has announced, and by which launch that worker was.
struct HeldSnapshot {
  UniqueFd memory;
  protocol::SnapshotNotice notice;
  std::int64_t attempt = 0;
  // The newest one before it that was the best so far: whoever died may not have had the time to file it. The worker
  // writes other things into its memory once it is filed.
  std::shared_ptr<const HeldSnapshot> best = nullptr;
};

struct Rescue {
  enum class Outcome {
    rescued,
    not_needed,  // what is on disk is as new
    refused,     // the snapshot is no good, and never will be
    not_written  // the directory could not be read or written; the same snapshot may be rescued later
  };

  Outcome outcome = Outcome::refused;
  std::string sentence;                        // what was done, or why not, for the log
  std::optional<checkpoint::Sidecar> sidecar;  // of the checkpoint that was made
};

// Everything but a rescue leaves every checkpoint as it was. A best model that is filed nowhere becomes a checkpoint
// too, before the newest; the next worker files it from there. `run_id`: the run that goes on; empty: the snapshot's
// own. `writer` writes `directory`. REQUIRES: the worker is dead, writer.recover() has succeeded.
Rescue rescue_snapshot(const HeldSnapshot& held, const std::string& run_id, const config::Config& config,
                       const checkpoint::Directory& directory, checkpoint::StoreWriter& writer);

}  // namespace ts::shell
