// What a models directory holds, and which of it can be trusted: listing, verifying and choosing. Changes nothing and
// needs no lock, so the supervisor, supervisorctl and a curious person may read beside a running trainer.
//
// Threading: const members from any thread. Every read tolerates files that vanish meanwhile (the trainer prunes).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/checkpoint/directory.h"
#include "common/checkpoint/names.h"
#include "common/checkpoint/sidecar.h"

namespace ts::checkpoint {

struct PairFiles {
  bool archive = false;
  bool sidecar = false;
  bool pin = false;
};

// The directory by name alone. `episodes` is ordered by number, not by text.
struct Listing {
  std::map<Episode, PairFiles> episodes;  // a pin alone makes no entry
  std::set<Episode> pinned;               // with or without a pair
  bool best_archive = false;
  bool best_sidecar = false;
  bool best_sidecar_next = false;
  bool intent = false;
  std::vector<std::string> temporaries;  // names of our pattern only

  bool holds_checkpoint_files() const { return !episodes.empty() || best_archive || best_sidecar; }
  bool holds_nothing() const {  // of ours
    return !holds_checkpoint_files() && pinned.empty() && !best_sidecar_next && !intent && temporaries.empty();
  }
};

// Pure: sorts names into a Listing; what is not ours is left out.
Listing classify(const std::vector<std::string>& names);

// A checkpoint that was verified, and the very bytes whose digest was compared (where the store keeps contents).
struct Verified {
  Sidecar sidecar;
  std::string archive_name;
  FileBytes archive;

  // A file of another origin, with no sidecar of ours: it belongs to no run and has no place in a history.
  bool is_foreign() const { return sidecar.run_id.empty(); }
};

// Whether a rejected candidate is damaged for good (its bytes were read and are wrong) or may be fine another time
// (permission, I/O error, another run's). Only damaged ones are ever set aside.
enum class Damage { proven, unproven };

struct Rejection {
  Episode episode = 0;
  std::string reason;  // a sentence
  Damage damage = Damage::unproven;
};

struct Choice {
  std::optional<Verified> newest;   // nothing valid: empty
  std::vector<Rejection> rejected;  // newer than `newest`, newest first
};

class Store {
 public:
  // Verifying reads every byte. Whoever only verifies needs a small buffer and no more. Whoever goes on to load the
  // archive maps it, which is several times as fast as reading it into fresh memory, and may end with SIGBUS when the
  // device fails in that moment: the worker, which is relaunched then, and commands. The supervisor must not, and keeps
  // a copy where it has to.
  enum class Contents { drop, keep, map };

  explicit Store(const Directory& directory, Contents contents = Contents::drop)
      : directory_(directory), contents_(contents) {}

  const Directory& directory() const { return directory_; }

  Result<Listing> list() const;

  // Sidecars only: fast, but says nothing about the archive's bytes.
  Result<Sidecar> read_sidecar(Episode episode) const;
  Result<Sidecar> read_best_sidecar() const;

  // Sidecar parses, size and digest match. The error is what a person should read.
  Result<Verified> verify(Episode episode) const;
  Result<Verified> verify_best() const;

  // The highest number of run `run_id` that verifies; with an empty `run_id` any run's.
  Result<Choice> choose_newest(const std::string& run_id) const;

  // What a selector means here, verified. A path must name a `.pt` file: inside this directory with its sidecar, or any
  // file at all, which is then accepted after its archive CRCs have been checked (foreign: no sidecar).
  Result<Verified> select(const Selector& selector, const std::string& run_id) const;

  // "valid ones in models: ep290, ep280, …, best", for refusals. Verifies each, so it reads every byte.
  std::string list_usable() const;

 private:
  Result<Verified> verify_pair(const std::string& archive, const std::string& sidecar) const;
  Result<Verified> select_path(const std::string& path) const;

  const Directory& directory_;
  Contents contents_;
};

// Reads a `.pt` that has no sidecar of ours beside it. Its sidecar is made up from the file (episode 0, no run).
Result<Verified> read_foreign_archive(const std::string& path);

// What lies in superseded/ and quarantine/, which nothing needs but a person who wants to go back: a sentence for
// someone whose disk is full; empty when there is nothing. Reads only, and passes over what it cannot read.
std::string describe_set_aside(const Directory& directory);

}  // namespace ts::checkpoint
