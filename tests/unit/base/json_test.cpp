#include "common/base/json.h"

#include <bit>
#include <cmath>
#include <iostream>
#include <limits>
#include <random>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace ts {
namespace {

namespace json = boost::json;
using namespace std::string_literals;

constexpr std::size_t kMax = 1 << 20;

bool refused(std::string_view text) {
  const auto parsed = parse_json(text, "f", kMax);
  if (parsed) return false;
  EXPECT_EQ(parsed.error().kind, ErrorKind::data);
  EXPECT_TRUE(parsed.error().message.starts_with("f is not usable JSON: ")) << parsed.error().message;
  return true;
}

TEST(APrintedNumber, IsWhatAPersonWouldWrite) {
  const struct {
    double value;
    std::string_view text;
  } cases[] = {{12.4, "12.4"},         {0.0, "0.0"},       {-0.0, "-0.0"},
               {1.0, "1.0"},           {-3.5, "-3.5"},     {0.1, "0.1"},
               {0.000001, "0.000001"}, {1e-7, "1e-07"},    {123456789.0, "123456789.0"},
               {1e15, "1e+15"},        {5e-324, "5e-324"}, {1.7976931348623157e308, "1.7976931348623157e+308"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(compact_json(value), text);
}

TEST(APrintedNumber, ThatIsNotFiniteIsNull) {
  for (const double value : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity()}) {
    EXPECT_EQ(compact_json(value), "null");
  }
}

TEST(APrintedNumber, IsReadBackExactly) {
  const auto expect_exact = [](double value) {
    const auto parsed = parse_json(compact_json(json::object{{"v", value}}), "f", kMax);
    ASSERT_TRUE(parsed) << compact_json(value);
    const json::value& back = parsed->as_object().at("v");
    ASSERT_TRUE(back.is_double()) << compact_json(value);
    EXPECT_EQ(std::bit_cast<std::uint64_t>(back.as_double()), std::bit_cast<std::uint64_t>(value))
        << compact_json(value);
  };
  for (const double value : {0.0, -0.0, 0.1, 0.1 + 0.2, 1.0 / 3.0, 12.4, 1e22, 1e23, 9007199254740993.0, 5e-324,
                             2.2250738585072014e-308, 1.7976931348623157e308, 123456.789e3}) {
    expect_exact(value);
  }
  constexpr std::uint64_t kSeed = 20260131;
  std::cout << "seed " << kSeed << "\n";
  std::mt19937_64 random(kSeed);
  for (int i = 0; i < 20'000 && !testing::Test::HasFailure(); ++i) {
    const double any = std::bit_cast<double>(random());
    if (std::isfinite(any)) expect_exact(any);
    expect_exact(std::uniform_real_distribution<double>(-1000.0, 1000.0)(random));
  }
}

TEST(APrintedInteger, StaysAnInteger) {
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::max(),
                                   std::numeric_limits<std::int64_t>::min()}) {
    const auto parsed = parse_json(compact_json(json::object{{"v", value}}), "f", kMax);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(integer_member(parsed->as_object(), "v"), value);
  }
}

TEST(PrettyJson, IsIndentedByTwoWithArraysOfScalarsOnOneLine) {
  const json::value value = {{"a", 1},
                             {"list", {1, 2.5, "x"}},
                             {"nested", {{"b", nullptr}}},
                             {"none", json::object{}},
                             {"empty", json::array{}}};
  EXPECT_EQ(pretty_json(value),
            "{\n  \"a\": 1,\n  \"list\": [1, 2.5, \"x\"],\n  \"nested\": {\n    \"b\": null\n  },\n"
            "  \"none\": {},\n  \"empty\": []\n}\n");
  EXPECT_EQ(compact_json(value), "{\"a\":1,\"list\":[1,2.5,\"x\"],\"nested\":{\"b\":null},\"none\":{},\"empty\":[]}");
}

TEST(PrintedJson, IsReadBackAsItWas) {
  const json::value value = {{"text", "a\"b\\c\n\x01 €"}, {"t", true}, {"n", nullptr}, {"deep", {{"x", {{{"y", 1}}}}}}};
  EXPECT_EQ(*parse_json(pretty_json(value), "f", kMax), value);
  EXPECT_EQ(*parse_json(compact_json(value), "f", kMax), value);
  EXPECT_EQ(compact_json(value).find('\n'), std::string::npos);
}

TEST(ParseJson, RefusesWhatIsNoDocument) {
  for (const std::string& text : {""s,
                                  " "s,
                                  "{"s,
                                  "{}}"s,
                                  "{} {}"s,
                                  "[1,]"s,
                                  "{\"a\":1,}"s,
                                  "{'a':1}"s,
                                  "{a:1}"s,
                                  "nul"s,
                                  "NaN"s,
                                  "Infinity"s,
                                  "-Infinity"s,
                                  "01"s,
                                  "+1"s,
                                  "1."s,
                                  ".5"s,
                                  "0x10"s,
                                  "// c\n{}"s,
                                  "{}/* c */"s,
                                  "\xef\xbb\xbf{}"s,
                                  "{}\0"s,
                                  "{\"a\":\"\0\"}"s,
                                  "\"\n\""s,
                                  "\"\xff\""s,
                                  "\"\xc0\x80\""s,
                                  "\"\xed\xa0\x80\""s,
                                  "\"\\ud800\""s,
                                  "{\"\xff\":1}"s,
                                  "\"\\x41\""s}) {
    EXPECT_TRUE(refused(text)) << text;
  }
}

TEST(ParseJson, RefusesNestingOfMoreThanSixteen) {
  EXPECT_FALSE(refused(std::string(16, '[') + std::string(16, ']')));
  EXPECT_TRUE(refused(std::string(17, '[') + std::string(17, ']')));
  EXPECT_TRUE(refused(std::string(kMax, '[')));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_TRUE(refused(objects));
}

TEST(ParseJson, RefusesAKeyThatAppearsTwiceAtAnyLevel) {
  for (const std::string_view text :
       {R"({"a":1,"a":2})", R"({"a":1,"b":2,"a":1})", R"({"o":{"a":1,"a":2}})", R"([[{"a":1,"a":2}]])",
        R"({"a":1,"\u0061":2})", R"({"":1,"":2})", R"({"a":{"x":1},"a":{"x":1,"y":2}})"}) {
    EXPECT_TRUE(refused(text)) << text;
  }
  EXPECT_FALSE(refused(R"({"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]})"));
}

TEST(ParseJson, RefusesMoreBytesThanAllowed) {
  EXPECT_TRUE(parse_json("[1, 2]", "f", 6));
  const auto parsed = parse_json("[1, 2] ", "f", 6);
  ASSERT_FALSE(parsed);
  EXPECT_NE(parsed.error().message.find("7 bytes, more than the 6 allowed"), std::string::npos);
}

TEST(ParseJson, RefusesANumberBeyondAnyDouble) {
  EXPECT_TRUE(refused("1e400"));
  EXPECT_TRUE(refused("{\"a\": [-1e309]}"));
  EXPECT_TRUE(refused("1e99999999999999999999"));
  EXPECT_FALSE(refused("1e-400"));  // is 0, as near as a double comes
}

TEST(IntegerMember, IsAnIntegerInTheTextAndInRange) {
  const auto member = [](std::string_view number) {
    const auto parsed = parse_json("{\"v\":" + std::string(number) + "}", "f", kMax);
    return parsed ? integer_member(parsed->as_object(), "v") : std::nullopt;
  };
  EXPECT_EQ(member("3"), 3);
  EXPECT_EQ(member("-3"), -3);
  EXPECT_EQ(member("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
  for (const std::string_view text : {"3.7", "3.0", "3e0", "9223372036854775808", "18446744073709551616",
                                      "-9223372036854775809", "\"3\"", "true", "null", "[3]", "{}"}) {
    EXPECT_EQ(member(text), std::nullopt) << text;
  }
}

TEST(Members, AreNothingWhenAbsentOrOfAnotherType) {
  const json::object object = {{"i", 1}, {"d", 2.5}, {"s", "x"}, {"b", true}, {"o", json::object{}}, {"n", nullptr}};
  EXPECT_EQ(number_member(object, "i"), 1.0);
  EXPECT_EQ(number_member(object, "d"), 2.5);
  EXPECT_EQ(string_member(object, "s"), "x");
  EXPECT_EQ(bool_member(object, "b"), true);
  EXPECT_NE(object_member(object, "o"), nullptr);
  for (const std::string_view key : {"absent", "n"}) {
    EXPECT_EQ(integer_member(object, key), std::nullopt);
    EXPECT_EQ(number_member(object, key), std::nullopt);
    EXPECT_EQ(string_member(object, key), std::nullopt);
    EXPECT_EQ(bool_member(object, key), std::nullopt);
    EXPECT_EQ(object_member(object, key), nullptr);
  }
  EXPECT_EQ(integer_member(object, "d"), std::nullopt);
  EXPECT_EQ(number_member(object, "s"), std::nullopt);
  EXPECT_EQ(bool_member(object, "i"), std::nullopt);
}

}  // namespace
}  // namespace ts
