// Settles where a launch resumes: sweeps, completes what was interrupted, verifies, chooses, sets aside. Blocking disk
// work, so it runs on the disk thread; it shares nothing with the loop but its arguments and its result.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/checkpoint/sidecar.h"
#include "common/config/config.h"
#include "supervisor/core/supervision.h"
#include "supervisor/shell/rescue.h"
#include "supervisor/shell/survivors.h"

namespace ts::shell {

struct LaunchPlan {
  core::Event outcome;                         // LaunchPrepared or LaunchRefused
  std::vector<std::string> notes;              // what was done and rejected, one sentence each
  std::string run_id;                          // of the run that goes on or begins
  std::optional<checkpoint::Sidecar> resumed;  // of the checkpoint chosen
  bool locked = false;                         // refused because another process writes there
  bool survivors_settled = false;              // all earlier launches are accounted for
  std::optional<UnrecordedWorker> found;       // a worker of ours that runs already, to be adopted instead
  bool snapshot_settled = false;               // what was held is on disk, or is of no use
};

// `held`: what the last worker left in memory and could not be made durable so far; may be null. It is tried again
// first, and nothing is launched while it cannot be written: the launch would lose it.
LaunchPlan prepare_launch(const core::PrepareLaunch& launch, const HeldSnapshot* held, const OwnLaunches& own,
                          const config::Config& config);

// The same without a launch, when the worker has just died.
Rescue rescue_now(const HeldSnapshot& held, const OwnLaunches& own, const config::Config& config);

struct GoBackTarget {
  std::string selector;  // means the same checkpoint later
  std::string name;      // for people
};

// Whether `selector` names a checkpoint that verifies, for a refusal before anything is disturbed; the refusal ends
// with the list of valid ones.
Result<GoBackTarget> check_selector(const std::string& selector, const std::string& run_id,
                                    const config::Config& config);

}  // namespace ts::shell
