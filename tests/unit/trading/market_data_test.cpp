#include "worker/trading/market_data.h"

#include <clocale>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace ts::trading {
namespace {

using namespace std::string_literals;

const std::string kHeader = "date,open,high,low,close,volume\n";
const std::string kFirst = "2001-01-02,10,12,9,11,1000\n";
const std::string kSecond = "2001-01-03,11,13,10,12,2000\n";

struct Accepted {
  const char* claim;
  std::string text;
};

TEST(MarketData, EveryHarmlessWayToWriteTheSameDataGivesTheSameData) {
  const Accepted cases[] = {
      {"plain", kHeader + kFirst + kSecond},
      {"no final newline", kHeader + kFirst + "2001-01-03,11,13,10,12,2000"},
      {"byte order mark", "\xEF\xBB\xBF" + kHeader + kFirst + kSecond},
      {"CRLF", "date,open,high,low,close,volume\r\n2001-01-02,10,12,9,11,1000\r\n2001-01-03,11,13,10,12,2000\r\n"},
      {"CRLF, the last one cut",
       "date,open,high,low,close,volume\r\n2001-01-02,10,12,9,11,1000\r\n2001-01-03,11,13,10,12,2000\r"},
      {"blank lines at the end", kHeader + kFirst + kSecond + "\n  \n\r\n\t"},
      {"names in any case", "Date,OPEN,High,lOw,Close,VOLUME\n" + kFirst + kSecond},
      {"any order, other columns",
       "volume,name,close,low,high,adjclose,open,date\n1000,x,11,9,12,0,10,2001-01-02\n2000,,12,10,13,-,11,2001-01-"
       "03\n"},
      {"blanks around fields", "date, open, high, low, close, volume\n2001-01-02, 10 ,12,9,11,1000\n" + kSecond},
      {"quotes, commas inside",
       "\"date\",open,high,low,close,volume,\"name\"\n\"2001-01-02\",\"10\",12,9,11,1000,\"a, b\"\n"
       "2001-01-03,11,13,10,12,2000,c\n"},
      {"exponents and decimals", kHeader + "2001-01-02,1e1,12.0,9.,1.1E1,1e3\n" + kSecond},
  };
  for (const auto& [claim, text] : cases) {
    const Result<MarketData> data = parse_market_data(text, "x.csv");
    ASSERT_TRUE(data.has_value()) << claim << ": " << data.error().message;
    EXPECT_EQ(data->name, "x.csv") << claim;
    ASSERT_EQ(data->rows(), 2U) << claim;
    EXPECT_EQ(format_date(data->dates[0]), "2001-01-02") << claim;
    EXPECT_EQ(format_date(data->dates[1]), "2001-01-03") << claim;
    EXPECT_EQ(data->open, (std::vector<double>{10, 11})) << claim;
    EXPECT_EQ(data->high, (std::vector<double>{12, 13})) << claim;
    EXPECT_EQ(data->low, (std::vector<double>{9, 10})) << claim;
    EXPECT_EQ(data->close, (std::vector<double>{11, 12})) << claim;
    EXPECT_EQ(data->volume, (std::vector<double>{1000, 2000})) << claim;
  }
}

struct Refused {
  const char* claim;
  std::string text;
  std::vector<std::string> says;
};

void expect_refused(const Refused& test) {
  const Result<MarketData> data = parse_market_data(test.text, "x.csv");
  ASSERT_TRUE(data.has_error()) << test.claim;
  const Error& error = data.error();
  EXPECT_EQ(error.kind, ErrorKind::data) << test.claim;
  EXPECT_TRUE(error.message.starts_with("x.csv: ")) << test.claim << ": " << error.message;
  EXPECT_LT(error.message.size(), 1500U) << test.claim;
  for (const std::string& part : test.says) {
    EXPECT_NE(error.message.find(part), std::string::npos) << test.claim << ": " << error.message;
  }
  for (const char c : error.message) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << test.claim;
}

TEST(MarketData, FilesThatAreNoTableAreRefusedWithTheirRow) {
  const Refused cases[] = {
      {"empty", "", {"the file is empty"}},
      {"only a byte order mark", "\xEF\xBB\xBF", {"the file is empty"}},
      {"header only", kHeader, {"no row below it"}},
      {"header only, blank lines", kHeader + "\n\n", {"no row below it"}},
      {"header without newline", "date,open,high,low,close,volume", {"no row below it"}},
      {"one row", kHeader + kFirst, {"only 1 row", "at least 2"}},
      {"blank first line", "\n" + kHeader + kFirst + kSecond, {"row 1", "blank"}},
      {"blank line inside", kHeader + kFirst + "\n\n" + kSecond, {"row 3 is blank and row 5 is not"}},
      {"a column missing", "date,open,high,low,close\n", {"row 1", "lacks the column volume", "\"close\""}},
      {"columns missing",
       "date,Price\n",
       {"row 1", "lacks the columns open, high, low, close, volume", "\"date\", \"Price\""}},
      {"semicolons", "date;open;high;low;close;volume\n", {"row 1", "separated by commas"}},
      {"no header", kFirst + kSecond, {"row 1", "lacks the columns", "\"2001-01-02\""}},
      {"a column twice", "date,open,high,low,close,volume,Close\n", {"row 1, column close", "twice"}},
      {"open quote in the header", "date,\"open,high,low,close,volume\n", {"row 1", "quote"}},
      {"classic Mac line ends",
       "date,open,high,low,close,volume\r2001-01-02,10,12,9,11,1000\r",
       {"row 1", "LF or CRLF"}},
      {"NUL", kHeader + kFirst + "2001-01-03,11,\0,10,12,2000\n"s, {"row 3", "byte 73", "NUL"}},
      {"UTF-16", "\xFF\xFE" + "d\0a\0"s, {"UTF-16", "UTF-8"}},
      {"gzip", "\x1F\x8B\x08\x08\xC3\xA4\x9F\x1B[2J", {"row 1", "lacks the columns", "\\x1f\\x8b"}},
      {"a line without end", std::string(3U << 20, 'a'), {"row 1", "longer than 1.0 MiB"}},
      {"a line of commas", kHeader + std::string(3U << 20, ','), {"row 2", "longer than 1.0 MiB"}},
      {"many columns", std::string(5000, ','), {"row 1", "lacks the columns", "..."}},
  };
  for (const Refused& test : cases) expect_refused(test);
}

TEST(MarketData, RowsThatDoNotFitTheHeaderAreRefusedWithTheirRow) {
  const Refused cases[] = {
      {"too few",
       kHeader + kFirst + "2001-01-03,11,13,10,12\n" + kSecond,
       {"row 3", "5 fields", "header has 6", "match"}},
      {"one field", kHeader + "hello\n", {"row 2", "1 field ", "header has 6"}},
      {"too many", kHeader + kFirst + "2001-01-03,11,13,10,12,2000,7\n", {"row 3", "7 fields", "header has 6"}},
      {"decimal commas", kHeader + "2001-01-02,10,5,12,9,11,1000\n", {"row 2", "7 fields"}},
      {"cut off", kHeader + kFirst + "2001-01-03,11,13,1", {"row 3", "4 fields", "cut off"}},
      {"cut off in the date", kHeader + kFirst + "2001-0", {"row 3", "1 field ", "cut off"}},
      {"cut off before the volume", kHeader + kFirst + "2001-01-03,11,13,10,12,", {"row 3, column volume", "empty"}},
      {"open quote", kHeader + "\"2001-01-02,10,12,9,11,1000\n" + kSecond, {"row 2", "quote"}},
  };
  for (const Refused& test : cases) expect_refused(test);
}

TEST(MarketData, NumbersThatCannotBeAreRefusedWithRowAndColumn) {
  const auto row = [](const std::string& fields) { return kHeader + kFirst + "2001-01-03," + fields + "\n"; };
  const Refused cases[] = {
      {"a word", row("11,13,10,twelve,2000"), {"row 3, column close", "\"twelve\" is not a number"}},
      {"null", row("null,13,10,12,2000"), {"row 3, column open", "not a number"}},
      {"empty", row("11,,10,12,2000"), {"row 3, column high", "empty"}},
      {"junk behind", row("11,13,10x,12,2000"), {"row 3, column low", "\"10x\" is not a number"}},
      {"two numbers", row("11,13,10 2,12,2000"), {"row 3, column low", "not a number"}},
      {"hexadecimal", row("11,13,0x10,12,2000"), {"row 3, column low", "not a number"}},
      {"a plus sign", row("11,13,10,+12,2000"), {"row 3, column close", "not a number"}},
      {"thousands separators", row("11,13,10,12,\"2,000\""), {"row 3, column volume", "\"2,000\" is not a number"}},
      {"currency", row("$11,13,10,12,2000"), {"row 3, column open", "not a number"}},
      {"NaN", row("11,13,10,nan,2000"), {"row 3, column close", "not a finite number"}},
      {"infinity", row("11,inf,10,12,2000"), {"row 3, column high", "not a finite number"}},
      {"negative infinity", row("11,13,-INFINITY,12,2000"), {"row 3, column low", "not a finite number"}},
      {"overflow", row("11,1e400,10,12,2000"), {"row 3, column high", "too large"}},
      {"underflow", row("11,13,1e-400,12,2000"), {"row 3, column low", "too small"}},
      {"volume overflow", row("11,13,10,12,1e400"), {"row 3, column volume", "too large"}},
      {"zero", row("0,13,10,12,2000"), {"row 3, column open", "not above zero"}},
      {"negative zero", row("11,13,-0.0,12,2000"), {"row 3, column low", "not above zero"}},
      {"negative", row("11,13,10,-12,2000"), {"row 3, column close", "not above zero"}},
      {"negative volume", row("11,13,10,12,-1"), {"row 3, column volume", "negative"}},
      {"absurdly high", row("11,1e13,10,12,2000"), {"row 3, column high", "outside 1e-09 to 1e+12"}},
      {"absurdly low", row("11,13,1e-10,12,2000"), {"row 3, column low", "outside 1e-09 to 1e+12"}},
      {"high below low", row("11,10,13,12,2000"), {"row 3, column high", "high 10 is below the low 13"}},
      {"open above high", row("13.1,13,10,12,2000"), {"row 3, column open", "13.1", "low 10", "high 13"}},
      {"close below low", row("11,13,10,9.9,2000"), {"row 3, column close", "9.9", "low 10", "high 13"}},
      {"control characters", row("11,13,10,\x1b[31m,2000"), {"row 3, column close", "\\x1b[31m"}},
      {"very long", row("11,13,10," + std::string(5000, '9') + "x,2000"), {"row 3, column close", "..."}},
  };
  for (const Refused& test : cases) expect_refused(test);
}

TEST(MarketData, DatesThatCannotBeOrDoNotFollowAreRefusedWithRowAndColumn) {
  const auto on = [](const std::string& date) { return date + ",11,13,10,12,2000\n"; };
  const Refused cases[] = {
      {"no such day",
       kHeader + kFirst + on("2001-02-30"),
       {"row 3, column date", "\"2001-02-30\" is not a date", "YYYY-MM-DD"}},
      {"other form", kHeader + on("01/02/2001"), {"row 2, column date", "not a date"}},
      {"empty", kHeader + on(""), {"row 2, column date", "not a date"}},
      {"the day before",
       kHeader + kSecond + kFirst,
       {"row 3, column date", "2001-01-02 is earlier than 2001-01-03 in row 2", "oldest first"}},
      {"the same day", kHeader + kFirst + kSecond + kSecond, {"row 4, column date", "2001-01-03 is already in row 3"}},
      {"the same day further up",
       kHeader + kFirst + kSecond + on("2001-01-04") + kFirst,
       {"row 5, column date", "2001-01-02 is already in row 2"}},
      {"earlier than all",
       kHeader + kFirst + kSecond + on("1999-12-31"),
       {"row 4, column date", "1999-12-31 is earlier than 2001-01-03 in row 3"}},
  };
  for (const Refused& test : cases) expect_refused(test);
}

TEST(MarketData, ZeroVolumeAndPricesOffByRoundingAreAccepted) {
  const Result<MarketData> data =
      parse_market_data(kHeader + "2001-01-02,100,99.99999,90,90,0\n2001-01-03,90,100,90,89.99999,0\n", "x.csv");
  ASSERT_TRUE(data.has_value()) << data.error().message;
  EXPECT_EQ(data->volume[0], 0.0);
}

TEST(MarketData, TheLocaleDoesNotChangeNumbers) {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  // Where no locale with a decimal comma is installed, this test only repeats what the others say.
  for (const char* name : {"de_DE.UTF-8", "fr_FR.UTF-8"}) {
    if (std::setlocale(LC_ALL, name) != nullptr) break;
  }
  const Result<MarketData> data = parse_market_data(kHeader + "2001-01-02,10.5,12,9,11,1000\n" + kSecond, "x.csv");
  std::setlocale(LC_ALL, before.c_str());
  ASSERT_TRUE(data.has_value()) << data.error().message;
  EXPECT_EQ(data->open[0], 10.5);
}

TEST(MarketData, AHostileFileNameIsEscapedInSentences) {
  const Result<MarketData> data = parse_market_data("", "a\n\x1b[2J.csv");
  ASSERT_TRUE(data.has_error());
  EXPECT_TRUE(data.error().message.starts_with("a\\x0a\\x1b[2J.csv: ")) << data.error().message;
}

TEST(MarketDate, OnlyDaysThatExistInOneFormAreDates) {
  for (const std::string_view text :
       {"2001-01-01", "2000-02-29", "2004-02-29", "1999-12-31", "0001-01-01", "9999-12-31"}) {
    const std::optional<Date> date = parse_date(text);
    ASSERT_TRUE(date) << text;
    EXPECT_EQ(format_date(*date), text);
  }
  for (const std::string_view text :
       {"",           "2001",       "2001-1-1",   "2001-01-1",  "2001-01-011",      "2001/01/01", "20010101",
        "2001-00-01", "2001-13-01", "2001-01-00", "2001-01-32", "2001-02-29",       "1900-02-29", "2001-04-31",
        "0000-01-01", "-001-01-01", "2001-01-0a", "2001-01- 1", "2001-01-01T00:00", "+001-01-01", "２001-01-0"}) {
    EXPECT_FALSE(parse_date(text)) << text;
  }
}

TEST(MarketDate, DatesOrderByTime) {
  EXPECT_LT(*parse_date("2001-12-31"), *parse_date("2002-01-01"));
  EXPECT_LT(*parse_date("2001-01-31"), *parse_date("2001-02-01"));
}

}  // namespace
}  // namespace ts::trading
