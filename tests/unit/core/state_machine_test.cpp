// docs/STATE_MACHINE.md says what the code does (P11).
#include "tests/unit/core/state_machine.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

namespace ts::core {
namespace {

constexpr const char* kPath = TS_SOURCE_DIR "/docs/STATE_MACHINE.md";

TEST(TheStateMachinePage, SaysWhatTheCodeDoes) {
  const std::string printed = state_machine_page();
  if (std::getenv("TS_UPDATE_STATE_MACHINE") != nullptr) {
    std::ofstream(kPath) << printed;
    GTEST_SKIP() << "docs/STATE_MACHINE.md was printed anew; look at what changed in it";
  }
  std::stringstream written;
  written << std::ifstream(kPath).rdbuf();
  std::istringstream is(written.str());
  std::istringstream should_be(printed);
  std::string is_line;
  std::string should_line;
  int number = 1;
  while (std::getline(is, is_line) && std::getline(should_be, should_line) && is_line == should_line) ++number;
  EXPECT_TRUE(written.str() == printed)
      << "docs/STATE_MACHINE.md is not what the code does, from line " << number << " on:\n  it says   " << is_line
      << "\n  should be " << should_line << "\nWhere the change is meant, print it anew and read the difference:\n"
      << "  TS_UPDATE_STATE_MACHINE=1 build/<preset>/bin/core_test --gtest_filter='TheStateMachinePage.*'";
}

TEST(TheStateMachinePage, ShowsEveryPhaseAndEveryStepOfAStop) {
  const std::string page = state_machine_page();
  for (int phase = 0; phase <= static_cast<int>(Phase::fatal); ++phase) {
    EXPECT_NE(page.find("| " + std::string(to_string(static_cast<Phase>(phase)))), std::string::npos) << phase;
  }
  for (const auto* words : {"being looked at", "gathering evidence", "SIGTERM sent", "SIGABRT sent", "SIGKILL sent",
                            "unkillable", "rescuing", "until the cooldown is over", "for good"}) {
    EXPECT_NE(page.find(words), std::string::npos) << words;
  }
}

}  // namespace
}  // namespace ts::core
