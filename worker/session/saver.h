// Makes snapshots durable: when, under which names, what may go, and what happens when the disk refuses.
//
// A refused save costs nothing that is there: training goes on, the trouble is said, and the save is tried again at the
// next episode after a pause that doubles up to a minute.
//
// Threading: the training thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/checkpoint/store_writer.h"
#include "common/config/config.h"
#include "worker/session/heartbeat.h"
#include "worker/session/snapshot.h"

namespace ts::session {

struct RunIdentity {
  std::string run_id;
  std::int64_t attempt = 0;
  std::int64_t total_episodes = 0;
};

class Saver {
 public:
  Saver(const config::Config& config, RunIdentity identity, const TrainingTask& task,
        const checkpoint::Directory& directory, checkpoint::StoreWriter& writer, Heartbeat& heartbeat);

  // Tells which episode is durable already: the one that was resumed from.
  void resumed_at(std::int64_t episode) { durable_episode_ = episode; }
  std::int64_t durable_episode() const { return durable_episode_; }

  // Whether the newest snapshot is to be saved now, and why. `best_is_new`: it is the best so far.
  std::optional<checkpoint::SaveReason> due(const Snapshot& newest, bool save_requested) const;

  // Commits and prunes. An error has been said already; the save stays due.
  Result<> save(const Snapshot& snapshot, checkpoint::SaveReason reason);

  // best_model.*. What the disk refuses is kept in memory until it takes it.
  void save_best(const Snapshot& snapshot);
  void save_best(std::span<const std::byte> archive, checkpoint::Sidecar sidecar);

  // Tries again what save_best was refused, when it is time; `now_or_never`: at once.
  void retry_best(bool now_or_never);

  const std::string& newest_path() const { return newest_path_; }

 private:
  checkpoint::Sidecar describe(const Snapshot& snapshot, checkpoint::SaveReason reason) const;
  void refused(const std::string& what, const Error& error);
  Result<> commit_best(std::span<const std::byte> archive, const checkpoint::Sidecar& sidecar);

  const config::Config& config_;
  RunIdentity identity_;
  const TrainingTask& task_;
  const checkpoint::Directory& directory_;
  checkpoint::StoreWriter& writer_;
  Heartbeat& heartbeat_;
  std::int64_t durable_episode_ = 0;
  std::string newest_path_;
  bool overdue_ = false;  // a save was refused and has not been made good yet
  struct UnsavedBest {
    std::vector<std::byte> archive;
    checkpoint::Sidecar sidecar;
  };
  std::optional<UnsavedBest> unsaved_best_;
  std::chrono::seconds pause_{1};
  std::chrono::steady_clock::time_point not_before_{};
  std::chrono::steady_clock::time_point last_durable_ = std::chrono::steady_clock::now();
};

}  // namespace ts::session
