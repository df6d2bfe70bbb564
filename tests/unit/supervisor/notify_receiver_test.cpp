// The supervisor's end of the heartbeat, on a real socket with senders good and bad (P7).
#include "supervisor/shell/notify_receiver.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>

#include <gtest/gtest.h>

#include "common/base/unique_fd.h"
#include "common/protocol/notify_sender.h"
#include "tests/unit/session/temp_directory.h"

namespace ts::shell {
namespace {

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

class Receiver : public testing::Test {
 protected:
  void SetUp() override {
    auto bound = NotifyReceiver::bind(io_, directory_ / "notify.sock", [this](pid_t sender, const auto& message) {
      senders_.push_back(sender);
      heard_.push_back(message);
    });
    ASSERT_TRUE(bound) << bound.error().message;
    receiver_ = std::move(*bound);
    sender_.emplace(receiver_->address().c_str());
  }

  void send(std::string_view text) { sender_->send_text(text); }

  // With `count` descriptors along.
  void send_descriptors(const std::string& text, std::size_t count) {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    receiver_->address().copy(address.sun_path, sizeof address.sun_path - 1);
    const UniqueFd passed(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    std::vector<int> fds(count, passed.get());
    std::vector<char> control(CMSG_SPACE(sizeof(int) * count));
    iovec part{const_cast<char*>(text.data()), text.size()};
    msghdr header{};
    header.msg_name = &address;
    header.msg_namelen = sizeof address;
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
    std::memcpy(CMSG_DATA(rights), fds.data(), sizeof(int) * count);
    ASSERT_EQ(::sendmsg(fd.get(), &header, 0), static_cast<ssize_t>(text.size())) << std::strerror(errno);
  }

  TempDirectory directory_;
  asio::io_context io_{1};
  std::vector<pid_t> senders_;
  std::vector<protocol::NotifyMessage> heard_;
  std::unique_ptr<NotifyReceiver> receiver_;
  std::optional<protocol::NotifySender> sender_;
};

TEST_F(Receiver, HearsWhatIsSentAndByWhom) {
  send("READY=1\nX_TRAINER_EPISODE=250\n");
  receiver_->drain();
  ASSERT_EQ(heard_.size(), 1U);
  EXPECT_TRUE(heard_[0].ready);
  EXPECT_EQ(heard_[0].episode, 250);
  EXPECT_EQ(senders_[0], ::getpid());  // the kernel says so
  EXPECT_EQ(receiver_->dropped(), 0U);
}

TEST_F(Receiver, WakesTheLoop) {
  send("WATCHDOG=1");
  io_.run_one_for(std::chrono::seconds{10});
  EXPECT_EQ(heard_.size(), 1U);
  send("WATCHDOG=1");
  io_.run_one_for(std::chrono::seconds{10});
  EXPECT_EQ(heard_.size(), 2U);
}

TEST_F(Receiver, DrainsEverythingInTheOrderItCame) {
  for (int i = 0; i < 8; ++i) send("X_TRAINER_STEP=" + std::to_string(i));
  receiver_->drain();
  ASSERT_EQ(heard_.size(), 8U);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(heard_[static_cast<std::size_t>(i)].step, i);
  receiver_->drain();  // nothing is there, and nobody waits
  EXPECT_EQ(heard_.size(), 8U);
}

TEST_F(Receiver, DropsAndCountsWhatIsTooLongOrMalformed) {
  send("STATUS=" + std::string(5000, 'x'));
  send(std::string_view("READY=1\0X=1", 11));
  send(std::string(200'000, 'y'));
  receiver_->drain();
  EXPECT_TRUE(heard_.empty());
  EXPECT_GE(receiver_->dropped(), 2U);
  send("STATUS=" + std::string(4096 - 7, 'x'));  // exactly as much as fits
  receiver_->drain();
  ASSERT_EQ(heard_.size(), 1U);
  EXPECT_EQ(heard_[0].status->size(), 4089U);
}

TEST_F(Receiver, ClosesDescriptorsThatNobodyAskedFor) {
  send("READY=1");
  receiver_->drain();
  const std::size_t before = open_descriptors();
  for (const std::size_t count : {1, 16, 253}) {
    send_descriptors("WATCHDOG=1", count);
    receiver_->drain();
    EXPECT_EQ(open_descriptors(), before) << count;
  }
  send_descriptors(std::string(5000, 'x'), 7);  // also of a message that is dropped
  receiver_->drain();
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(Receiver, IsForItsOwnUserOnlyAndLeavesNothingBehind) {
  const std::string address = receiver_->address();
  EXPECT_TRUE(address.starts_with('/'));
  struct stat status {};
  ASSERT_EQ(::stat(address.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  receiver_.reset();
  EXPECT_FALSE(std::filesystem::exists(address));
  io_.run();  // nothing is left to wait for
}

TEST_F(Receiver, ReplacesADeadOnesSocketButNothingElse) {
  const std::string address = receiver_->address();
  const auto ignore = [](pid_t, const protocol::NotifyMessage&) {};
  ASSERT_TRUE(NotifyReceiver::bind(io_, address, ignore));
  write_text(address, "precious");
  ASSERT_FALSE(NotifyReceiver::bind(io_, address, ignore));
  EXPECT_EQ(read_text(address), "precious");
  const auto refused = NotifyReceiver::bind(io_, directory_ / std::string(120, 'x'), ignore);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("supervisor.state_directory"), std::string::npos);
}

}  // namespace
}  // namespace ts::shell
