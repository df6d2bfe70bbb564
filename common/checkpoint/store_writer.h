// Everything that changes a models directory: committing, pruning, sweeping, setting aside. Needs the directory's lock
// and so takes it in its constructor.
//
// Order of system calls, and why, in docs/FORMATS.md ("Commit"). In short: content first and durable under its name,
// then the sidecar, whose durable arrival is the commit; each removal in the reverse order.
//
// Threading: one thread at a time. Errors: sentences; after an error everything that was committed before still is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/checkpoint/directory.h"
#include "common/checkpoint/directory_lock.h"
#include "common/checkpoint/retention.h"
#include "common/checkpoint/store.h"

namespace ts::checkpoint {

// What recovery or setting aside did, one sentence each, for the log.
using Notes = std::vector<std::string>;

// Free bytes without which a checkpoint of this size is refused: the archive, and a margin for the sidecar and the
// directory's own growth.
constexpr std::uint64_t space_needed(std::uint64_t archive_bytes) {
  return archive_bytes + (std::uint64_t{1} << 20);
}

class StoreWriter {
 public:
  // Called between the archive's durable arrival and the sidecar's writing, to fill in what only then is known.
  using Finish = std::function<void(Sidecar&)>;

  StoreWriter(const Directory& directory, DirectoryLock lock) : directory_(directory), lock_(std::move(lock)) {}

  // To be called once before anything else: removes temporary files of dead writers, completes an interrupted
  // commit_best and an interrupted set_aside_newer_than. Idempotent.
  Result<Notes> recover();

  // Makes episode `sidecar.episode` exist: when this returns without an error, it is durable. `archive` is the whole
  // .pt; file and bytes of the sidecar are set here, and its digest, unless the caller has computed it already (what
  // was written is compared with it).
  Result<Sidecar> commit(std::span<const std::byte> archive, Sidecar sidecar, const Finish& finish = {});

  // Replaces best_model.pt and best_model.json: the .pt is a link to the episode's own where that has the same content,
  // else a file of its own. Whatever is interrupted, a valid best pair remains (the old one or the new one).
  Result<> commit_best(std::span<const std::byte> archive, Sidecar sidecar);

  // Removes what `policy` does not keep of run `run_id`, pinned ones never. `verified` has been verified since it was
  // committed.
  Result<std::vector<Episode>> prune(const std::string& run_id, Episode verified, const RetentionPolicy& policy);

  // Moves every pair newer than `episode` (and a best model newer than it) to superseded/<name>/: the way back to an
  // older checkpoint, or with episode -1 to a fresh start. Journaled first, so that a power cut ends in one state or
  // the other. The best model is then made anew from the best remaining pair, by `metric`.
  struct BestBy {
    std::string metric;
    bool maximize = true;
  };
  Result<Notes> set_aside_newer_than(Episode episode, const BestBy& best_by);

  // Moves the files of proven-damaged checkpoints to quarantine/<name>/, each with its reason beside it in why.txt.
  Result<Notes> quarantine(std::span<const Rejection> rejected);

  // Moves archives older than `episode` that have no sidecar to quarantine/<name>/: what a death in the middle of
  // pruning leaves behind.
  Result<Notes> quarantine_uncommitted_before(Episode episode);

  // Puts a pair of this episode that lies in quarantine/ back: the newest one there that verifies. Whatever interrupts
  // it, the whole pair is in quarantine/ or in its place; an archive that got ahead of its sidecar is swept by the next
  // start. Errors: not_found (the message says what there is) and checkpoint (none of them verifies); cannot_write,
  // also where that episode exists already.
  struct Released {
    Sidecar sidecar;
    std::filesystem::path from;  // the folder it lay in
    std::string why;             // what why.txt says; empty when nobody wrote that down
    bool pinned = false;
  };
  Result<Released> release(Episode episode);

 private:
  // What placing a file does besides: looking at what was written, by its temporary name; clearing its final name.
  struct Besides {
    std::function<Result<>(const std::string& temporary)> before_sync;
    std::function<Result<>()> make_way;
  };

  Result<Sidecar> commit_pair(std::span<const std::byte> archive, Sidecar sidecar, const Finish& finish);
  // A valid pair that had to make way, and where it went.
  struct Displaced {
    Directory place;
    std::vector<std::string> names;
  };
  Result<> make_way_for(const Sidecar& successor, std::optional<Displaced>& displaced);
  Result<> put_back(const Displaced& displaced);
  Result<> write_pair(std::span<const std::byte> archive, Sidecar& sidecar, const Finish& finish,
                      std::optional<Displaced>& displaced);
  Result<> require_space(std::uint64_t bytes) const;
  Result<> write_named(const std::string& final_name, std::span<const std::byte> bytes, const Besides& besides);
  Result<> place(const std::string& final_name, std::span<const std::byte> bytes);
  Result<std::string> write_temporary(const std::string& final_name, std::span<const std::byte> bytes,
                                      const Besides& besides = {});
  Result<> confirm(const Sidecar& committed) const;
  Result<> complete_best(const Listing& listing, Notes& notes);
  Result<std::vector<Episode>> prune_sidecars(const std::string& run_id, Episode verified,
                                              const RetentionPolicy& policy);
  Result<> carry_out_intent(Notes& notes);
  Result<> put_in_place(const Directory& folder, const Sidecar& sidecar, bool pinned);
  Result<> move_files(const std::vector<std::string>& names, const Directory& destination);
  Result<> remake_best(const BestBy& best_by, Notes& notes);
  std::string next_temporary(const std::string& final_name);

  const Directory& directory_;
  DirectoryLock lock_;
  std::int64_t sequence_ = 0;
};

}  // namespace ts::checkpoint
