// The sending end of sd_notify: one datagram per call to the socket in NOTIFY_SOCKET. The worker tells the supervisor
// with it, and the supervisor the service manager.
//
// Sending never blocks and never fails the training: a full queue or a vanished receiver drops the message. Without
// NOTIFY_SOCKET every call does nothing, so the programs run by hand just the same.
//
// Source: sd_notify(3), "Notes" (the protocol is simple and stable, and may be implemented without libsystemd).
// Ownership: owns its socket. Threading: one thread.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string_view>

#include "common/base/unique_fd.h"
#include "common/protocol/notify_message.h"

namespace ts::protocol {

class NotifySender {
 public:
  NotifySender() = default;  // sends nowhere

  // `address` as in NOTIFY_SOCKET: "/path" or "@abstract"; anything else, or nullptr, sends nowhere.
  explicit NotifySender(const char* address);

  bool connected() const { return static_cast<bool>(fd_); }

  // False: dropped because the receiver's queue is full, so a later try may succeed. True in every other case, also
  // when nobody is there to receive it.
  bool send(const NotifyMessage& message);
  bool send_text(std::string_view datagram);

 private:
  UniqueFd fd_;
  sockaddr_un address_{};
  socklen_t address_bytes_ = 0;
};

}  // namespace ts::protocol
