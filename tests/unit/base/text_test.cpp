#include "common/base/text.h"

#include <chrono>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "common/base/random_id.h"

namespace ts {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

constexpr std::string_view kNames[] = {"episodes", "seed", "device", "threads"};

TEST(NearestName, IsTheOneThatWasMeant) {
  const struct {
    std::string_view typed;
    std::string_view meant;
  } cases[] = {{"episods", "episodes"}, {"epsiodes", "episodes"}, {"sede", "seed"},       {"seeds", "seed"},
               {"devise", "device"},    {"Device", "device"},     {"thraeds", "threads"}, {"seed", "seed"}};
  for (const auto& [typed, meant] : cases) EXPECT_EQ(nearest_name(typed, kNames), meant) << typed;
}

TEST(NearestName, IsNothingWhenNothingIsNear) {
  for (const std::string_view typed : {"", "x", "learning_rate", "dev", "threadsafe_queue", "\xff\xfe\xfd"}) {
    EXPECT_EQ(nearest_name(typed, kNames), std::nullopt) << typed;
  }
  EXPECT_EQ(nearest_name("seed", {}), std::nullopt);
}

TEST(EscapeControl, LeavesTextThatATerminalMayPrint) {
  for (const std::string_view text : {"", "plain text ~", "Grüße", "€ 12,40", "日本語", "😀", "a\\x1b"}) {
    EXPECT_EQ(escape_control(text), text);
  }
}

TEST(EscapeControl, ShowsEveryControlCharacterAsAnEscape) {
  for (int byte = 0; byte < 0x20; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    const std::string out = escape_control(text);
    ASSERT_EQ(out.size(), 4U) << byte;
    EXPECT_TRUE(out.starts_with("\\x")) << out;
  }
  EXPECT_EQ(escape_control("\x1b[2J\r\n\t\x7f"), "\\x1b[2J\\x0d\\x0a\\x09\\x7f");
  EXPECT_EQ(escape_control("\xc2\x9b"
                           "2J"),
            "\\xc2\\x9b2J");  // C1: CSI in one character
  EXPECT_EQ(escape_control("a\0b"s), "a\\x00b");
}

// RFC 3629, section 4: what is not in its table is escaped byte by byte.
TEST(EscapeControl, EscapesWhatIsNoUtf8) {
  for (const std::string& malformed :
       {"\x80"s, "\xbf"s, "\xc0\x80"s, "\xc1\xbf"s, "\xc2"s, "\xe0\x80\x80"s, "\xe0\x9f\xbf"s, "\xed\xa0\x80"s,
        "\xed\xbf\xbf"s, "\xef\xbf"s, "\xf0\x80\x80\x80"s, "\xf0\x8f\xbf\xbf"s, "\xf4\x90\x80\x80"s,
        "\xf5\x80\x80\x80"s, "\xf8\x88\x80\x80\x80"s, "\xfe"s, "\xff"s, "\xf0\x9f\x98"s}) {
    const std::string out = escape_control(malformed);
    EXPECT_EQ(out.size(), malformed.size() * 4) << out;
    EXPECT_EQ(escape_control("a" + malformed + "b"), "a" + out + "b");
  }
  for (const std::string& well_formed : {"\xc2\xa0"s, "\xdf\xbf"s, "\xe0\xa0\x80"s, "\xed\x9f\xbf"s, "\xee\x80\x80"s,
                                         "\xf0\x90\x80\x80"s, "\xf4\x8f\xbf\xbf"s}) {
    EXPECT_EQ(escape_control(well_formed), well_formed);
  }
}

TEST(Shorten, CutsNoCharacterInTwo) {
  EXPECT_EQ(shorten("short", 5), "short");
  EXPECT_EQ(shorten("longer", 5), "longe…");
  EXPECT_EQ(shorten("a€b", 1), "a…");
  EXPECT_EQ(shorten("a€b", 2), "a…");
  EXPECT_EQ(shorten("a€b", 3), "a…");
  EXPECT_EQ(shorten("a€b", 4), "a€…");
  EXPECT_EQ(shorten("\x80\x80\x80", 2), "…");
}

TEST(AsClause, LosesItsFullStopAndNothingElse) {
  EXPECT_EQ(as_clause("It is full. Free some space."), "It is full. Free some space");
  EXPECT_EQ(as_clause("it is full"), "it is full");
  EXPECT_EQ(as_clause(""), "");
}

TEST(HumanDuration, IsHowPeopleWriteIt) {
  const struct {
    std::chrono::milliseconds duration;
    std::string_view text;
  } cases[] = {{0ms, "0ms"},       {350ms, "350ms"},  {999ms, "999ms"},    {1s, "1s"},           {1500ms, "1.5s"},
               {9999ms, "9.9s"},   {12'345ms, "12s"}, {59'999ms, "59s"},   {60s, "1m 00s"},      {245s, "4m 05s"},
               {3599s, "59m 59s"}, {3600s, "1h 00m"}, {11'220s, "3h 07m"}, {86'399s, "23h 59m"}, {86'400s, "1d 00h"},
               {52h, "2d 04h"},    {-1500ms, "-1.5s"}};
  for (const auto& [duration, text] : cases) EXPECT_EQ(human_duration(duration), text);
  EXPECT_FALSE(human_duration(std::chrono::milliseconds::max()).empty());
  EXPECT_TRUE(human_duration(std::chrono::milliseconds::min()).starts_with('-'));
}

TEST(HumanBytes, IsHowPeopleReadIt) {
  const struct {
    std::uint64_t bytes;
    std::string_view text;
  } cases[] = {{0, "0 B"},
               {812, "812 B"},
               {1023, "1023 B"},
               {1024, "1.0 KiB"},
               {3482, "3.4 KiB"},
               {1288490189, "1.2 GiB"},
               {std::uint64_t{1} << 40, "1.0 TiB"},
               {std::numeric_limits<std::uint64_t>::max(), "16777216.0 TiB"}};
  for (const auto& [bytes, text] : cases) EXPECT_EQ(human_bytes(bytes), text);
}

TEST(FormatFixed, NeverUsesAnExponent) {
  EXPECT_EQ(format_fixed(12.345, 1), "12.3");
  EXPECT_EQ(format_fixed(-0.5, 0), "-0");
  EXPECT_EQ(format_fixed(1e20, 0), "100000000000000000000");
  EXPECT_EQ(format_fixed(std::numeric_limits<double>::max(), 2).size(), 312U);
}

TEST(Join, PutsTheSeparatorBetweenAndNowhereElse) {
  EXPECT_EQ(join({}, ", "), "");
  EXPECT_EQ(join(std::vector<std::string>{"a"}, ", "), "a");
  EXPECT_EQ(join(std::vector<std::string>{"a", "b", "c"}, ", "), "a, b, c");
}

TEST(PlainIntegers, AreDigitsWithoutSignBlanksOrLeadingZeros) {
  const struct {
    std::string_view text;
    std::int64_t value;
  } accepted[] = {{"0", 0}, {"1", 1}, {"10", 10}, {"9223372036854775807", std::numeric_limits<std::int64_t>::max()}};
  for (const auto& [text, value] : accepted) EXPECT_EQ(parse_plain_integer(text), value) << text;
  for (const std::string_view text : {"", "-1", "+1", " 1", "1 ", "01", "00", "1.0", "1e3", "0x1", "1_000",
                                      "9223372036854775808", "99999999999999999999", "1\n", "\xd9\xa3", "a"}) {
    EXPECT_EQ(parse_plain_integer(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_plain_integer(std::string_view("1\0", 2)), std::nullopt);
}

TEST(Rfc3339, IsUtcWithMilliseconds) {
  using Clock = std::chrono::system_clock;
  const auto at = [](std::chrono::milliseconds since_epoch) { return rfc3339_utc(Clock::time_point(since_epoch)); };
  EXPECT_EQ(at(0ms), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(at(1769862896789ms), "2026-01-31T12:34:56.789Z");
  EXPECT_EQ(at(951782400001ms), "2000-02-29T00:00:00.001Z");
  EXPECT_EQ(at(-1ms), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(at(-1000ms), "1969-12-31T23:59:59.000Z");
}

TEST(RunIds, AreSixteenHexadecimalDigitsAndDiffer) {
  const std::string one = make_run_id();
  EXPECT_EQ(one.size(), 16U);
  EXPECT_EQ(one.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(one, make_run_id());
}

}  // namespace
}  // namespace ts
