// config/config.yaml and the code say the same.
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/config/load.h"

namespace ts::config {
namespace {

const std::string kShipped = std::string(TS_SOURCE_DIR) + "/config/config.yaml";

std::string shipped_text() {
  std::ifstream file(kShipped);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(TheShippedFile, SaysExactlyTheDefaults) {
  const auto config = load_config(kShipped);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(*config, Config{});
}

TEST(TheShippedFile, NamesEveryKeyOnceInTheOrderOfTheSchema) {
  std::vector<std::string> expected;
  for (const KeyDescription& key : known_keys()) expected.push_back(key.section + "." + key.name);

  std::vector<std::string> named;
  std::string section;
  std::istringstream lines(shipped_text());
  for (std::string line; std::getline(lines, line);) {
    const std::size_t begin = line.find_first_not_of(' ');
    if (begin == std::string::npos || line[begin] == '#') continue;
    const std::string name = line.substr(begin, line.find(':') - begin);
    if (begin == 0) section = name;
    if (begin > 0) named.push_back(section + "." + name);
  }
  EXPECT_EQ(named, expected);
}

TEST(TheShippedFile, ExplainsEveryKey) {
  std::istringstream lines(shipped_text());
  bool explained = false;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("  ")) continue;
    const bool comment = line.starts_with("  #");
    // epsilon_end shares the comment of epsilon_start.
    EXPECT_TRUE(comment || explained || line.starts_with("  epsilon_end:")) << line;
    explained = comment;
  }
}

}  // namespace
}  // namespace ts::config
