// The command line and environment of a launch, from the configuration. Pure.
#pragma once

#include <filesystem>
#include <string>

#include "common/config/config.h"
#include "supervisor/core/supervision.h"
#include "supervisor/shell/worker_process.h"

namespace ts::shell {

struct LaunchContext {
  std::filesystem::path config_file;  // {config}
  std::filesystem::path own_program;  // our trainer stands beside it
  std::string notify_address;
  std::string state_directory;
  std::string state_id;  // LaunchMarks has the meaning
  std::string run_id;
  std::string resume_reason;  // why this launch happens, for TRAINER_RESUME_REASON
};

// worker.command (or our trainer), then resume_args or fresh_args, with {checkpoint} and {config} filled in.
WorkerCommand make_worker_command(const config::Config& config, const LaunchContext& context, std::int64_t attempt,
                                  const core::ResumePoint& resume);

}  // namespace ts::shell
