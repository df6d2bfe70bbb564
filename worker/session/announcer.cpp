#include "worker/session/announcer.h"

#include <exception>
#include <utility>

#include "common/base/block_signals.h"
#include "common/base/text.h"
#include "worker/session/say.h"

namespace ts::session {

Announcer::Announcer(const config::Snapshots& config, SessionFacts facts, protocol::NotifySender sender)
    : config_(config), facts_(std::move(facts)), sender_(std::move(sender)), thread_([this] {
        block_signals_in_this_thread();
        run();
      }) {}

Announcer::~Announcer() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

std::optional<std::string> Announcer::objection(const config::Snapshots& config, std::size_t bytes) {
  if (bytes <= config.max_bytes) return std::nullopt;
  return "The state has " + human_bytes(bytes) + ", more than snapshots.max_bytes (" + human_bytes(config.max_bytes) +
         "): it is not kept in memory, and a crash costs what was done since the last checkpoint on disk.";
}

bool Announcer::can_be_announced(const Snapshot& snapshot) {
  auto why = objection(config_, snapshot.bytes());
  if (!why && snapshot.descriptor() < 0) {
    why =
        "The system gives no memory files (is there a limit on file sizes or descriptors?): the state is not kept in "
        "memory, and a crash costs what was done since the last checkpoint on disk.";
  }
  if (why && !std::exchange(objection_told_, true)) say("Note: " + *why);
  return !why;
}

bool Announcer::offer(const SnapshotRef& newest) {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return !under_way_; });
  if (newest->counters.episode % config_.every != 0 || !can_be_announced(*newest)) return false;
  under_way_ = newest;
  wake_.notify_one();
  return true;
}

std::int64_t Announcer::last_sent() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return !under_way_; });
  return last_sent_;
}

void Announcer::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return under_way_ || closing_; });
    if (!under_way_) return;
    SnapshotRef snapshot = under_way_;
    lock.unlock();
    const bool sent = announce(*snapshot);
    lock.lock();
    if (sent) {
      last_sent_ = snapshot->counters.episode;
      announced_.swap(snapshot);
    }
    snapshot.reset();
    under_way_.reset();
    idle_.notify_all();
  }
}

// Whatever goes wrong here costs one announcement: the next episode has its own.
bool Announcer::announce(Snapshot& snapshot) {
  try {
    snapshot.digest();
    return sender_.send_with(announcement(facts_, snapshot), snapshot.descriptor()) == protocol::Delivery::sent;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace ts::session
