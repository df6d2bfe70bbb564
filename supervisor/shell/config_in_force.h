// The configuration in force as a file beside the supervisor's state: what workers are launched with. The file that
// people edit may say anything by then; it counts when it is loaded.
//
// Threading: waits for the disk. Ownership: nothing is kept.
#pragma once

#include <filesystem>

#include "common/base/result.h"
#include "common/checkpoint/directory.h"
#include "common/config/config.h"

namespace ts::shell {

// Takes the place of an earlier one in one step, and nobody but its owner may read it: worker.environment may hold
// secrets. Not synced, since it is written anew at each start. Returns its path.
Result<std::filesystem::path> write_config_in_force(const checkpoint::Directory& state_directory,
                                                    const config::Config& config,
                                                    const std::filesystem::path& original);

}  // namespace ts::shell
