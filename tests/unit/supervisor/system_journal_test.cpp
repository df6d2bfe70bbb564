// What the journal of the machine is given. (tests/system/service_test.py asks a real one for it.)
#include "supervisor/shell/system_journal.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

namespace ts::shell {
namespace {

api::Event incident() {
  api::Event event;
  event.id = 12;
  event.type = api::EventType::incident;
  event.level = api::EventLevel::warn;
  event.message = "The worker died.";
  event.run_id = "0123456789abcdef";
  event.attempt = 3;
  event.episode = 251;
  event.details = {{"cause", "crash"}, {"pid", 4711}};
  return event;
}

// A journal that somebody else wrote nothing of, and our output, which leads to it.
class AJournal : public ::testing::Test {
 protected:
  AJournal() {
    std::string name = (std::filesystem::temp_directory_path() / "ts-journal-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    EXPECT_EQ(::pipe(output_.data()), 0);
    struct stat found {};
    ::fstat(output_[1], &found);
    stream_ = std::to_string(found.st_dev) + ":" + std::to_string(found.st_ino);
  }
  ~AJournal() override {
    for (const int fd : output_) ::close(fd);
    std::filesystem::remove_all(folder_);
  }

  std::filesystem::path socket() const { return folder_ / "socket"; }

  UniqueFd begin() {
    std::filesystem::remove(socket());
    UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket().c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }

  static std::string read(const UniqueFd& fd) {
    std::array<char, 65536> buffer;
    const auto got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    return got < 0 ? "" : std::string(buffer.data(), static_cast<std::size_t>(got));
  }

  std::filesystem::path folder_;
  std::array<int, 2> output_{};
  std::string stream_;
};

TEST_F(AJournal, IsGivenAnEventWithItsPriorityAndFields) {
  const UniqueFd reader = begin();
  SystemJournal journal(output_[1], stream_.c_str(), socket());
  EXPECT_TRUE(journal.write(incident()));
  EXPECT_EQ(read(reader),
            "MESSAGE=The worker died.\nPRIORITY=4\nSYSLOG_IDENTIFIER=trainer-supervisor\nTRAINER_EVENT=incident\n"
            "TRAINER_EVENT_ID=12\nTRAINER_RUN_ID=0123456789abcdef\nTRAINER_ATTEMPT=3\nTRAINER_EPISODE=251\n"
            "TRAINER_CAUSE=crash\n");
}

// P7: a sentence must not be able to say more than itself.
TEST(AJournalEntry, P7_KeepsALineBreakInsideItsField) {
  api::Event event = incident();
  event.message = "one\nPRIORITY=0";
  EXPECT_TRUE(to_journal_entry(event).starts_with(
      std::string("MESSAGE\n\x0e\0\0\0\0\0\0\0one\nPRIORITY=0\nPRIORITY=4\n", 8 + 8 + 14 + 1 + 11)));
}

TEST(AJournalEntry, HasACauseOnlyWhereThereIsOne) {
  api::Event event = incident();
  event.details = {};
  EXPECT_EQ(to_journal_entry(event).find("TRAINER_CAUSE"), std::string::npos);
}

TEST_F(AJournal, ThatWasRestartedIsFoundAgain) {
  UniqueFd reader = begin();
  SystemJournal journal(output_[1], stream_.c_str(), socket());
  EXPECT_TRUE(journal.write(incident()));
  reader.reset();
  EXPECT_FALSE(journal.write(incident())) << "nobody is there: the console has to say it";
  reader = begin();
  EXPECT_TRUE(journal.write(incident()));
  EXPECT_NE(read(reader), "");
}

TEST_F(AJournal, ThatDoesNotReadIsNotWaitedFor) {
  const UniqueFd reader = begin();
  SystemJournal journal(output_[1], stream_.c_str(), socket());
  int taken = 0;
  while (taken < 100'000 && journal.write(incident())) ++taken;
  EXPECT_GT(taken, 0);
  EXPECT_LT(taken, 100'000);
}

TEST_F(AJournal, IsLeftAloneByAnOutputThatLeadsElsewhere) {
  const UniqueFd reader = begin();
  EXPECT_FALSE(SystemJournal(output_[1], nullptr, socket()).write(incident()));
  EXPECT_FALSE(SystemJournal(output_[1], "1:1", socket()).write(incident()));
  EXPECT_EQ(read(reader), "");
  EXPECT_EQ(priority_prefix(api::EventLevel::error, output_[1], nullptr), "");
  EXPECT_EQ(priority_prefix(api::EventLevel::error, output_[1], stream_.c_str()), "<3>");
  EXPECT_EQ(priority_prefix(api::EventLevel::info, output_[1], stream_.c_str()), "<6>");
}

}  // namespace
}  // namespace ts::shell
