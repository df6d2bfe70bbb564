// The supervisor's end of the heartbeat: a datagram socket that behaves towards its senders as systemd's does.
//
// Bound before any worker exists, so that no early READY is lost. Dropped and counted, each kind said once for each
// attempt: messages that are truncated, malformed, without kernel-made credentials, or from somebody who may not speak
// (which the owner decides). A descriptor that comes along is the handler's if it is the only one and the message says
// FDSTORE=1; every other one is closed. BARRIER=1 with one descriptor closes it after everything before was handled.
//
// A flood cannot starve the loop or fill memory: a turn handles a bounded number of messages, and what is not read yet
// is bounded by the kernel, which makes the sender wait.
//
// Sources: sd_notify(3), unix(7) (SO_PASSCRED, SCM_CREDENTIALS, MSG_CTRUNC).
// Ownership: owns the socket and its file. Threading: the io_context's thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/protocol/notify_message.h"
#include "supervisor/shell/closer.h"
#include "supervisor/shell/net.h"

namespace ts::shell {

// As the kernel vouches for it.
struct Sender {
  pid_t pid = 0;
  uid_t uid = 0;
};

struct Notification {
  Sender sender;
  protocol::NotifyMessage message;
  std::vector<UniqueFd> descriptors;  // none or one; what the handler does not move away is closed elsewhere (closer.h)
};

// Since the start, for status and metrics.
struct NotifyCounts {
  std::uint64_t heard = 0;              // accepted, barriers included
  std::uint64_t truncated = 0;          // longer than 4096 bytes, or with too many descriptors
  std::uint64_t unattributed = 0;       // without credentials
  std::uint64_t malformed = 0;          // empty, a NUL inside, a barrier that is none
  std::uint64_t foreign = 0;            // the sender may not speak for the worker
  std::uint64_t stray_descriptors = 0;  // descriptors that nobody asked for, closed

  std::uint64_t dropped() const { return truncated + unattributed + malformed + foreign; }
};

class NotifyReceiver {
 public:
  // False: this sender may not speak.
  using OnMessage = std::function<bool(Notification&)>;
  using OnNote = std::function<void(const std::string&)>;  // a sentence for the log

  static Result<std::unique_ptr<NotifyReceiver>> bind(asio::io_context& io, const std::filesystem::path& path,
                                                      OnMessage on_message, OnNote on_note);
  ~NotifyReceiver();

  // What NOTIFY_SOCKET should hold: absolute, so that a worker may change its directory.
  const std::string& address() const { return address_; }
  const NotifyCounts& counts() const { return counts_; }

  // Everything that has arrived by now, delivered before this returns: called before an exit or a timer is judged.
  void drain();

  // Reads nothing from here on: what is sent waits in the kernel. For the time in which a worker is started and nobody
  // knows yet which process it is.
  void pause() { paused_ = true; }
  void resume();

  // What is dropped from here on is said again.
  void begin_attempt() { said_.clear(); }

 private:
  NotifyReceiver(asio::io_context& io, int fd, std::string address, OnMessage on_message, OnNote on_note);
  void wait();
  bool receive_one();
  void deliver(Notification& notification, std::string_view text);
  void count(std::uint64_t& counter, const Sender& sender, std::string_view what, std::uint64_t number = 1);

  asio::local::datagram_protocol::socket socket_;
  std::string address_;
  OnMessage on_message_;
  OnNote on_note_;
  Closer closer_;
  bool paused_ = false;
  bool waiting_ = false;  // for something to read
  NotifyCounts counts_;
  std::set<const std::uint64_t*> said_;  // the kinds that this attempt has been reported for, by their counters
};

}  // namespace ts::shell
