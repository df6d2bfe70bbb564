// Hands the supervisor the state after an episode: seals and digests the snapshot and sends its memory file along with
// the message that acknowledges the episode, on a thread of its own. Training only copies, and a save that waits for
// the disk delays no announcement.
//
// The bound (P5): an episode is acknowledged together with the state after it, so nothing acknowledged is lost by the
// worker's death. One announcement is under way at a time, and the next one waits for it: a death costs the episode in
// flight, and besides only the one whose announcement was still under way (a digest's time) or found no room.
//
// An announced snapshot is referred to, and so stays as it is, until a newer one was sent. At every instant the newest
// one that the supervisor has been told of is whole.
//
// Ownership: owns its thread. Threading: all public members belong to the training thread. No message of this thread
// vouches for the training thread's life, but that an episode was completed.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/config/config.h"
#include "common/protocol/notify_sender.h"
#include "worker/session/description.h"
#include "worker/session/snapshot.h"

namespace ts::session {

class Announcer {
 public:
  Announcer(const config::Snapshots& config, SessionFacts facts, protocol::NotifySender sender);
  ~Announcer();  // what is under way is sent first
  Announcer(const Announcer&) = delete;
  Announcer& operator=(const Announcer&) = delete;

  // Why a state of this size is not announced, a sentence; nothing where it is.
  static std::optional<std::string> objection(const config::Snapshots& config, std::size_t bytes);

  // True: the snapshot's turn (snapshots.every), and it is announced with its episode. False: the caller tells the
  // episode. Waits until nothing is under way, so messages keep the order of their episodes.
  bool offer(const SnapshotRef& newest);

  // The last episode whose announcement was sent, 0 before the first. Waits until nothing is under way.
  std::int64_t last_sent();

 private:
  void run();
  bool announce(Snapshot& snapshot);
  bool can_be_announced(const Snapshot& snapshot);

  const config::Snapshots config_;
  const SessionFacts facts_;
  protocol::NotifySender sender_;
  bool objection_told_ = false;  // the training thread's

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::condition_variable idle_;
  SnapshotRef under_way_;
  SnapshotRef announced_;
  std::int64_t last_sent_ = 0;
  bool closing_ = false;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace ts::session
