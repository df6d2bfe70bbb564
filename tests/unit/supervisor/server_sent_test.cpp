// Server-sent events: what is written is read back, however it is cut on its way.
#include "supervisor/api/server_sent.h"

#include <vector>

#include <gtest/gtest.h>

namespace ts::api {
namespace {

std::vector<ServerSent> read(std::string_view text, std::size_t piece = 1'000'000) {
  std::vector<ServerSent> out;
  ServerSentReader reader([&](const ServerSent& sent) { out.push_back(sent); });
  while (!text.empty()) {
    EXPECT_TRUE(reader.feed(text.substr(0, piece)));
    text.remove_prefix(std::min(piece, text.size()));
  }
  return out;
}

TEST(AFrame, IsWrittenAsTheStandardSays) {
  EXPECT_EQ(frame({"7", "state", "{\"id\":7}"}), "id: 7\nevent: state\ndata: {\"id\":7}\n\n");
  EXPECT_EQ(frame({"8", "", "a\nb\r\nc\rd"}), "id: 8\ndata: a\ndata: b\ndata: c\ndata: d\n\n");
  EXPECT_EQ(comment_frame("still here"), ": still here\n\n");
}

TEST(AFrame, IsReadBackHoweverItIsCut) {
  const std::vector<ServerSent> sent = {{"1", "state", "one"}, {"2", "", "two\nlines"}, {"3", "x", ""}};
  std::string text = comment_frame("hello");
  for (const ServerSent& each : sent) text += frame(each) + comment_frame("between");
  for (std::size_t piece = 1; piece <= text.size(); ++piece) EXPECT_EQ(read(text, piece), sent) << piece;
}

TEST(TheReader, FollowsTheStandardWhereOthersWriteDifferently) {
  EXPECT_EQ(read("\xEF\xBB\xBF"
                 "data:no blank\r\rdata:  two blanks\r\n\r\n"),
            (std::vector<ServerSent>{{"", "", "no blank"}, {"", "", " two blanks"}}));
  EXPECT_EQ(read("id: 5\ndata: a\n\ndata: b\n\n"), (std::vector<ServerSent>{{"5", "", "a"}, {"5", "", "b"}}));
  EXPECT_EQ(read("id: 5\n\nevent: x\n\nretry: 10\nunknown\ndata\n\n"), (std::vector<ServerSent>{{"5", "", ""}}));
  EXPECT_EQ(read("data: half"), std::vector<ServerSent>{});
  EXPECT_EQ(read(std::string("id: 1\0\ndata: a\n\n", 16)), (std::vector<ServerSent>{{"", "", "a"}}));
}

TEST(TheReader, P7_StopsAtALineWithoutEnd) {
  ServerSentReader reader([](const ServerSent&) {});
  const std::string piece(100'000, 'x');
  bool read = true;
  for (int i = 0; i < 100 && read; ++i) read = reader.feed(piece);
  EXPECT_FALSE(read);
}

}  // namespace
}  // namespace ts::api
