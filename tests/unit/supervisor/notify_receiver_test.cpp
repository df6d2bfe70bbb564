// The supervisor's end of the heartbeat, on a real socket with senders good and bad (P7).
#include "supervisor/shell/notify_receiver.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

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

// What nobody keeps is closed on another thread.
bool comes_down_to(std::size_t count) {
  for (int i = 0; i < 1000 && open_descriptors() != count; ++i) ::usleep(10'000);
  return open_descriptors() == count;
}

class Receiver : public testing::Test {
 protected:
  void SetUp() override {
    auto bound = NotifyReceiver::bind(
        io_, directory_ / "notify.sock",
        [this](Notification& said) {
          senders_.push_back(said.sender);
          heard_.push_back(said.message);
          if (keep_) {
            for (UniqueFd& fd : said.descriptors) kept_.push_back(std::move(fd));
          }
          if (receiver_->counts().heard + 1 < flood_until_) send("WATCHDOG=1");
          return !refuse_;
        },
        [this](const std::string& note) { notes_.push_back(note); });
    ASSERT_TRUE(bound) << bound.error().message;
    receiver_ = std::move(*bound);
    sender_.emplace(receiver_->address().c_str());
  }

  void send(std::string_view text) { sender_->send_text(text); }

  // With `count` descriptors along, each for /dev/null or for what is given.
  void send_descriptors(const std::string& text, std::size_t count, int given = -1) {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    receiver_->address().copy(address.sun_path, sizeof address.sun_path - 1);
    const UniqueFd passed(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    std::vector<int> fds(count, given < 0 ? passed.get() : given);
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
  std::uint64_t flood_until_ = 0;
  bool refuse_ = false;
  bool keep_ = false;
  std::vector<UniqueFd> kept_;
  std::vector<std::string> notes_;
  std::vector<Sender> senders_;
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
  EXPECT_EQ(senders_[0].pid, ::getpid());  // the kernel says so
  EXPECT_EQ(senders_[0].uid, ::getuid());
  EXPECT_EQ(receiver_->counts().heard, 1U);
  EXPECT_EQ(receiver_->counts().dropped(), 0U);
}

TEST_F(Receiver, WakesTheLoop) {
  send("WATCHDOG=1");
  io_.run_one_for(std::chrono::seconds{10});
  EXPECT_EQ(heard_.size(), 1U);
  send("WATCHDOG=1");
  io_.run_one_for(std::chrono::seconds{10});
  EXPECT_EQ(heard_.size(), 2U);
}

// A worker may say READY before we know which process it is.
TEST_F(Receiver, LosesNothingWhileItIsPaused) {
  send("X_TRAINER_STEP=1");
  receiver_->pause();
  send("X_TRAINER_STEP=2");
  io_.run_for(std::chrono::milliseconds{20});
  receiver_->drain();
  EXPECT_TRUE(heard_.empty());
  receiver_->resume();
  receiver_->resume();
  io_.restart();
  while (heard_.size() < 2 && io_.run_one_for(std::chrono::seconds{10}) > 0) {
  }
  ASSERT_EQ(heard_.size(), 2U);
  EXPECT_EQ(heard_[1].step, 2);
  send("X_TRAINER_STEP=3");
  EXPECT_EQ(io_.run_one_for(std::chrono::seconds{10}), 1U);
  EXPECT_EQ(heard_.size(), 3U);
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
  EXPECT_EQ(receiver_->counts().malformed, 1U);
  EXPECT_GE(receiver_->counts().truncated, 1U);
  send("STATUS=" + std::string(4096 - 7, 'x'));  // exactly as much as fits
  receiver_->drain();
  ASSERT_EQ(heard_.size(), 1U);
  EXPECT_EQ(heard_[0].status->size(), 4089U);
}

TEST_F(Receiver, SaysEachKindOnceForEachAttemptAndByWhom) {
  for (int attempt = 1; attempt <= 2; ++attempt) {
    receiver_->begin_attempt();
    notes_.clear();
    for (int i = 0; i < 3; ++i) {
      send(std::string_view("\0\0", 2));
      send("STATUS=" + std::string(5000, 'x'));
      receiver_->drain();
    }
    ASSERT_EQ(notes_.size(), 2U);
    const std::string who =
        "process " + std::to_string(::getpid()) + " (supervisor_test) of user " + std::to_string(::getuid());
    for (const std::string& note : notes_) EXPECT_NE(note.find(who), std::string::npos) << note;
  }
  EXPECT_EQ(receiver_->counts().malformed, 6U);
  EXPECT_EQ(receiver_->counts().truncated, 6U);
}

TEST_F(Receiver, CountsWhatItsOwnerRefuses) {
  refuse_ = true;
  send("READY=1");
  send("READY=1");
  receiver_->drain();
  EXPECT_EQ(receiver_->counts().foreign, 2U);
  EXPECT_EQ(receiver_->counts().heard, 0U);
  ASSERT_EQ(notes_.size(), 1U);
  EXPECT_NE(notes_[0].find("not of the worker"), std::string::npos);
}

TEST_F(Receiver, HandsOverOneDescriptorThatIsMeantToBeKept) {
  send("READY=1");
  receiver_->drain();
  const std::size_t before = open_descriptors();
  send_descriptors("X_TRAINER_EPISODE=3\nFDSTORE=1\nFDNAME=snapshot", 1);
  receiver_->drain();
  EXPECT_TRUE(comes_down_to(before)) << "the handler did not keep it";
  keep_ = true;
  send_descriptors("FDSTORE=1\nFDNAME=snapshot", 1);
  receiver_->drain();
  ASSERT_EQ(kept_.size(), 1U);
  EXPECT_EQ(open_descriptors(), before + 1);
  EXPECT_NE(::fcntl(kept_[0].get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(receiver_->counts().stray_descriptors, 0U);
  send_descriptors("FDSTORE=1", 2);   // more than one
  send_descriptors("FDSTORE=10", 1);  // something else
  send_descriptors("XFDSTORE=1", 1);
  receiver_->drain();
  EXPECT_EQ(kept_.size(), 1U);
  EXPECT_TRUE(comes_down_to(before + 1));
  EXPECT_EQ(receiver_->counts().stray_descriptors, 4U);
  EXPECT_EQ(receiver_->counts().heard, 6U) << "the messages themselves count";
  EXPECT_EQ(notes_.size(), 1U);
}

// As sd_notify_barrier(3): the sender waits for the other end of a pipe to be closed.
TEST_F(Receiver, EndsABarrierAfterEverythingBeforeIt) {
  for (const auto* text : {"BARRIER=1", "BARRIER=1\n"}) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd reader(ends[0]);
    UniqueFd writer(ends[1]);
    pollfd waiting{reader.get(), 0, 0};
    heard_.clear();
    send("X_TRAINER_STEP=1");
    send_descriptors(text, 1, writer.get());
    writer.reset();
    EXPECT_EQ(::poll(&waiting, 1, 0), 0) << "it ended before it was read";
    receiver_->drain();
    EXPECT_EQ(::poll(&waiting, 1, 10'000), 1);
    EXPECT_EQ(heard_.size(), 1U) << "a barrier is no sign of life";
  }
  EXPECT_EQ(receiver_->counts().malformed, 0U);
  const std::size_t before = open_descriptors();
  send_descriptors("BARRIER=1\nREADY=1", 1);
  send_descriptors("BARRIER=1", 2);
  send("BARRIER=1");
  heard_.clear();
  receiver_->drain();
  EXPECT_TRUE(heard_.empty());
  EXPECT_EQ(receiver_->counts().malformed, 3U);
  EXPECT_TRUE(comes_down_to(before));
}

// P7: the worst flood there is: for each message that is read there is another one at once, so that a receiver that
// reads until nothing is left does not come back. (A real one: tests/integration/processes_test.py.)
TEST_F(Receiver, LeavesTheLoopItsOtherWorkInAFlood) {
  constexpr std::uint64_t kMessages = 100'000;
  constexpr std::uint64_t kTurnMax = 1000;
  flood_until_ = kMessages;
  std::uint64_t other_work = 0;
  std::function<void()> work = [&] {
    ++other_work;
    heard_.clear();
    senders_.clear();
    if (receiver_->counts().heard < kMessages) asio::post(io_, work);
  };
  asio::post(io_, work);
  send("WATCHDOG=1");
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{50};
  while (receiver_->counts().heard < kMessages && std::chrono::steady_clock::now() < until) {
    io_.run_one_for(std::chrono::seconds{1});
  }
  EXPECT_EQ(receiver_->counts().heard, kMessages);
  EXPECT_GE(other_work, kMessages / kTurnMax);
}

TEST_F(Receiver, ClosesDescriptorsThatNobodyAskedFor) {
  send("READY=1");
  receiver_->drain();
  const std::size_t before = open_descriptors();
  for (const std::size_t count : {1, 16, 253}) {
    send_descriptors("WATCHDOG=1", count);
    receiver_->drain();
    EXPECT_TRUE(comes_down_to(before)) << count;
  }
  send_descriptors(std::string(5000, 'x'), 7);  // also of a message that is dropped
  receiver_->drain();
  EXPECT_TRUE(comes_down_to(before));
}

// A socket that lingers keeps whoever closes it waiting until its data are sent or its time is over.
TEST_F(Receiver, P7_DoesNotWaitForADescriptorThatIsSlowToClose) {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  UniqueFd slow(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(slow.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const linger for_long{1, 40};
  ASSERT_EQ(::setsockopt(slow.get(), SOL_SOCKET, SO_LINGER, &for_long, sizeof for_long), 0);
  const std::vector<char> data(std::size_t{64} << 10);
  while (::send(slow.get(), data.data(), data.size(), MSG_DONTWAIT) > 0) {
  }
  send_descriptors("WATCHDOG=1", 1, slow.get());
  slow.reset();
  const auto begun = std::chrono::steady_clock::now();
  receiver_->drain();
  EXPECT_EQ(receiver_->counts().stray_descriptors, 1U);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds{20});
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
  const auto ignore = [](Notification&) { return true; };
  const auto unsaid = [](const std::string&) {};
  ASSERT_TRUE(NotifyReceiver::bind(io_, address, ignore, unsaid));
  write_text(address, "precious");
  ASSERT_FALSE(NotifyReceiver::bind(io_, address, ignore, unsaid));
  EXPECT_EQ(read_text(address), "precious");
  const auto refused = NotifyReceiver::bind(io_, directory_ / std::string(120, 'x'), ignore, unsaid);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("supervisor.state_directory"), std::string::npos);
}

}  // namespace
}  // namespace ts::shell
