// The supervisor's end of the heartbeat: a datagram socket that behaves towards its senders as systemd's does.
//
// Bound before any worker exists, so that no early READY is lost. Messages without kernel-made credentials, truncated
// ones and malformed ones are dropped and counted; descriptors that come along are closed at once.
//
// Sources: sd_notify(3), unix(7) (SO_PASSCRED, SCM_CREDENTIALS, MSG_CTRUNC).
// Ownership: owns the socket and its file. Threading: the io_context's thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "common/base/result.h"
#include "common/protocol/notify_message.h"
#include "supervisor/shell/net.h"

namespace ts::shell {

class NotifyReceiver {
 public:
  using OnMessage = std::function<void(pid_t sender, const protocol::NotifyMessage&)>;

  static Result<std::unique_ptr<NotifyReceiver>> bind(asio::io_context& io, const std::filesystem::path& path,
                                                      OnMessage on_message);
  ~NotifyReceiver();

  // What NOTIFY_SOCKET should hold: absolute, so that a worker may change its directory.
  const std::string& address() const { return address_; }
  std::uint64_t dropped() const { return dropped_; }

  // Everything that has arrived by now, delivered before this returns: called before an exit or a timer is judged.
  void drain();

 private:
  NotifyReceiver(asio::io_context& io, int fd, std::string address, OnMessage on_message);
  void wait();
  bool receive_one();

  asio::local::datagram_protocol::socket socket_;
  std::string address_;
  OnMessage on_message_;
  std::uint64_t dropped_ = 0;
};

}  // namespace ts::shell
