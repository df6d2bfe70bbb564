#include "supervisor/shell/worker_command.h"

#include <chrono>
#include <utility>

#include "common/protocol/worker_contract.h"

namespace ts::shell {
namespace {

// In one pass, so that a path that looks like a placeholder stays what it is.
std::string fill_in(std::string_view text, const std::map<std::string, std::string>& values) {
  std::string out;
  while (!text.empty()) {
    std::size_t taken = 0;
    for (const auto& [placeholder, value] : values) {
      if (!text.starts_with(placeholder)) continue;
      out += value;
      taken = placeholder.size();
      break;
    }
    if (taken == 0) out += text[taken++];
    text.remove_prefix(taken);
  }
  return out;
}

}  // namespace

WorkerCommand make_worker_command(const config::Config& config, const LaunchContext& context, std::int64_t attempt,
                                  const core::ResumePoint& resume) {
  WorkerCommand command;
  command.arguments = config.worker.command;
  if (command.arguments.empty()) {
    command.arguments = {(context.own_program.parent_path() / "trainer").string(), "--config", "{config}"};
  }
  const bool resumes = !resume.path.empty();
  const auto& more = resumes ? config.worker.resume_args : config.worker.fresh_args;
  command.arguments.insert(command.arguments.end(), more.begin(), more.end());
  const std::map<std::string, std::string> values = {{"{checkpoint}", resume.path},
                                                     {"{config}", context.config_file.string()}};
  for (std::string& argument : command.arguments) argument = fill_in(argument, values);

  command.environment = config.worker.environment;
  command.environment[protocol::kEnvRunId] = context.run_id;
  command.environment[protocol::kEnvAttempt] = std::to_string(attempt);
  command.environment[protocol::kEnvResumeReason] = context.resume_reason;
  command.environment[protocol::kEnvStateDirectory] = context.state_directory;
  command.environment[protocol::kEnvStateId] = context.state_id;
  if (resumes) command.environment[protocol::kEnvResumeCheckpoint] = resume.path;
  if (resumes && !resume.foreign) command.environment[protocol::kEnvResumeEpisode] = std::to_string(resume.episode);
  const auto timeout = config.supervisor.heartbeat_timeout;
  if (timeout > timeout.zero()) {
    command.environment[protocol::kEnvNotifySocket] = context.notify_address;
    command.environment[protocol::kEnvWatchdogUsec] =
        std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(timeout).count());
  }
  command.log_file = config.logging.directory / "worker.log";
  return command;
}

}  // namespace ts::shell
