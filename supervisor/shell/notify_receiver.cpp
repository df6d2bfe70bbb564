#include "supervisor/shell/notify_receiver.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "common/base/text.h"
#include "supervisor/shell/process_tree.h"

namespace ts::shell {
namespace {

constexpr int kReceiveBufferBytes = 8 << 20;  // as PID 1 sets it, so that a sender is not kept waiting
constexpr int kMessagesPerTurn = 128;         // a flood must not keep the loop from its other work
constexpr int kMessagesPerDrain = 4096;       // nor keep an exit or a timer from being judged; the queue holds fewer
constexpr std::size_t kDescriptorsMax = 253;  // the kernel's own limit for one message (SCM_MAX_FD)

// The sender and the descriptors that came along.
void take_ancillary(msghdr& header, Notification& notification) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_CREDENTIALS && part->cmsg_len == CMSG_LEN(sizeof(ucred))) {
      ucred credentials{};
      std::memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
      notification.sender = {credentials.pid, credentials.uid};
    } else if (part->cmsg_type == SCM_RIGHTS) {
      const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
        notification.descriptors.emplace_back(fd);
      }
    }
  }
}

bool has_line(std::string_view text, std::string_view line) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (text.substr(0, end) == line) return true;
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return false;
}

bool is_only_line(std::string_view text, std::string_view line) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  return text == line;
}

}  // namespace

NotifyReceiver::NotifyReceiver(asio::io_context& io, int fd, std::string address, OnMessage on_message, OnNote on_note)
    : socket_(io, asio::local::datagram_protocol(), fd),
      address_(std::move(address)),
      on_message_(std::move(on_message)),
      on_note_(std::move(on_note)) {
  wait();
}

NotifyReceiver::~NotifyReceiver() {
  ::unlink(address_.c_str());
}

Result<std::unique_ptr<NotifyReceiver>> NotifyReceiver::bind(asio::io_context& io, const std::filesystem::path& path,
                                                             OnMessage on_message, OnNote on_note) {
  const std::string address = std::filesystem::absolute(path).lexically_normal().string();
  const auto fail = [&](std::string_view what, int error) {
    return make_error(ErrorKind::unavailable, "could not " + std::string(what) + " the heartbeat socket " +
                                                  escape_control(address) + ": " + std::strerror(error) + ".");
  };
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (address.size() >= sizeof name.sun_path) {
    return make_error(ErrorKind::configuration,
                      "the path of the heartbeat socket " + escape_control(address) + " has more than " +
                          std::to_string(sizeof name.sun_path - 1) +
                          " bytes; set supervisor.state_directory to a shorter path, e.g. below /run.");
  }
  std::memcpy(name.sun_path, address.data(), address.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail("create", errno);
  // Whoever holds the state directory's lock is alone here: a socket that lies about is a dead one's.
  struct stat old {};
  if (::lstat(address.c_str(), &old) == 0) {
    if (!S_ISSOCK(old.st_mode)) return fail("replace, since it is no socket,", EEXIST);
    ::unlink(address.c_str());
  }
  const mode_t old_mask = ::umask(0177);
  const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name);
  const int bind_error = errno;
  ::umask(old_mask);
  if (bound != 0) return fail("bind", bind_error);
  const int on = 1;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) return fail("set up", errno);
  // Beyond the system's limit only root may go; without it the default size has to do.
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBufferBytes, sizeof kReceiveBufferBytes) != 0) {
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBufferBytes, sizeof kReceiveBufferBytes);
  }
  return std::unique_ptr<NotifyReceiver>(
      new NotifyReceiver(io, fd.release(), address, std::move(on_message), std::move(on_note)));
}

void NotifyReceiver::resume() {
  paused_ = false;
  if (!waiting_) wait();
}

void NotifyReceiver::wait() {
  waiting_ = true;
  socket_.async_wait(asio::socket_base::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;  // we may be gone
    waiting_ = false;
    if (paused_) return;
    for (int i = 0; i < kMessagesPerTurn && !paused_ && receive_one(); ++i) {
    }
    if (!paused_ && !waiting_) wait();
  });
}

void NotifyReceiver::drain() {
  for (int i = 0; i < kMessagesPerDrain && !paused_ && receive_one(); ++i) {
  }
}

bool NotifyReceiver::receive_one() {
  std::array<char, protocol::kDatagramBytesMax + 1> payload{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(sizeof(int) * kDescriptorsMax)> control{};
  iovec part{payload.data(), payload.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t count = ::recvmsg(socket_.native_handle(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC);
  if (count < 0) return errno == EINTR;
  Notification notification;
  take_ancillary(header, notification);
  const Sender sender = notification.sender;
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    this->count(counts_.truncated, sender, "a message of more than 4096 bytes, or with too many descriptors");
  } else if (sender.pid <= 0) {
    this->count(counts_.unattributed, sender, "a message that the kernel does not vouch for");
  } else {
    deliver(notification, std::string_view(payload.data(), static_cast<std::size_t>(count)));
  }
  for (UniqueFd& left : notification.descriptors) closer_.close(std::move(left));
  return true;
}

void NotifyReceiver::deliver(Notification& notification, std::string_view text) {
  const Sender sender = notification.sender;
  auto message = protocol::decode(text);
  if (!message) return count(counts_.malformed, sender, "a message that is empty or has a NUL byte inside");
  if (text.ends_with('\0')) text.remove_suffix(1);
  if (message->barrier) {
    // Everything before it has been handled: messages are handled as they are read. Its end closes the descriptor.
    if (notification.descriptors.size() == 1 && is_only_line(text, "BARRIER=1")) {
      ++counts_.heard;
    } else {
      count(counts_.malformed, sender, "a BARRIER=1 that is not alone or has not exactly one descriptor");
    }
    return;
  }
  std::size_t strays = notification.descriptors.size();
  if (strays == 1 && has_line(text, "FDSTORE=1")) strays = 0;
  if (strays > 0) {
    for (UniqueFd& stray : notification.descriptors) closer_.close(std::move(stray));
    notification.descriptors.clear();
    count(counts_.stray_descriptors, sender, "descriptors that nobody asked for; the message counts, they are closed",
          strays);
  }
  notification.message = std::move(*message);
  if (on_message_(notification)) {
    ++counts_.heard;
  } else {
    count(counts_.foreign, sender, "a message from a process that is not of the worker");
  }
}

void NotifyReceiver::count(std::uint64_t& counter, const Sender& sender, std::string_view what, std::uint64_t number) {
  counter += number;
  if (!said_.insert(&counter).second) return;
  std::string who = "nobody knows whom";
  if (sender.pid > 0) {
    const auto facts = look_at(sender.pid);
    who = "process " + std::to_string(sender.pid) +
          (facts ? " (" + escape_control(facts->command) + ")" : ", which has ended,") + " of user " +
          std::to_string(sender.uid);
  }
  on_note_("The heartbeat socket got " + std::string(what) + ", from " + who +
           ". More of the kind are only counted until the next launch.");
}

}  // namespace ts::shell
