#include "common/checkpoint/pins.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "common/checkpoint/store.h"

namespace ts::checkpoint {
namespace {

constexpr std::chrono::milliseconds kWaitStep{10};

// Whether the marker is there; makes it durable under its name when it was not.
Result<PinChange> make_marker(const Directory& directory, Episode episode) {
  const auto lock = PinLock::acquire(directory);
  if (!lock) return lock.error();
  const auto listing = Store(directory).list();
  if (!listing) return listing.error();
  if (listing->pinned.contains(episode)) return PinChange::none;
  const auto written = directory.write_synced(pin_name(episode), {});
  if (!written) return written.error();
  return PinChange::made;
}

// Undoes what an error left half-way, and says so when even that cannot be done.
Error without_marker(const Directory& directory, Episode episode, Error error) {
  const auto removed = directory.unlink(pin_name(episode));
  const auto synced = removed ? directory.sync() : removed;
  if (!removed) error.message += " And " + removed.error().message;
  return error;
}

}  // namespace

Result<PinLock> PinLock::acquire(const Directory& directory, std::chrono::milliseconds wait_max) {
  // A descriptor of its own: an flock belongs to the open file, and the directory's is shared.
  int opened = -EINTR;
  while (opened == -EINTR) opened = directory.fs().open(directory.fd(), ".", O_RDONLY | O_DIRECTORY, 0);
  if (opened < 0) return directory.failure("open the directory", "", opened);
  UniqueFd fd(opened);
  const auto give_up = std::chrono::steady_clock::now() + wait_max;
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) break;  // no flock on directories here (NFS has none, nor have some FUSE file systems)
    if (std::chrono::steady_clock::now() >= give_up) {
      return make_error(ErrorKind::locked, directory.path_of("") +
                                               " is locked by another process (flock on the directory itself), which "
                                               "pruning and pinning do for a moment; end that one, or wait for it.");
    }
    std::this_thread::sleep_for(kWaitStep);
  }
  return PinLock(std::move(fd));
}

Result<PinChange> pin(const Directory& directory, Episode episode) {
  const auto change = make_marker(directory, episode);
  if (!change) return change.error();
  const bool made = *change == PinChange::made;
  // Also when it was there before: whoever made it may have died before this.
  const auto synced = directory.sync();
  if (!synced) return made ? without_marker(directory, episode, synced.error()) : synced.error();
  const auto verified = Store(directory).verify(episode);
  if (!verified) return made ? without_marker(directory, episode, verified.error()) : verified.error();
  return *change;
}

Result<PinChange> unpin(const Directory& directory, Episode episode) {
  const auto listing = Store(directory).list();
  if (!listing) return listing.error();
  if (!listing->pinned.contains(episode)) return PinChange::none;
  const auto removed = directory.unlink(pin_name(episode));
  if (!removed) return removed.error();
  const auto synced = directory.sync();
  if (!synced) return synced.error();
  return PinChange::made;
}

}  // namespace ts::checkpoint
