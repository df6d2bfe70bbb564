// What the worker printed, as its readers find it: every byte once, whatever the file becomes meanwhile, and nothing in
// it that could drive a terminal (P7).
#include "supervisor/api/worker_output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "common/base/json.h"
#include "common/base/unique_fd.h"
#include "tests/unit/session/temp_directory.h"

namespace ts::api {
namespace {

class WorkerOutput : public testing::Test {
 protected:
  void append(const std::string& text) const { std::ofstream(log_, std::ios::binary | std::ios::app) << text; }
  void rotate() const {
    for (int number = 8; number > 0; --number) {
      if (std::filesystem::exists(output_file(log_, number - 1))) {
        std::filesystem::rename(output_file(log_, number - 1), output_file(log_, number));
      }
    }
  }
  std::vector<std::string> newest(std::size_t limit) const {
    const auto page = newest_output(log_, limit);
    EXPECT_TRUE(page) << page.error().message;
    return texts(*page);
  }
  static std::vector<std::string> texts(const OutputPage& page) {
    std::vector<std::string> out;
    for (const OutputLine& line : page.lines) out.push_back(line.text + (line.ended ? "" : "…"));
    return out;
  }
  // All that follows, as one text.
  std::string follow(OutputPlace& place) const {
    std::string out;
    while (true) {
      const OutputPlace before = place;
      const auto page = output_after(log_, place);
      EXPECT_TRUE(page) << page.error().message;
      for (const OutputLine& line : page->lines) out += line.text + (line.ended ? "\n" : "");
      place = page->place;
      if (page->lines.empty() && place == before) return out;
    }
  }

  TempDirectory directory_;
  std::filesystem::path log_ = directory_ / "worker.log";
};

using Lines = std::vector<std::string>;

TEST_F(WorkerOutput, TheNewestLinesAreTheLastOnes) {
  append("one\ntwo\nthree\n");
  EXPECT_EQ(newest(2), (Lines{"two", "three"}));
  EXPECT_EQ(newest(9), (Lines{"one", "two", "three"}));
  EXPECT_TRUE(newest_output(log_, 2)->more);
  EXPECT_FALSE(newest_output(log_, 3)->more);
}

TEST_F(WorkerOutput, GoesBackIntoOlderFiles) {
  append("one\ntwo\n");
  rotate();
  append("three\n");
  rotate();
  append("four\n");
  EXPECT_EQ(newest(3), (Lines{"two", "three", "four"}));
  EXPECT_FALSE(newest_output(log_, 4)->more);
}

TEST_F(WorkerOutput, NoLogAtAllIsEmpty) {
  EXPECT_TRUE(newest(5).empty());
  OutputPlace place = newest_output(log_, 1)->place;
  EXPECT_EQ(follow(place), "");
  append("begun\n");
  EXPECT_EQ(follow(place), "begun\n");
}

TEST_F(WorkerOutput, AProgressBarIsLinesToo) {
  append("10%\r20%\r30%\r\ndone\n");
  EXPECT_EQ(newest(9), (Lines{"10%", "20%", "30%", "done"}));
}

TEST_F(WorkerOutput, P7_NothingInItDrivesATerminal) {
  append("\x1b[2J\x07 tab\there \xff \xc2\x9b ä\n");
  EXPECT_EQ(newest(1), (Lines{"\\x1b[2J\\x07 tab\there \\xff \\xc2\\x9b ä"}));
}

TEST_F(WorkerOutput, ALineIsFollowedInThePiecesInWhichItComes) {
  append("whole\nhal");
  OutputPlace place = newest_output(log_, 1)->place;
  EXPECT_EQ(newest(1), (Lines{"hal…"}));
  append("f a line \xc3");
  EXPECT_EQ(follow(place), "f a line ");
  append("\xa4\r");
  EXPECT_EQ(follow(place), "ä");
  append("\nnext\n");
  EXPECT_EQ(follow(place), "\nnext\n") << "one end of a line, not two";
}

TEST_F(WorkerOutput, IsFollowedOverRotationsByteByByte) {
  append("a\nb");
  OutputPlace place{};
  EXPECT_EQ(follow(place), "a\nb");
  append("c\n");
  rotate();
  append("d");
  rotate();
  append("e\n");
  EXPECT_EQ(follow(place), "c\nd\ne\n") << "a line that its file breaks off in ends there";
  rotate();
  EXPECT_EQ(follow(place), "");
  append("f\n");
  EXPECT_EQ(follow(place), "f\n");
}

TEST_F(WorkerOutput, APlaceOutlivesItsText) {
  append("a\nb\n");
  OutputPlace place{};
  follow(place);
  auto again = parse_output_place(to_text(place));
  ASSERT_TRUE(again);
  append("c\n");
  EXPECT_EQ(follow(*again), "c\n");
  for (const char* wrong :
       {"", "1", "1.2", "1.2.3.4", "1.2.", "-1.2.3", "1.2.x", " 1.2.3", "1.2.99999999999999999999"}) {
    EXPECT_FALSE(parse_output_place(wrong)) << wrong;
  }
}

TEST_F(WorkerOutput, GoesOnWithTheOldestWhenItsPlaceIsGone) {
  append("gone\n");
  OutputPlace place = newest_output(log_, 1)->place;
  rotate();
  append("one\n");
  rotate();
  append("two\n");
  std::filesystem::remove(output_file(log_, 2));
  EXPECT_EQ(follow(place), "one\ntwo\n");
  // Somebody emptied it.
  std::filesystem::resize_file(log_, 0);
  append("x\n");
  EXPECT_EQ(follow(place), "x\n");
}

TEST_F(WorkerOutput, WhatWasGivenBackToTheDiskIsPassedOver) {
  append(std::string(1 << 20, 'x') + "\n");
  auto place = output_after(log_, {})->place;
  append("kept\n");
  const UniqueFd fd(::open(log_.c_str(), O_WRONLY | O_CLOEXEC));
  if (::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 << 20) != 0)
    GTEST_SKIP() << "no holes here";
  EXPECT_EQ(follow(place), "\nkept\n");
  EXPECT_EQ(newest(10).back(), "kept");
  for (const std::string& line : newest(10)) EXPECT_EQ(line.find("\\x00"), std::string::npos) << line.substr(0, 80);
}

TEST_F(WorkerOutput, P7_WhatIsLongOrManyIsBounded) {
  append(std::string(1'000'000, 'x') + "\n");
  const auto page = newest_output(log_, kOutputLinesMax);
  ASSERT_TRUE(page);
  std::size_t bytes = 0;
  for (const OutputLine& line : page->lines) {
    EXPECT_LE(line.text.size(), kOutputPieceBytesMax);
    bytes += line.text.size();
  }
  EXPECT_LE(bytes, kOutputBytesMax);
  EXPECT_GT(bytes, kOutputBytesMax / 2);
  EXPECT_TRUE(page->more);
  OutputPlace place{};
  EXPECT_EQ(follow(place), std::string(1'000'000, 'x') + "\n");
  append(std::string(100'000, '\n'));
  EXPECT_EQ(newest(kOutputLinesMax).size(), kOutputLinesMax);
  // Binary output, at every cut of the pieces.
  std::string binary;
  for (int i = 0; i < 200'000; ++i) binary += static_cast<char>((i * 7919) >> 3);
  append(binary + "\n");
  follow(place);
  EXPECT_EQ(place.offset, std::filesystem::file_size(log_));
}

TEST_F(WorkerOutput, P7_IsReadFromARegularFileOnly) {
  ASSERT_EQ(::mkfifo(log_.c_str(), 0600), 0);
  EXPECT_FALSE(newest_output(log_, 1));
  std::filesystem::remove(log_);
  write_text(directory_ / "secret", "secret\n");
  std::filesystem::create_symlink(directory_ / "secret", log_);
  const auto refused = newest_output(log_, 1);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find(log_.string()), std::string::npos);
}

TEST_F(WorkerOutput, IsAJsonDocument) {
  append("say \"hi\"\nhalf");
  const auto page = newest_output(log_, 5);
  const auto document = parse_json(to_json(*page, log_), "it", 100'000);
  ASSERT_TRUE(document);
  const auto& object = document->get_object();
  EXPECT_EQ(integer_member(object, "format"), kOutputFormat);
  EXPECT_EQ(string_member(object, "place"), to_text(page->place));
  const auto& lines = object.at("lines").get_array();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(string_member(lines[0].get_object(), "text"), "say \"hi\"");
  EXPECT_EQ(bool_member(lines[0].get_object(), "end"), true);
  EXPECT_EQ(bool_member(lines[1].get_object(), "end"), false);
}

}  // namespace
}  // namespace ts::api
