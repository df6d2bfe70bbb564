// The sending end of sd_notify: one datagram per call to the socket in NOTIFY_SOCKET. The worker tells the supervisor
// with it, and the supervisor the service manager.
//
// Sending never blocks and never fails the training: a full queue or a vanished receiver drops the message. Without
// NOTIFY_SOCKET every call does nothing, so the programs run by hand just the same.
//
// Source: sd_notify(3), "Notes" (the protocol is simple and stable, and may be implemented without libsystemd); unix(7)
// (SCM_RIGHTS).
// Ownership: owns its socket. Threading: one thread.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string_view>

#include "common/base/unique_fd.h"
#include "common/protocol/notify_message.h"

namespace ts::protocol {

enum class Delivery {
  sent,
  queue_full,  // a later try may succeed
  nowhere,     // nobody is there, or nobody would take it
};

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

  // The same with a descriptor that goes along. Whether it was sent matters to its owner: from then on another process
  // has it too. A message over 4096 bytes is not sent, since it would be dropped together with its descriptor.
  Delivery send_with(const NotifyMessage& message, int descriptor);

 private:
  bool tie();
  Delivery deliver(std::string_view datagram, int descriptor);

  UniqueFd fd_;
  sockaddr_un address_{};
  socklen_t address_bytes_ = 0;
};

}  // namespace ts::protocol
