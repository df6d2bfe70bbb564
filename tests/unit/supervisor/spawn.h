// A worker that is started and watched in one go.
#pragma once

#include <memory>
#include <utility>

#include "supervisor/shell/worker_process.h"

namespace ts::shell {

inline Result<std::unique_ptr<WorkerProcess>> spawn_worker(asio::io_context& io, Children& children,
                                                           const WorkerCommand& command,
                                                           WorkerProcess::OnExit on_exit) {
  auto started = StartedWorker::start(children, command);
  if (!started) return started.error();
  return WorkerProcess::watch(io, std::move(*started), std::move(on_exit));
}

}  // namespace ts::shell
