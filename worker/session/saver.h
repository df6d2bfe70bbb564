// Makes snapshots durable on a thread of its own: checksums, writes, syncs, reads again, prunes, while training goes
// on. One durable save is under way at a time; of what comes due meanwhile the newest waits. A best model is on disk
// before any later checkpoint that names it, but for one that the training thread waits for, or that alone finds room.
//
// A refused save costs nothing that is there: training goes on, the trouble is said, and the save is tried again
// (save_schedule.h has the rules).
//
// Ownership: refers to the directory, the writer and the history, which outlive it. Threading: all public members
// belong to the training thread. The writer belongs to the saver's thread from the first offer on, until the destructor
// has returned. Output: lines on stdout for people; checkpoints and trouble as datagrams for the supervisor, none of
// which vouches for the training thread's life.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/checkpoint/store_writer.h"
#include "common/config/config.h"
#include "common/protocol/notify_sender.h"
#include "worker/session/description.h"
#include "worker/session/history.h"
#include "worker/session/save_schedule.h"
#include "worker/session/snapshot.h"

namespace ts::session {

class Saver {
 public:
  // `durable`: the episode that was resumed from; 0 at the very beginning, which needs no file; -1 where even that
  // beginning has to be kept.
  Saver(const config::Config& config, SessionFacts facts, checkpoint::Episode durable,
        const checkpoint::Directory& directory, checkpoint::StoreWriter& writer, History& history,
        protocol::NotifySender sender);
  ~Saver();
  Saver(const Saver&) = delete;
  Saver& operator=(const Saver&) = delete;

  // The newest snapshot: saved now, later or never. `is_best`: it is also to become best_model.*.
  void offer(const SnapshotRef& newest, bool is_best);

  // A snapshot to become best_model.* under a sidecar that exists already.
  void file_best(const SnapshotRef& snapshot, checkpoint::Sidecar sidecar);

  // Saves what was offered last as soon as possible.
  void request();

  // Returns when what was offered last is durable, or has been refused once more (already said); the best model has had
  // its try too.
  Result<> save_now(checkpoint::SaveReason reason);

  checkpoint::Episode durable_episode() const;

 private:
  using Clock = std::chrono::steady_clock;

  struct BestJob {
    SnapshotRef snapshot;
    std::optional<checkpoint::Sidecar> sidecar;  // nothing: made from the snapshot
  };
  // The next checkpoint to be saved.
  struct Plan {
    SnapshotRef snapshot;
    checkpoint::SaveReason reason;
    Clock::time_point requested;
    std::optional<BestJob> best;  // that was not on disk when this was planned
    bool awaited = false;         // the training thread waits for it
  };
  // The training thread waits for one more try of what is not durable.
  struct Forced {
    checkpoint::SaveReason reason;
    bool checkpoint_tried = false;
    bool best_tried = false;
  };

  void run();
  void plan_what_is_due();
  void plan_forced();
  bool best_due() const;
  void save_checkpoint(std::unique_lock<std::mutex>& lock);
  void save_best(BestJob job, std::unique_lock<std::mutex>& lock);
  void wait_for_work(std::unique_lock<std::mutex>& lock);

  // Without the lock, on the saver's thread.
  bool has_room_for_both(const Plan& plan) const;
  Result<> commit(const Plan& plan);
  Result<> commit_best(const BestJob& job);
  Result<> prune(checkpoint::Episode verified);
  void look_for_stuck_training(Snapshot& snapshot, checkpoint::Sidecar& sidecar);
  void announce(const std::string& path);
  void tell_trouble(const std::string& sentence);
  void tell_when_mended();
  void refuse(const std::string& what, const Error& error, std::size_t bytes);

  const config::Config& config_;
  const SessionFacts facts_;
  const checkpoint::Directory& directory_;
  checkpoint::StoreWriter& writer_;
  History& history_;
  protocol::NotifySender sender_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::condition_variable idle_;
  SaveSchedule schedule_;
  SnapshotRef newest_;
  std::optional<Plan> planned_;
  std::optional<BestJob> best_;
  std::optional<Forced> forced_;
  std::optional<Error> last_refusal_;
  bool busy_ = false;
  bool closing_ = false;

  struct LastSaved {
    checkpoint::Episode episode = 0;
    std::vector<std::uint32_t> checksums;
  };
  LastSaved last_saved_;  // this and the rest: the saver's thread only
  bool trouble_told_ = false;
  bool stuck_ = false;  // the newest save holds the very state of the one before
  bool best_refused_ = false;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace ts::session
