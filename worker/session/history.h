// Writes the history, one line for each episode (common/checkpoint/history.h), on a thread of its own: a disk that
// stalls must not hold up training.
//
// History is worth less than training and than a checkpoint: whatever cannot be written is said once and left out, and
// a save waits for it only so long. What was added before a sync began is durable when it is done, so that the history
// is at least as durable as the newest acknowledged checkpoint.
//
// The file is open only while it is written: a disk can be made read-only meanwhile.
//
// Ownership: refers to the directory, whose lock the session holds; owns its thread. Threading: begin and
// add on the training thread; start_sync and await_sync on any. Output: lines on stdout for people.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "common/checkpoint/directory.h"
#include "common/checkpoint/history.h"
#include "common/protocol/notify_message.h"
#include "worker/session/description.h"

namespace ts::session {

class History {
 public:
  History(const checkpoint::Directory& directory, RunIdentity identity);
  ~History();  // what was added is written by then, though not synced
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  // Before the first add: cuts off what is later than `episode` (and a line that was never finished). `newest` is added
  // where it is missing: of a checkpoint that was saved, or rescued, before its line was written.
  void begin(checkpoint::Episode episode, const std::optional<checkpoint::HistoryEntry>& newest);

  void add(checkpoint::Episode episode, const protocol::Metrics& metrics);

  // What was added so far is to become durable; `await_sync` returns when it is, or cannot be, or takes too long.
  std::uint64_t start_sync();
  void await_sync(std::uint64_t sync);

 private:
  int open_file() const;
  void run();
  void write_all(const std::deque<checkpoint::HistoryEntry>& entries, bool then_sync);
  int write(int fd, const checkpoint::HistoryEntry& entry);
  void left_out(std::size_t episodes, int negative_errno);
  void sync(int fd);
  void trouble(std::string_view what, int negative_errno);

  const checkpoint::Directory& directory_;
  const RunIdentity identity_;
  bool kept_ = false;  // else why not has been said

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::condition_variable synced_;
  std::deque<checkpoint::HistoryEntry> queue_;
  std::uint64_t syncs_wanted_ = 0;
  std::uint64_t syncs_done_ = 0;
  bool closing_ = false;

  bool torn_ = false;  // this and the rest: the thread only, once it runs
  bool unsynced_ = false;
  bool sync_failed_ = false;
  std::size_t missing_ = 0;  // episodes, since lines could not be written

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace ts::session
