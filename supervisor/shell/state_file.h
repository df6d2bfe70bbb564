// The supervisor's memory across its own death, crashes and reboots: `.supervisor/state.json`.
//
// Written whole, durably, by rename over the old one, which stays as state.json.bak; whichever of the two reads well is
// used. A file that is damaged costs the history, never a checkpoint: the run's identity is in the sidecars too.
//
// Threading: plain functions; one writer (the holder of the state directory's lock).
#pragma once

#include <optional>
#include <string>

#include "common/base/process_identity.h"
#include "common/base/result.h"
#include "common/checkpoint/directory.h"
#include "supervisor/core/supervision.h"
#include "supervisor/shell/accounts_file.h"

namespace ts::shell {

struct Memory {
  core::State state;  // what of it outlives us: see to_json
  std::string run_id;
  std::string supervisor;                 // version of whoever wrote this; empty: not known
  std::optional<ProcessIdentity> worker;  // the one that may have outlived us
  std::string boot_id;                    // of the boot in which this was written
  std::string host;                       // and on which machine
  std::optional<bool> exact;              // whether every resume of this run was bit-exact; nothing: not known
  RememberedAccounts accounts{};
};

std::string to_json(const Memory& memory);
Result<Memory> parse_memory(std::string_view text, std::string_view name);

// Durable::later: outlives this process, but maybe not the machine; the backup stays the last durable one.
enum class Durable { now, later };
Result<> save_memory(const checkpoint::Directory& directory, const Memory& memory, Durable durable = Durable::now);

// Empty when there is none yet. `note` is empty, and gets a sentence for each file that had to be passed over; one that
// was read and is of no use is kept under another name.
Memory load_memory(const checkpoint::Directory& directory, std::string& note);

}  // namespace ts::shell
