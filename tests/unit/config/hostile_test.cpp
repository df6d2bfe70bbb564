// P7: no file, however broken, crashes whoever reads it. Every one ends in a Config or in a sentence.
#include <cstdint>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <sstream>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "common/config/load.h"
#include "common/config/yaml_tree.h"
#include "tests/unit/config/support.h"

namespace ts::config {
namespace {

std::string repeated(std::string_view unit, std::size_t bytes) {
  std::string text;
  while (text.size() + unit.size() <= bytes) text += unit;
  return text;
}

// Each of these nests, repeats or never ends in another way. yaml-cpp recurses on the first ones, never gets to the end
// of `{a: b},` and takes a missing quote for the end of the file.
constexpr std::string_view kRepeated[] = {
    "[",      "{",      "- ",  "? ",     ": ",  "[a,", "{a: ", "a: ", "a:\n",    "? - ", "- [",
    "{? ",    "[:",     "[?",  "a: [\n", "!a ", "&a ", "*a ",  "!",   "{a: b},", "[a]",  "---\n",
    "a: b\n", "a: |\n", "|\n", "\"",     "'",   "\\",  "%a\n", "]",   "}",       ","};

TEST(AFile, EndsInASentenceWhateverItRepeats) {
  // The greatest size that the count of marks lets through, and the greatest size there is.
  for (const std::size_t bytes : {std::size_t{50'000}, kMostBytes}) {
    for (const std::string_view unit : kRepeated) {
      const std::string message = message_of(repeated(unit, bytes));
      EXPECT_TRUE(message.starts_with("f:")) << unit << " " << message.substr(0, 200);
      EXPECT_LT(message.size(), 20'000U) << unit;
    }
  }
}

TEST(AFile, EndsInASentenceHoweverItIsIndented) {
  for (const std::string_view unit : {"a:\n", "-\n"}) {
    std::string ladder;
    for (std::size_t depth = 0; ladder.size() + depth + unit.size() < kMostBytes; ++depth) {
      ladder += std::string(depth, ' ') + std::string(unit);
    }
    EXPECT_TRUE(contains(message_of(ladder), "nested too deeply")) << unit;
  }
}

TEST(AFile, WithMoreMarksThanAnyConfigurationIsNotEvenParsed) {
  EXPECT_EQ(message_of(repeated("[", kMostBytes)),
            "f: the file has more brackets, commas and colons than any configuration");
  EXPECT_EQ(message_of(repeated("  # a: [comment, comment]\n", kMostBytes)), "");
}

TEST(AFileOfTheGreatestSize, MayHoldAValueNobodyReads) {
  EXPECT_TRUE(
      message_of("training: {seed: " + repeated("9", kMostBytes - 20) + "}").starts_with("f:1:18: training.seed"));
  EXPECT_TRUE(contains(message_of("training: {" + repeated("x", 1000) + ": 1}"), "f:1:12: unknown key"));
  EXPECT_TRUE(contains(message_of("dqn: {hidden: [" + repeated("1,", 90'000) + "]}"), "more values than any"));
  EXPECT_EQ(message_of(repeated("# comment\n", kMostBytes)), "");
  EXPECT_EQ(message_of(repeated("...\n", kMostBytes)), "");
}

TEST(AFileBeyondTheGreatestSize, IsRefused) {
  EXPECT_EQ(message_of(std::string(kMostBytes + 1, '\n')),
            "f: the file has more than 1.0 MiB, which no configuration needs");
}

TEST(AliasesOfAliases, AreNeverExpanded) {
  std::ostringstream yaml;
  yaml << "a0: &a0 [x, x]\n";
  for (int i = 1; i < 40; ++i) yaml << "a" << i << ": &a" << i << " [*a" << i - 1 << ", *a" << i - 1 << "]\n";
  EXPECT_TRUE(contains(message_of(yaml.str()), "f:1:5: anchors (&name) are not supported"));
}

// What means something to YAML or to us.
using namespace std::string_view_literals;
constexpr std::string_view kPieces[] = {"\n",
                                        " ",
                                        "  ",
                                        "\t",
                                        ":",
                                        ": ",
                                        "- ",
                                        "? ",
                                        "#",
                                        "[",
                                        "]",
                                        "{",
                                        "}",
                                        ",",
                                        "&a ",
                                        "*a ",
                                        "!",
                                        "!!str ",
                                        "|",
                                        ">",
                                        "'",
                                        "\"",
                                        "%",
                                        "@",
                                        "`",
                                        "\\",
                                        "---\n",
                                        "...\n",
                                        "~",
                                        "null",
                                        "true",
                                        "0",
                                        "-1",
                                        "1e999",
                                        "{checkpoint}",
                                        "\r",
                                        "\0"sv,
                                        "\xFF",
                                        "\xEF\xBB\xBF",
                                        "\xC3\xA9",
                                        "\xE2\x80\xA8",
                                        "\\u0000",
                                        "<<: "};

void mutate_once(std::string& text, std::mt19937& random) {
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::size_t at = below(text.size());
  const std::size_t length = 1 + below(8);
  switch (below(5)) {
    case 0: text[at] = static_cast<char>(below(256)); break;
    case 1: text.erase(at, length); break;
    case 2: text.insert(at, kPieces[below(std::size(kPieces))]); break;
    case 3: text.insert(below(text.size()), text.substr(at, 10 * length)); break;
    default: text.resize(at + 1);
  }
}

// The shipped file without its comments: a mutation of a comment does nothing, and most of the file is comments.
std::string shipped_keys() {
  std::ifstream file(std::string(TS_SOURCE_DIR) + "/config/config.yaml");
  std::string text;
  for (std::string line; std::getline(file, line);) {
    if (line.find('#') == std::string::npos) text += line + "\n";
  }
  return text;
}

// The seed is fixed and printed, so that a failure can be run again.
TEST(MutationsOfTheShippedFile, EndInAConfigurationOrASentence) {
  const std::string original = shipped_keys();
  ASSERT_EQ(message_of(original), "");
  ASSERT_FALSE(original.empty());
  constexpr std::uint32_t kSeed = 20240229;
  constexpr int kRounds = 4000;
  std::cout << "seed " << kSeed << ", " << kRounds << " mutations\n";
  std::mt19937 random(kSeed);
  int accepted = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::string text = original;
    for (std::size_t edits = 1 + random() % 4; edits > 0 && !text.empty(); --edits) mutate_once(text, random);
    const auto config = parse_config(text, "f");
    if (config) {
      ++accepted;
      const auto again = parse_config(to_yaml(config->config), "written");
      ASSERT_TRUE(again) << again.error().message << "\n" << text;
      ASSERT_EQ(again->config, config->config) << text;
      continue;
    }
    ASSERT_EQ(config.error().kind, ErrorKind::configuration);
    ASSERT_TRUE(config.error().message.starts_with("f:")) << "round " << round << ":\n" << config.error().message;
  }
  EXPECT_GT(accepted, 0);
  EXPECT_LT(accepted, kRounds);
}

}  // namespace
}  // namespace ts::config
