#include "supervisor/shell/worker_command.h"

#include <chrono>
#include <utility>

#include "common/protocol/worker_contract.h"

namespace ts::shell {
namespace {

std::string replace_all(std::string text, std::string_view from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
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
  for (std::string& argument : command.arguments) {
    argument = replace_all(std::move(argument), "{checkpoint}", resume.path);
    argument = replace_all(std::move(argument), "{config}", context.config_file.string());
  }

  command.environment = config.worker.environment;
  command.environment[protocol::kEnvRunId] = context.run_id;
  command.environment[protocol::kEnvAttempt] = std::to_string(attempt);
  command.environment[protocol::kEnvResumeReason] = context.resume_reason;
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
