// The loop around a training task: begin where it should, train episode after episode, snapshot, save, keep the best,
// beat, and stop when asked, with the state as of the last completed episode on disk.
//
// Threading: one thread. Output: lines on stdout for people; the same facts as heartbeats for the supervisor.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/checkpoint/directory.h"
#include "common/checkpoint/store.h"
#include "common/checkpoint/store_writer.h"
#include "common/config/config.h"
#include "common/protocol/worker_contract.h"
#include "worker/session/announcer.h"
#include "worker/session/heartbeat.h"
#include "worker/session/saver.h"
#include "worker/session/snapshot.h"
#include "worker/session/starting_point.h"
#include "worker/session/training_task.h"

namespace ts::session {

struct SessionOptions {
  ResumeRequest resume;
  std::string program = "trainer";  // how a second one that wants the same directory is told about us
};

// Runs the training to its end or to a stop. The result is the exit code: finished or interrupted. An Error is a
// sentence, and its kind gives the exit code.
Result<protocol::ExitCode> run_session(TrainingTask& task, const config::Config& config, const SessionOptions& options);

}  // namespace ts::session
