// The journal: its numbers go on whatever happened, and no disk stops who writes it (P7, P8, P11).
#include "supervisor/shell/event_journal.h"

#include <sys/stat.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "tests/unit/session/temp_directory.h"

namespace ts::shell {
namespace {

using api::EventLine;

api::Event event(std::int64_t id, const std::string& message, api::EventType type = api::EventType::state) {
  api::Event out;
  out.id = id;
  out.type = type;
  out.message = message;
  return out;
}

// The last word of a supervisor that leaves in order.
api::Event left(std::int64_t id) {
  api::Event out = event(id, "left", api::EventType::supervisor);
  out.details = {{"action", "left"}};
  return out;
}

std::shared_ptr<const EventLine> line(const api::Event& of) {
  return std::make_shared<const EventLine>(api::to_line(of));
}

// The real one, but for writes, which hang, fail or come out short as a test says.
class Disk final : public checkpoint::FileSystem {
 public:
  void hang(bool hangs) {
    const std::lock_guard lock(mutex_);
    hangs_ = hangs;
    changed_.notify_all();
  }
  void fail(int error) {
    const std::lock_guard lock(mutex_);
    error_ = error;
  }
  void write_half() {
    const std::lock_guard lock(mutex_);
    half_ = true;
  }
  // Waits until so many writes have been asked for.
  void await_writes(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return writes_ >= count; });
  }

  std::int64_t write(int fd, const std::byte* data, std::size_t bytes) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !hangs_; });
    ++writes_;
    changed_.notify_all();
    if (half_) {
      half_ = false;
      error_ = ENOSPC;
      return real_.write(fd, data, bytes / 2);
    }
    return error_ != 0 ? -error_ : real_.write(fd, data, bytes);
  }
  int open(int directory, const std::string& name, int flags, mode_t mode) override {
    return real_.open(directory, name, flags, mode);
  }
  int close(int fd) override { return real_.close(fd); }
  std::int64_t read(int fd, std::byte* data, std::size_t bytes) override { return real_.read(fd, data, bytes); }
  int fsync(int fd) override { return real_.fsync(fd); }
  int reserve(int fd, std::uint64_t bytes) override { return real_.reserve(fd, bytes); }
  std::int64_t size(int fd) override { return real_.size(fd); }
  std::int64_t free_bytes(int directory) override { return real_.free_bytes(directory); }
  int rename_new(int from, const std::string& name, int to, const std::string& new_name) override {
    return real_.rename_new(from, name, to, new_name);
  }
  int rename_over(int directory, const std::string& from, const std::string& to) override {
    return real_.rename_over(directory, from, to);
  }
  int link(int from, const std::string& name, int to, const std::string& new_name) override {
    return real_.link(from, name, to, new_name);
  }
  int unlink(int directory, const std::string& name) override { return real_.unlink(directory, name); }
  int make_directory(int directory, const std::string& name, mode_t mode) override {
    return real_.make_directory(directory, name, mode);
  }

 private:
  checkpoint::FileSystem& real_ = checkpoint::posix_file_system();
  std::mutex mutex_;
  std::condition_variable changed_;
  bool hangs_ = false;
  bool half_ = false;
  int error_ = 0;
  int writes_ = 0;
};

class Journal : public testing::Test {
 protected:
  checkpoint::Directory directory(checkpoint::FileSystem& fs = checkpoint::posix_file_system()) const {
    return *checkpoint::Directory::open(folder_.path(), checkpoint::Directory::Create::no, fs);
  }
  std::unique_ptr<EventJournal> open(checkpoint::FileSystem& fs = checkpoint::posix_file_system(),
                                     JournalLimits limits = {}) {
    return std::make_unique<EventJournal>(
        directory(fs),
        [this](const JournalNews& news) {
          const std::lock_guard lock(mutex_);
          news_.push_back(news);
          heard_.notify_all();
        },
        10, limits);
  }
  bool hears(std::size_t count) {
    std::unique_lock lock(mutex_);
    return heard_.wait_for(lock, std::chrono::seconds{20}, [&] { return news_.size() >= count; });
  }
  std::string messages(const api::EventQuery& query = {std::nullopt, 1000}) const {
    std::string out;
    for (const auto& found : api::read_events(directory(), query).events) out += std::to_string(found->id) + " ";
    return out;
  }
  std::string text() const { return read_text(folder_ / "events.jsonl"); }

  TempDirectory folder_;
  std::mutex mutex_;
  std::condition_variable heard_;
  std::vector<JournalNews> news_;
};

TEST_F(Journal, NumbersGoOnAfterASupervisorThatLeftInOrder) {
  {
    const auto journal = open();
    EXPECT_EQ(journal->first_id(), 1);
    journal->append(line(event(1, "one")));
    journal->append(line(left(2)));
  }
  const auto next = open();
  EXPECT_EQ(next->first_id(), 3);
  ASSERT_EQ(next->found().events.size(), 2U);
  EXPECT_EQ(next->found().events.back()->id, 2);
}

TEST_F(Journal, NoNumberIsGivenTwiceAfterOneThatWasKilled) {
  open()->append(line(event(1, "one")));
  EXPECT_GT(open()->first_id(), 1000) << "as many as may have been told and never written";
}

TEST_F(Journal, P7_HalfALineIsPassedOverAndDoesNotTakeTheNextWithIt) {
  const std::string whole = api::to_line(event(1, "one")).json + "\n";
  write_text(folder_ / "events.jsonl", whole + R"({"id":2,"time":"20)");
  {
    const auto journal = open();
    EXPECT_EQ(journal->found().newest, 1);
    journal->append(line(event(5, "five")));
  }
  EXPECT_EQ(messages(), "1 5 ");
}

TEST_F(Journal, P7_OtherPeoplesLinesAreSkipped) {
  const auto good = [](std::int64_t id) { return api::to_line(event(id, "good")).json + "\n"; };
  write_text(folder_ / "events.jsonl", "\n\nhello\n" + good(1) + std::string("\0\xff\n", 3) + "{\"id\":99}\n" +
                                           "{\"id\":999999999999999999999}\n" + good(2) + std::string(100'000, '[') +
                                           "\n" + good(2) + good(3));
  EXPECT_EQ(messages(), "1 2 3 ");
  EXPECT_EQ(messages({1, 1}), "2 ");
  EXPECT_GT(open()->first_id(), 3);
}

TEST_F(Journal, P7_WhatIsNoFileIsNeitherReadNorWaitedFor) {
  ASSERT_EQ(::mkfifo((folder_ / "events.jsonl").c_str(), 0600), 0);
  const auto journal = open();
  EXPECT_EQ(journal->first_id(), 1);
  journal->append(line(event(1, "one")));
  ASSERT_TRUE(hears(1));
  EXPECT_EQ(news_.front().lost, 0U);
  EXPECT_NE(news_.front().why.find("events.jsonl"), std::string::npos) << news_.front().why;
}

TEST_F(Journal, IsBoundedAndWhatIsLeftHasNoGap) {
  {
    JournalLimits limits;
    limits.file_bytes = 1000;
    limits.waiting = 100'000;
    const auto journal = open(checkpoint::posix_file_system(), limits);
    for (int id = 1; id <= 500; ++id) journal->append(line(event(id, std::string(200, 'x'))));
  }
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    ++files;
    EXPECT_LE(entry.file_size(), 1000U) << entry.path();
  }
  EXPECT_EQ(files, 8U);
  const auto page = api::read_events(directory(), {std::nullopt, 1000});
  ASSERT_FALSE(page.events.empty());
  EXPECT_EQ(page.newest, 500);
  EXPECT_EQ(page.events.back()->id - page.events.front()->id + 1, static_cast<std::int64_t>(page.events.size()));
  const std::int64_t middle = page.events[page.events.size() / 2]->id;
  const auto rest = api::read_events(directory(), {middle, 3});
  ASSERT_EQ(rest.events.size(), 3U);
  EXPECT_EQ(rest.events.front()->id, middle + 1);
  EXPECT_TRUE(rest.more);
}

TEST_F(Journal, P8_AFullDiskIsToldOnceAndWhatItCostWhenItIsOver) {
  Disk disk;
  JournalLimits limits;
  limits.between_news = std::chrono::milliseconds{0};
  {
    const auto journal = open(disk, limits);
    journal->append(line(event(1, "one")));
    disk.await_writes(1);
    disk.fail(ENOSPC);
    for (int id = 2; id <= 4; ++id) journal->append(line(event(id, "lost")));
    disk.await_writes(4);
    ASSERT_TRUE(hears(1));
    EXPECT_EQ(news_[0].lost, 0U);
    EXPECT_NE(news_[0].why.find("No space left"), std::string::npos) << news_[0].why;
    disk.fail(0);
    journal->append(line(event(5, "five")));
    ASSERT_TRUE(hears(2));
    EXPECT_EQ(news_[1].lost, 3U);
  }
  EXPECT_EQ(news_.size(), 2U);
  EXPECT_EQ(messages(), "1 5 ");
}

TEST_F(Journal, P8_WhatIsToldOfItsTroublesDoesNotFeedItself) {
  Disk disk;
  const auto journal = open(disk);
  for (int id = 1; id <= 20; ++id) {
    disk.fail(id % 2 == 0 ? ENOSPC : 0);
    journal->append(line(event(id, "x")));
    disk.await_writes(id);
  }
  EXPECT_TRUE(hears(1));
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(news_.size(), 1U);
}

TEST_F(Journal, P8_HalfAWriteDoesNotSpoilTheNextLine) {
  {
    Disk disk;
    const auto journal = open(disk);
    disk.write_half();
    journal->append(line(event(1, "half")));
    disk.await_writes(2);  // the rest of it was refused
    disk.fail(0);
    journal->append(line(event(2, "two")));
    journal->append(line(event(3, "three")));
  }
  EXPECT_EQ(messages(), "2 3 ") << text();
}

TEST_F(Journal, P8_AHungDiskHoldsNobodyUpAndCostsTheOldestThatWait) {
  static Disk disk;  // outlives a writer that would be left behind
  disk.hang(true);
  JournalLimits limits;
  limits.waiting = 10;
  const auto journal = open(disk, limits);
  for (int id = 1; id <= 1000; ++id) journal->append(line(event(id, "x")));
  EXPECT_TRUE(journal->ask({}, [](const api::EventPage&) {}));
  disk.hang(false);
  ASSERT_TRUE(hears(1));
  EXPECT_GE(news_.front().lost, 989U);
  disk.await_writes(10);
  while (!text().ends_with('\n') || text().find("\"id\":1000,") == std::string::npos) std::this_thread::yield();
  const std::string written = messages();
  EXPECT_TRUE(written.ends_with("991 992 993 994 995 996 997 998 999 1000 ")) << written;
}

TEST_F(Journal, AnswersFromItsOwnThreadAndRefusesACrowd) {
  static Disk disk;
  disk.hang(true);
  const auto journal = open(disk);
  journal->append(line(event(1, "one")));
  std::size_t taken = 0;
  std::mutex mutex;
  std::vector<std::size_t> sizes;
  const auto note = [&](const api::EventPage& page) {
    const std::lock_guard lock(mutex);
    sizes.push_back(page.events.size());
  };
  while (taken < 100 && journal->ask({}, note)) ++taken;
  EXPECT_EQ(taken, 16U);
  disk.hang(false);
  for (bool all = false; !all;) {
    const std::lock_guard lock(mutex);
    all = sizes.size() == taken;
  }
  EXPECT_EQ(sizes, std::vector<std::size_t>(taken, 1));
}

}  // namespace
}  // namespace ts::shell
