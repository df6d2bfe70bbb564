#include "worker/session/history.h"

#include <fcntl.h>

#include <cerrno>
#include <span>
#include <utility>

#include "common/base/block_signals.h"
#include "common/base/text.h"
#include "worker/session/say.h"

namespace ts::session {
namespace {

using checkpoint::HistoryEntry;
using checkpoint::kHistoryFile;

constexpr std::size_t kQueueMax = 100'000;         // lines that wait for a disk that hangs
constexpr std::chrono::seconds kSyncPatience{10};  // then the checkpoint goes first
constexpr const char* kGoesOn = " Training goes on; the history has a gap there.";

}  // namespace

History::History(const checkpoint::Directory& directory, RunIdentity identity)
    : directory_(directory), identity_(std::move(identity)) {}

History::~History() {
  if (!kept_) return;
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

int History::open_file() const {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK;
  int fd = -EINTR;
  while (fd == -EINTR) fd = directory_.fs().open(directory_.fd(), std::string(kHistoryFile), kFlags, 0644);
  return fd;
}

void History::begin(checkpoint::Episode episode, const std::optional<HistoryEntry>& newest) {
  const std::string name(kHistoryFile);
  const auto give_up = [](const Error& error) {
    say("warning: no history is kept: " + error.message + " Training goes on without.");
  };
  const auto file = directory_.map_file(name, checkpoint::kHistoryBytesMax);
  if (!file && file.error().kind != ErrorKind::not_found) return give_up(file.error());
  checkpoint::HistoryCut cut;
  std::size_t size = 0;
  if (file) {
    size = file->bytes().size();
    cut = checkpoint::cut_history(file->text(), episode);
  }
  const int fd = open_file();
  if (fd < 0) return give_up(directory_.failure("open", name, fd));
  if (cut.keep < size) {
    const auto shortened = checkpoint::cut_open_history(directory_, fd, cut.keep);
    if (!shortened) say("warning: " + shortened.error().message + " Readers pass over the lines that are void now.");
    torn_ = sync_failed_ = !shortened;
  }
  directory_.fs().close(fd);
  kept_ = true;
  if (newest && cut.last < newest->episode) queue_.push_back(*newest);
  thread_ = std::thread([this] {
    block_signals_in_this_thread();
    run();
  });
}

void History::add(checkpoint::Episode episode, const protocol::Metrics& metrics) {
  if (!kept_) return;
  HistoryEntry entry{episode, rfc3339_utc(std::chrono::system_clock::now()), identity_.run_id, identity_.attempt,
                     metrics};
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= kQueueMax) return;  // the disk has hung for very long
    queue_.push_back(std::move(entry));
  }
  wake_.notify_one();
}

std::uint64_t History::start_sync() {
  if (!kept_) return 0;
  std::uint64_t sync = 0;
  {
    const std::lock_guard lock(mutex_);
    sync = ++syncs_wanted_;
  }
  wake_.notify_one();
  return sync;
}

void History::await_sync(std::uint64_t sync) {
  std::unique_lock lock(mutex_);
  synced_.wait_for(lock, kSyncPatience, [&] { return syncs_done_ >= sync; });
}

void History::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return closing_ || !queue_.empty() || syncs_done_ < syncs_wanted_; });
    const std::deque<HistoryEntry> entries = std::exchange(queue_, {});
    const std::uint64_t wanted = syncs_wanted_;
    const bool sync_wanted = syncs_done_ < wanted;
    const bool last = closing_;
    lock.unlock();
    write_all(entries, sync_wanted);
    lock.lock();
    syncs_done_ = wanted;
    synced_.notify_all();
    if (last) return;
  }
}

void History::write_all(const std::deque<HistoryEntry>& entries, bool then_sync) {
  if (entries.empty() && !(then_sync && unsynced_)) return;
  const int fd = open_file();
  if (fd < 0) return left_out(entries.size(), fd);
  for (const HistoryEntry& entry : entries) {
    const int written = write(fd, entry);
    if (written < 0) left_out(1, written);
  }
  if (then_sync) sync(fd);
  directory_.fs().close(fd);
}

// A line that was written in part is ended before the next one: readers pass over it.
int History::write(int fd, const HistoryEntry& entry) {
  const std::string line = (torn_ ? "\n" : "") + checkpoint::to_line(entry);
  const auto bytes = std::as_bytes(std::span(line));
  for (std::size_t written = 0; written < bytes.size();) {
    const std::int64_t count = directory_.fs().write(fd, bytes.data() + written, bytes.size() - written);
    if (count == -EINTR) continue;
    if (count <= 0) {
      torn_ = torn_ || written > 0;
      return count == 0 ? -EIO : static_cast<int>(count);
    }
    unsynced_ = true;
    written += static_cast<std::size_t>(count);
  }
  torn_ = false;
  if (missing_ > 0) say("The history is written again; episodes that are missing in it: " + std::to_string(missing_));
  missing_ = 0;
  return 0;
}

void History::left_out(std::size_t episodes, int negative_errno) {
  if (missing_ == 0 && episodes > 0) trouble("write", negative_errno);
  missing_ += episodes;
}

// A failed sync is final for its file; its lines are still written, for as long as the machine runs.
void History::sync(int fd) {
  if (!unsynced_ || sync_failed_) return;
  const int synced = directory_.fs().fsync(fd);
  unsynced_ = false;
  sync_failed_ = synced < 0;
  if (sync_failed_) trouble("sync", synced);
}

void History::trouble(std::string_view what, int negative_errno) {
  say("warning: " + directory_.failure(what, kHistoryFile, negative_errno).message + kGoesOn);
}

}  // namespace ts::session
