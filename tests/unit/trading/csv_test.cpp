#include "worker/trading/csv.h"

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace ts::trading {
namespace {

using Fields = std::vector<std::string_view>;

TEST(Csv, LinesEndInLfOrCrlfAndTheLastOneNeedsNoEnd) {
  std::string_view rest = "a\nb\r\n\nc\rd";
  EXPECT_EQ(take_line(rest), "a");
  EXPECT_EQ(take_line(rest), "b");
  EXPECT_EQ(take_line(rest), "");
  EXPECT_EQ(take_line(rest), "c\rd");
  EXPECT_EQ(take_line(rest), std::nullopt);
}

TEST(Csv, AFinalLineBreakHasNoLineBehindIt) {
  std::string_view rest = "a\n";
  EXPECT_EQ(take_line(rest), "a");
  EXPECT_EQ(take_line(rest), std::nullopt);
}

TEST(Csv, FieldsAreSplitTrimmedAndUnquoted) {
  const struct {
    std::string_view line;
    Fields fields;
  } cases[] = {
      {"", {""}},
      {",", {"", ""}},
      {"a,b", {"a", "b"}},
      {" a ,\tb\t", {"a", "b"}},
      {"a,b,", {"a", "b", ""}},
      {R"("a","b")", {"a", "b"}},
      {R"( "a" , "b" )", {"a", "b"}},
      {R"("a,b",c)", {"a,b", "c"}},
      {R"("",x)", {"", "x"}},
      {R"("say ""hi""",x)", {R"(say ""hi"")", "x"}},
      {R"(5" pipe,x)", {R"(5" pipe)", "x"}},
  };
  for (const auto& [line, expected] : cases) {
    Fields fields;
    EXPECT_TRUE(split_fields(line, fields)) << line;
    EXPECT_EQ(fields, expected) << line;
  }
}

TEST(Csv, QuotesThatDoNotCloseOrHaveSomethingBehindAreRefused) {
  for (const std::string_view line :
       {R"(")", R"("a)", R"(a,"b)", R"("a"")", R"(""")", R"("a"b,c)", R"("a" b,c)", R"("a""b"c)"}) {
    Fields fields;
    EXPECT_FALSE(split_fields(line, fields)) << line;
  }
}

TEST(Csv, CaseIsIgnoredForAsciiLettersOnly) {
  EXPECT_TRUE(equal_ignoring_case("Close", "cLOSE"));
  EXPECT_FALSE(equal_ignoring_case("close", "closed"));
  EXPECT_FALSE(equal_ignoring_case("@", "`"));
  EXPECT_FALSE(equal_ignoring_case("\xC4", "\xE4"));
}

}  // namespace
}  // namespace ts::trading
