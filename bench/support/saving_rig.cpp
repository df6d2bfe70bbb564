#include "bench/support/saving_rig.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <thread>
#include <utility>

#include "common/checkpoint/directory_lock.h"
#include "common/protocol/notify_message.h"

namespace ts::bench {
namespace {

using checkpoint::Directory;

// In the abstract name space: nothing to remove.
std::string address() {
  return "@ts-bench-" + std::to_string(::getpid());
}

UniqueFd listen_at(const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data() + 1, name.size() - 1);
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), bytes) != 0) {
    give_up(make_error(ErrorKind::unavailable, "could not listen at " + name + ": " + std::strerror(errno) + "."));
  }
  return fd;
}

checkpoint::StoreWriter writer_for(const Directory& directory) {
  return {directory, require(checkpoint::DirectoryLock::acquire(directory, "bench"))};
}

}  // namespace

SavingRig::SavingRig(std::size_t bytes, const std::filesystem::path& directory)
    : task_(bytes),
      acknowledgements_(listen_at(address())),
      directory_(require(Directory::open(directory, Directory::Create::yes, file_system_))),
      writer_(writer_for(directory_)) {
  config_.checkpoints.directory = directory;
  config_.checkpoints.save_frequency = 1;
  config_.checkpoints.save_interval = std::chrono::milliseconds{0};
  config_.checkpoints.max_keep = 1;
  require(pool_.prepare(task_));
  session::SessionFacts facts;
  facts.identity = {"bench", 1, checkpoint::kEpisodeMax};
  history_ = std::make_unique<session::History>(directory_, facts.identity);
  saver_ = std::make_unique<session::Saver>(config_, std::move(facts), 0, directory_, writer_, *history_,
                                            protocol::NotifySender(address().c_str()));
}

session::SnapshotRef SavingRig::take() {
  session::Counters counters;
  counters.episode = ++episode_;
  return pool_.take(task_, counters, {});
}

Clock::time_point SavingRig::await_acknowledgement() {
  while (true) {
    std::array<char, protocol::kDatagramBytesMax> datagram{};
    const ssize_t bytes = ::recv(acknowledgements_.get(), datagram.data(), datagram.size(), 0);
    const auto now = Clock::now();
    if (bytes < 0) continue;
    const auto message = protocol::decode({datagram.data(), static_cast<std::size_t>(bytes)});
    if (!message) continue;
    if (message->checkpoint) return now;
    if (message->status) give_up(make_error(ErrorKind::cannot_write, *message->status));
  }
}

void SavingRig::await_idle() {
  while (saver_->durable_episode() < episode_) std::this_thread::sleep_for(std::chrono::milliseconds{1});
}

}  // namespace ts::bench
