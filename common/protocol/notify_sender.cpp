#include "common/protocol/notify_sender.h"

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace ts::protocol {

NotifySender::NotifySender(const char* address) {
  if (address == nullptr) return;
  const std::string_view name(address);
  const bool abstract = name.starts_with('@');
  if (name.size() < 2 || (!abstract && !name.starts_with('/')) || name.size() >= sizeof(address_.sun_path)) return;
  address_.sun_family = AF_UNIX;
  std::memcpy(address_.sun_path, name.data(), name.size());
  if (abstract) address_.sun_path[0] = '\0';
  address_bytes_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  fd_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

bool NotifySender::send(const NotifyMessage& message) {
  return !connected() || send_text(encode(message));
}

bool NotifySender::send_text(std::string_view datagram) {
  if (!connected()) return true;
  // Not connected with connect(2): a supervisor that was restarted listens on the same address with a new socket.
  const ssize_t sent = ::sendto(fd_.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                                reinterpret_cast<const sockaddr*>(&address_), address_bytes_);
  return sent >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

}  // namespace ts::protocol
