// The supervisor's end of the heartbeat, for tests: keeps what was announced, as the supervisor does.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/base/unique_fd.h"
#include "common/protocol/notify_message.h"

namespace ts::session {

struct Heard {
  std::string text;
  protocol::NotifyMessage message;
  UniqueFd memory;
};

class Listener {
 public:
  explicit Listener(const std::filesystem::path& path, int buffer_bytes = 0)
      : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (buffer_bytes > 0) ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes);
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }

  int fd() const { return fd_.get(); }

  // The next message, if one has come.
  std::optional<Heard> next() {
    std::array<char, 8192> buffer{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(4 * sizeof(int))> ancillary{};
    iovec part{buffer.data(), buffer.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = ancillary.data();
    header.msg_controllen = ancillary.size();
    const ssize_t count = ::recvmsg(fd_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (count <= 0) return std::nullopt;
    Heard heard;
    heard.text.assign(buffer.data(), static_cast<std::size_t>(count));
    const cmsghdr* rights = CMSG_FIRSTHDR(&header);
    if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
      EXPECT_EQ(rights->cmsg_len, CMSG_LEN(sizeof(int))) << "one descriptor";
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
      heard.memory.reset(fd);
    }
    const auto message = protocol::decode(heard.text);
    EXPECT_TRUE(message.has_value()) << heard.text;
    if (message) heard.message = *message;
    return heard;
  }

  // All that have come since the last call. The kernel keeps no more than a handful.
  std::vector<Heard> take() {
    std::vector<Heard> out;
    while (auto heard = next()) out.push_back(std::move(*heard));
    return out;
  }

 private:
  UniqueFd fd_;
};

inline std::vector<std::byte> content_of(int fd) {
  struct stat status {};
  EXPECT_EQ(::fstat(fd, &status), 0);
  std::vector<std::byte> out(static_cast<std::size_t>(status.st_size));
  EXPECT_EQ(::pread(fd, out.data(), out.size(), 0), status.st_size);
  return out;
}

}  // namespace ts::session
