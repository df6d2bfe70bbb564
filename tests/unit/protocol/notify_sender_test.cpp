#include "common/protocol/notify_sender.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include <gtest/gtest.h>

namespace ts::protocol {
namespace {

using namespace std::string_literals;

class Receiver {
 public:
  explicit Receiver(const std::string& address, int buffer_bytes = 0)
      : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, address.data(), address.size());
    if (address[0] == '@') name.sun_path[0] = '\0';
    if (buffer_bytes > 0) ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes);
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&name), length), 0) << std::strerror(errno);
  }

  // The next datagram and the inode of the file whose descriptor came along (0: none).
  std::pair<std::string, ino_t> next_with_file() {
    std::array<char, 8192> buffer{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> ancillary{};
    iovec part{buffer.data(), buffer.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = ancillary.data();
    header.msg_controllen = ancillary.size();
    const ssize_t count = ::recvmsg(fd_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (count < 0) return {"(none)", 0};
    std::string text(buffer.data(), static_cast<std::size_t>(count));
    const cmsghdr* rights = CMSG_FIRSTHDR(&header);
    if (rights == nullptr || rights->cmsg_type != SCM_RIGHTS) return {std::move(text), 0};
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
    const UniqueFd received(fd);
    struct stat status {};
    EXPECT_EQ(::fstat(fd, &status), 0);
    return {std::move(text), status.st_ino};
  }

  // The next datagram, or "(none)".
  std::string next() {
    std::array<char, 8192> buffer{};
    pollfd wait{fd_.get(), POLLIN, 0};
    if (::poll(&wait, 1, 100) != 1) return "(none)";
    const ssize_t count = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    return count < 0 ? "(none)" : std::string(buffer.data(), static_cast<std::size_t>(count));
  }

 private:
  UniqueFd fd_;
};

class ASender : public testing::Test {
 protected:
  ASender() {
    std::string pattern = (std::filesystem::temp_directory_path() / "notify-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) != nullptr) directory_ = pattern;
  }
  ~ASender() override {
    std::error_code ignored;
    if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
  }
  std::string path() const { return (directory_ / "notify").string(); }

  std::filesystem::path directory_;
};

UniqueFd some_file(ino_t& inode) {
  UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
  struct stat status {};
  EXPECT_EQ(::fstat(fd.get(), &status), 0);
  inode = status.st_ino;
  return fd;
}

NotifyMessage beat() {
  NotifyMessage message;
  message.watchdog = true;
  return message;
}

TEST_F(ASender, WithoutAUsableAddressSendsNowhere) {
  const std::string too_long = "/" + std::string(200, 'x');
  for (const char* address :
       {static_cast<const char*>(nullptr), "", "/", "@", "relative", "vsock:2:1", too_long.c_str()}) {
    NotifySender sender(address);
    EXPECT_FALSE(sender.connected()) << (address == nullptr ? "(null)" : address);
    sender.send(beat());
    sender.send_text("WATCHDOG=1");
  }
  NotifySender none;
  none.send(beat());
  EXPECT_FALSE(none.connected());
}

TEST_F(ASender, SendsOneDatagramPerMessageToAPath) {
  Receiver receiver(path());
  NotifySender sender(path().c_str());
  ASSERT_TRUE(sender.connected());
  sender.send(beat());
  sender.send_text("READY=1\nSTATUS=x");
  EXPECT_EQ(receiver.next(), "WATCHDOG=1\n");
  EXPECT_EQ(receiver.next(), "READY=1\nSTATUS=x");
  EXPECT_EQ(receiver.next(), "(none)");
}

TEST_F(ASender, SendsToAnAbstractAddress) {
  const std::string address = "@notify-test-" + std::to_string(::getpid());
  Receiver receiver(address);
  NotifySender sender(address.c_str());
  sender.send(beat());
  EXPECT_EQ(receiver.next(), "WATCHDOG=1\n");
}

TEST_F(ASender, P6_ReachesTheNextReceiverOnTheSamePath) {
  NotifySender sender(path().c_str());
  EXPECT_TRUE(sender.send(beat())) << "nobody is there, so trying again at once is no use";
  for (int generation = 0; generation < 3; ++generation) {
    {
      Receiver receiver(path());
      sender.send(beat());
      EXPECT_EQ(receiver.next(), "WATCHDOG=1\n") << generation;
    }
    sender.send(beat());  // died, its socket file still there
    std::filesystem::remove(path());
    sender.send(beat());  // gone altogether
  }
}

// What a supervisor that was killed leaves is its socket file; the next one removes it and binds anew, maybe before the
// worker has said a word.
TEST_F(ASender, P6_LosesNothingWhenTheReceiverIsAnotherOneThanBefore) {
  for (const std::string& address : {path(), "@notify-test-next-" + std::to_string(::getpid())}) {
    ino_t inode = 0;
    const UniqueFd file = some_file(inode);
    NotifySender sender(address.c_str());
    for (int generation = 0; generation < 3; ++generation) {
      std::filesystem::remove(path());
      Receiver receiver(address);
      EXPECT_TRUE(sender.send(beat()));
      EXPECT_EQ(receiver.next(), "WATCHDOG=1\n") << address << " " << generation;
      EXPECT_EQ(receiver.next(), "(none)") << "said once";
    }
    std::filesystem::remove(path());
    Receiver receiver(address);
    EXPECT_EQ(sender.send_with(beat(), file.get()), Delivery::sent);
    EXPECT_EQ(receiver.next_with_file(), std::pair("WATCHDOG=1\n"s, inode));
  }
}

TEST_F(ASender, P6_IsNotHeldUpByTheFullQueueOfAReceiverThatIsGone) {
  NotifySender sender(path().c_str());
  {
    const Receiver receiver(path(), 2048);
    for (int i = 0; i < 20'000 && sender.send(beat()); ++i) {
    }
    EXPECT_FALSE(sender.send(beat()));
  }
  std::filesystem::remove(path());
  Receiver receiver(path());
  EXPECT_TRUE(sender.send(beat()));
  EXPECT_EQ(receiver.next(), "WATCHDOG=1\n");
}

TEST_F(ASender, NeverWaitsForAReceiverThatDoesNotRead) {
  Receiver receiver(path(), 2048);
  NotifySender sender(path().c_str());
  const auto start = std::chrono::steady_clock::now();
  int dropped = 0;
  for (int i = 0; i < 20'000; ++i) dropped += sender.send(beat()) ? 0 : 1;
  EXPECT_GT(dropped, 0) << "a full queue is told";
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  EXPECT_EQ(receiver.next(), "WATCHDOG=1\n") << "what fitted is there";
  EXPECT_TRUE(sender.send(beat())) << "there is room again";
}

TEST_F(ASender, SendsADescriptorAlong) {
  Receiver receiver(path());
  NotifySender sender(path().c_str());
  ino_t inode = 0;
  const UniqueFd file = some_file(inode);
  EXPECT_EQ(sender.send_with(beat(), file.get()), Delivery::sent);
  EXPECT_TRUE(sender.send(beat()));
  EXPECT_EQ(receiver.next_with_file(), std::pair("WATCHDOG=1\n"s, inode));
  EXPECT_EQ(receiver.next_with_file(), std::pair("WATCHDOG=1\n"s, ino_t{0})) << "only along with the one";
}

TEST_F(ASender, TellsWhetherADescriptorWasSent) {
  ino_t inode = 0;
  const UniqueFd file = some_file(inode);
  EXPECT_EQ(NotifySender().send_with(beat(), file.get()), Delivery::nowhere);
  NotifySender sender(path().c_str());
  EXPECT_EQ(sender.send_with(beat(), file.get()), Delivery::nowhere) << "nobody is there";
  Receiver receiver(path(), 2048);
  NotifyMessage too_long = beat();
  too_long.status = std::string(kDatagramBytesMax, 'x');
  EXPECT_EQ(sender.send_with(too_long, file.get()), Delivery::nowhere) << "nobody would take it";
  Delivery last = Delivery::sent;
  for (int i = 0; i < 20'000 && last == Delivery::sent; ++i) last = sender.send_with(beat(), file.get());
  EXPECT_EQ(last, Delivery::queue_full);
  EXPECT_EQ(receiver.next_with_file(), std::pair("WATCHDOG=1\n"s, inode));
  EXPECT_EQ(sender.send_with(beat(), file.get()), Delivery::sent) << "there is room again";
}

TEST_F(ASender, LeavesItsDescriptorToNoChild) {
  NotifySender sender(path().c_str());
  NotifySender moved = std::move(sender);
  EXPECT_FALSE(sender.connected());  // NOLINT(bugprone-use-after-move)
  ASSERT_TRUE(moved.connected());
  int found = 0;
  for (int fd = 3; fd < 64; ++fd) {
    int type = 0;
    socklen_t size = sizeof type;
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_DGRAM) continue;
    ++found;
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << fd;
  }
  EXPECT_GE(found, 1);
}

}  // namespace
}  // namespace ts::protocol
