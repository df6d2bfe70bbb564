#include "common/config/units.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace ts::config {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

TEST(Durations, AreAWholeNumberAndAUnit) {
  const struct {
    std::string_view text;
    milliseconds value;
  } accepted[] = {{"350ms", 350ms}, {"30s", 30s}, {"10m", 10min}, {"2h", 2h},
                  {"7d", 168h},     {"0s", 0s},   {"0ms", 0s},    {"9223372036854775807ms", milliseconds::max()}};
  for (const auto& [text, value] : accepted) {
    const auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, value) << text;
  }
}

TEST(Durations, OfAnyOtherFormAreRefusedWithAnExample) {
  for (const std::string_view text : {"",
                                      "10",
                                      "0",
                                      "s",
                                      "10 s",
                                      " 10s",
                                      "10s ",
                                      "10 parsecs",
                                      "10parsecs",
                                      "-1s",
                                      "+1s",
                                      "1.5h",
                                      "1e3s",
                                      "1h30m",
                                      "010s",
                                      "10S",
                                      "10M",
                                      "10min",
                                      "ten",
                                      "infs",
                                      "9223372036854775808ms",
                                      "9223372036854775807s",
                                      "106751991168d",
                                      "99999999999999999999999999d",
                                      "10s\n",
                                      "٣s"}) {
    const auto parsed = parse_duration(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().kind, ErrorKind::configuration);
    EXPECT_NE(parsed.error().message.find("like 350ms, 30s, 10m, 2h or 7d"), std::string::npos) << text;
  }
}

TEST(Sizes, AreBytesOrHaveABinaryOrDecimalUnit) {
  const struct {
    std::string_view text;
    std::uint64_t value;
  } accepted[] = {{"0", 0},
                  {"512", 512},
                  {"64KiB", 65536},
                  {"50MiB", 52428800},
                  {"2GiB", 2147483648},
                  {"1TiB", 1099511627776},
                  {"1KB", 1000},
                  {"1MB", 1000000},
                  {"1GB", 1000000000},
                  {"1TB", 1000000000000},
                  {"9223372036854775807", 9223372036854775807U}};
  for (const auto& [text, value] : accepted) {
    const auto parsed = parse_size(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, value) << text;
  }
}

TEST(Sizes, OfAnyOtherFormAreRefusedWithAnExample) {
  for (const std::string_view text :
       {"", "KiB", "1 MiB", "1.5GiB", "-1", "+1", "1K", "1M", "1G", "1kib", "1mb", "1B", "0x10", "010", "1_000",
        "9223372036854775808", "8388608TiB", "1PiB", "2 parsecs"}) {
    const auto parsed = parse_size(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().message.find("like 512KiB, 50MiB or 2GiB"), std::string::npos) << text;
  }
}

TEST(DurationsAndSizes, AreReadBackFromTheTextTheyAreWrittenAs) {
  for (const milliseconds value : {0ms, 1ms, 999ms, 1000ms, 1500ms, 90000ms, 600000ms, 7200000ms, 86400000ms}) {
    EXPECT_EQ(*parse_duration(duration_text(value)), value) << duration_text(value);
  }
  EXPECT_EQ(duration_text(10min), "10m");
  EXPECT_EQ(duration_text(90s), "90s");
  for (const std::uint64_t value : {0ULL, 1ULL, 1023ULL, 1024ULL, 1500ULL, 52428800ULL, 2147483648ULL, 1ULL << 60}) {
    EXPECT_EQ(*parse_size(size_text(value)), value) << size_text(value);
  }
  EXPECT_EQ(size_text(2147483648), "2GiB");
}

TEST(DurationsAndSizes, NeverPrintWhatATerminalWouldObey) {
  EXPECT_EQ(parse_duration("\x1b[2J").error().message.find('\x1b'), std::string::npos);
  EXPECT_EQ(parse_size("\x1b[2J").error().message.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace ts::config
