// The worker's log: bounded between launches, read for the last words of the dead.
#include "supervisor/shell/worker_log.h"

#include <sys/stat.h>

#include <fstream>

#include <gtest/gtest.h>

#include "tests/unit/session/temp_directory.h"

namespace ts::shell {
namespace {

class WorkerLog : public testing::Test {
 protected:
  std::string words(const std::string& text, std::uint64_t offset = 0) {
    write_text(log_, text);
    return last_words(log_, offset);
  }
  bool exists(const std::string& suffix) const { return std::filesystem::exists(log_.string() + suffix); }

  TempDirectory directory_;
  std::filesystem::path log_ = directory_ / "worker.log";
};

TEST_F(WorkerLog, IsRotatedWhenItHasGrownAndSoManyAreKept) {
  for (int i = 1; i <= 6; ++i) {
    ASSERT_TRUE(prepare_worker_log(log_, 10, 3));
    EXPECT_FALSE(std::filesystem::exists(log_));
    write_text(log_, "output of launch " + std::to_string(i));
  }
  EXPECT_EQ(read_text(log_), "output of launch 6");
  EXPECT_EQ(read_text(log_.string() + ".1"), "output of launch 5");
  EXPECT_EQ(read_text(log_.string() + ".2"), "output of launch 4");
  EXPECT_FALSE(exists(".3"));
}

TEST_F(WorkerLog, GivesOldOutputBackUnderTheWorker) {
  constexpr std::uint64_t kMiB = 1 << 20;
  write_text(log_, std::string(4 * kMiB, 'x') + "\nthe last line\n");
  const auto size = log_size(log_);
  const auto held = [&] {
    struct stat status {};
    EXPECT_EQ(::stat(log_.c_str(), &status), 0);
    return static_cast<std::uint64_t>(status.st_blocks) * 512;
  };
  const auto before = held();
  ASSERT_TRUE(forget_old_output(log_, 8 * kMiB));
  EXPECT_EQ(held(), before) << "within bounds";
  std::ofstream worker(log_, std::ios::app);
  const auto done = forget_old_output(log_, kMiB);
  if (!done) GTEST_SKIP() << done.error().message;
  EXPECT_LE(held(), kMiB + kMiB / 8);
  EXPECT_EQ(log_size(log_), size) << "places in it stay what they were";
  worker << "and another" << std::endl;
  EXPECT_EQ(last_words(log_, size), "and another");
  EXPECT_EQ(read_text(log_).substr(4 * kMiB), "\nthe last line\nand another\n");
  EXPECT_TRUE(forget_old_output(directory_ / "none", 1)) << "nothing printed yet";
}

TEST_F(WorkerLog, IsLeftAloneWhileItIsSmall) {
  write_text(log_, "short");
  ASSERT_TRUE(prepare_worker_log(log_, 10, 3));
  EXPECT_EQ(read_text(log_), "short");
  EXPECT_FALSE(exists(".1"));
}

TEST_F(WorkerLog, GetsItsDirectoryMade) {
  ASSERT_TRUE(prepare_worker_log(directory_ / "a/b/worker.log", 10, 3));
  EXPECT_TRUE(std::filesystem::is_directory(directory_ / "a/b"));
  write_text(directory_ / "file", "");
  const auto refused = prepare_worker_log(directory_ / "file/worker.log", 10, 3);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("logging.directory"), std::string::npos);
}

TEST_F(WorkerLog, EndsWithTheLastWords) {
  EXPECT_EQ(words("one\ntwo\nlast line\n"), "last line");
  EXPECT_EQ(words("no newline"), "no newline");
  EXPECT_EQ(words("last\n\n  \r\n\n"), "last");
  EXPECT_EQ(words(""), "");
  EXPECT_EQ(words("\n\n"), "");
  EXPECT_EQ(last_words(directory_ / "missing", 0), "");
}

TEST_F(WorkerLog, OfAnEarlierLaunchHasNoSayInThisOne) {
  EXPECT_EQ(words("old words\n", 10), "");
  EXPECT_EQ(words("old words\nnew\n", 10), "new");
  EXPECT_EQ(words("old", 100), "");
}

TEST_F(WorkerLog, CannotDriveATerminal) {
  EXPECT_EQ(words("\x1b[31mred\x07\n"), "\\x1b[31mred\\x07");
  EXPECT_EQ(words(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(words("\xff\xfe"), "\\xff\\xfe");
}

// Found here: a cut within a letter made the state file unreadable, and with it a living worker forgotten.
TEST_F(WorkerLog, IsCutToASentenceBetweenLetters) {
  for (std::size_t before = 0; before < 8; ++before) {
    for (const std::string letter : {"x", "\u00e9", "\u20ac", "\U0001F600"}) {
      std::string line(before, '.');
      while (line.size() < 5000) line += letter;
      const std::string cut = words("first\n" + line + "\n");
      EXPECT_LE(cut.size(), 610U);
      EXPECT_TRUE(cut.ends_with("…"));
      std::string body = cut.substr(0, cut.size() - std::string("…").size());
      while (body.size() >= letter.size() && body.ends_with(letter)) body.resize(body.size() - letter.size());
      EXPECT_EQ(body.find_first_of("\xc3\xe2\xf0"), std::string::npos) << "half a letter is left";
    }
  }
}

}  // namespace
}  // namespace ts::shell
