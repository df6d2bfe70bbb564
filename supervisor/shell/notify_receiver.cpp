#include "supervisor/shell/notify_receiver.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "common/base/text.h"
#include "common/base/unique_fd.h"

namespace ts::shell {
namespace {

constexpr int kReceiveBufferBytes = 8 << 20;  // as PID 1 sets it, so that a sender is not kept waiting
constexpr int kMessagesPerDrain = 4096;       // a flood must not keep the loop from its other work
constexpr std::size_t kDescriptorsMax = 253;  // the kernel's own limit for one message (SCM_MAX_FD)

// Closes every descriptor that came along, and returns the sender's pid, 0 when the kernel did not vouch for one.
pid_t take_ancillary(msghdr& header) {
  pid_t sender = 0;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_CREDENTIALS && part->cmsg_len == CMSG_LEN(sizeof(ucred))) {
      ucred credentials{};
      std::memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
      sender = credentials.pid;
    } else if (part->cmsg_type == SCM_RIGHTS) {
      const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
        UniqueFd closed(fd);
      }
    }
  }
  return sender;
}

}  // namespace

NotifyReceiver::NotifyReceiver(asio::io_context& io, int fd, std::string address, OnMessage on_message)
    : socket_(io, asio::local::datagram_protocol(), fd),
      address_(std::move(address)),
      on_message_(std::move(on_message)) {
  wait();
}

NotifyReceiver::~NotifyReceiver() {
  ::unlink(address_.c_str());
}

Result<std::unique_ptr<NotifyReceiver>> NotifyReceiver::bind(asio::io_context& io, const std::filesystem::path& path,
                                                             OnMessage on_message) {
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
  return std::unique_ptr<NotifyReceiver>(new NotifyReceiver(io, fd.release(), address, std::move(on_message)));
}

void NotifyReceiver::wait() {
  socket_.async_wait(asio::socket_base::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;
    drain();
    wait();
  });
}

void NotifyReceiver::drain() {
  for (int i = 0; i < kMessagesPerDrain && receive_one(); ++i) {
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
  const pid_t sender = take_ancillary(header);
  const bool truncated = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  if (truncated || sender <= 0) {
    ++dropped_;
    return true;
  }
  const auto message = protocol::decode(std::string_view(payload.data(), static_cast<std::size_t>(count)));
  if (message) {
    on_message_(sender, *message);
  } else {
    ++dropped_;
  }
  return true;
}

}  // namespace ts::shell
