// Settles where a launch resumes: sweeps, completes what was interrupted, verifies, chooses, sets aside. Blocking disk
// work, so it runs on the disk thread; it shares nothing with the loop but its arguments and its result.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/checkpoint/sidecar.h"
#include "common/config/config.h"
#include "supervisor/core/lock_holder.h"
#include "supervisor/core/supervision.h"
#include "supervisor/shell/lock_holder.h"

namespace ts::shell {

struct LaunchPlan {
  core::Event outcome;                         // LaunchPrepared or LaunchRefused
  std::vector<std::string> notes;              // what was done and rejected, one sentence each
  std::string run_id;                          // of the run that goes on or begins
  std::optional<checkpoint::Sidecar> resumed;  // of the checkpoint chosen
  bool locked = false;                         // refused because another process writes there
  std::optional<UnrecordedWorker> found;       // that process is a worker of ours, to be adopted instead
};

LaunchPlan prepare_launch(std::int64_t attempt, const core::LaunchFrom& from, const core::OwnLaunches& own,
                          const config::Config& config);

struct GoBackTarget {
  std::string selector;  // means the same checkpoint later
  std::string name;      // for people
};

// Whether `selector` names a checkpoint that verifies, for a refusal before anything is disturbed; the refusal ends
// with the list of valid ones.
Result<GoBackTarget> check_selector(const std::string& selector, const std::string& run_id,
                                    const config::Config& config);

}  // namespace ts::shell
