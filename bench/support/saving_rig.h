// Everything between a training task and a durable checkpoint, as a session puts it together, saving every episode.
// The acknowledgement is awaited as the supervisor awaits it: as a datagram.
//
// Threading: one thread, the training thread.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "bench/support/report.h"
#include "bench/support/synthetic_task.h"
#include "bench/support/timed_file_system.h"
#include "common/base/unique_fd.h"
#include "common/checkpoint/directory.h"
#include "common/checkpoint/store_writer.h"
#include "common/config/config.h"
#include "worker/session/saver.h"
#include "worker/session/snapshot.h"

namespace ts::bench {

class SavingRig {
 public:
  SavingRig(std::size_t bytes, const std::filesystem::path& directory);
  SavingRig(const SavingRig&) = delete;
  SavingRig& operator=(const SavingRig&) = delete;

  SyntheticTask& task() { return task_; }
  TimedFileSystem& file_system() { return file_system_; }

  // The next episode's snapshot.
  session::SnapshotRef take();
  void offer(const session::SnapshotRef& snapshot) { saver_->offer(snapshot, false); }

  // Returns when the supervisor would know that a checkpoint is durable.
  Clock::time_point await_acknowledgement();
  // Returns when the newest snapshot offered is durable, what it replaces is pruned, and the saver has nothing to do.
  void await_idle();

 private:
  SyntheticTask task_;
  TimedFileSystem file_system_;
  config::Config config_;
  UniqueFd acknowledgements_;
  checkpoint::Directory directory_;
  checkpoint::StoreWriter writer_;
  session::SnapshotPool pool_;
  std::int64_t episode_ = 0;
  std::unique_ptr<session::History> history_;
  std::unique_ptr<session::Saver> saver_;  // last: its thread uses the above
};

}  // namespace ts::bench
