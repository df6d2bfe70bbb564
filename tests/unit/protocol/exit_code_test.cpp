#include <gtest/gtest.h>

#include "common/protocol/worker_contract.h"

namespace ts::protocol {
namespace {

// These numbers leave the process (docs/PROTOCOL.md): they never change.
TEST(ExitCodes, AreThoseOfTheContract) {
  EXPECT_EQ(static_cast<int>(ExitCode::finished), 0);
  EXPECT_EQ(static_cast<int>(ExitCode::unusable_data), 65);
  EXPECT_EQ(static_cast<int>(ExitCode::internal), 70);
  EXPECT_EQ(static_cast<int>(ExitCode::cannot_write), 74);
  EXPECT_EQ(static_cast<int>(ExitCode::interrupted), 75);
  EXPECT_EQ(static_cast<int>(ExitCode::configuration), 78);
}

TEST(ExitCodes, AreKnownAmongAllStatuses) {
  int known = 0;
  for (int status = -1; status <= 256; ++status) {
    const auto code = parse_exit_code(status);
    if (!code) continue;
    EXPECT_EQ(static_cast<int>(*code), status);
    ++known;
  }
  EXPECT_EQ(known, 6);
}

TEST(ExitCodes, OfErrorsSayWhetherTryingAgainCanHelp) {
  EXPECT_EQ(exit_code_for(ErrorKind::configuration), ExitCode::configuration);
  EXPECT_EQ(exit_code_for(ErrorKind::data), ExitCode::unusable_data);
  EXPECT_EQ(exit_code_for(ErrorKind::checkpoint), ExitCode::unusable_data);
  EXPECT_EQ(exit_code_for(ErrorKind::not_found), ExitCode::unusable_data);
  EXPECT_EQ(exit_code_for(ErrorKind::cannot_write), ExitCode::cannot_write);
  EXPECT_EQ(exit_code_for(ErrorKind::locked), ExitCode::cannot_write);
  EXPECT_EQ(exit_code_for(ErrorKind::unavailable), ExitCode::cannot_write);
  EXPECT_EQ(exit_code_for(ErrorKind::internal), ExitCode::internal);
}

}  // namespace
}  // namespace ts::protocol
