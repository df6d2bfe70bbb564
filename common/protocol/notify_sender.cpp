#include "common/protocol/notify_sender.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

namespace ts::protocol {
namespace {

constexpr int kNoDescriptor = -1;

}  // namespace

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
  return !connected() || deliver(datagram, kNoDescriptor) != Delivery::queue_full;
}

Delivery NotifySender::send_with(const NotifyMessage& message, int descriptor) {
  const std::string datagram = encode(message);
  if (!connected() || datagram.size() > kDatagramBytesMax) return Delivery::nowhere;
  return deliver(datagram, descriptor);
}

// To whoever listens on the address now. Spares each message the search for it.
bool NotifySender::tie() {
  return ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address_), address_bytes_) == 0;
}

Delivery NotifySender::deliver(std::string_view datagram, int descriptor) {
  iovec part{const_cast<char*>(datagram.data()), datagram.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> ancillary{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (descriptor != kNoDescriptor) {
    header.msg_control = ancillary.data();
    header.msg_controllen = ancillary.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
  }
  const auto send = [&] { return ::sendmsg(fd_.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0; };
  if (send()) return Delivery::sent;
  // Not tied to anybody yet, or to one that is gone: a supervisor that was restarted listens on the same address with a
  // new socket.
  const bool untied = errno == ENOTCONN || errno == ECONNREFUSED || errno == EPIPE;
  if (untied && tie() && send()) return Delivery::sent;
  // The last: more descriptors are on their way than this user may have open.
  const bool later = errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS;
  return later ? Delivery::queue_full : Delivery::nowhere;
}

}  // namespace ts::protocol
