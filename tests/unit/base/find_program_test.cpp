// Where a program lies that is named without a folder.
#include "common/base/find_program.h"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include <gtest/gtest.h>

#include "tests/unit/session/temp_directory.h"

namespace ts {
namespace {

class FindingAProgram : public testing::Test {
 protected:
  FindingAProgram() {
    ::setenv("PATH", (folder_ / "first").string().append(":").append(folder_ / "second").c_str(), 1);
  }
  ~FindingAProgram() override { ::setenv("PATH", before_.c_str(), 1); }

  std::string add(const std::string& name, mode_t mode) {
    const auto file = folder_ / name;
    std::filesystem::create_directories(file.parent_path());
    write_text(file, "#!/bin/sh\n");
    ::chmod(file.c_str(), mode);
    return file.string();
  }

  TempDirectory folder_;
  std::string before_ = ::getenv("PATH");
};

TEST_F(FindingAProgram, TakesTheFirstFolderThatHasOneThatCanBeExecuted) {
  add("first/tool", 0644);
  const std::string second = add("second/tool", 0755);
  EXPECT_EQ(find_program("tool"), second);
  const std::string first = add("first/tool", 0755);
  EXPECT_EQ(find_program("tool"), first);
  EXPECT_FALSE(find_program("other"));
  EXPECT_FALSE(find_program(""));
  std::filesystem::create_directories(folder_ / "first/folder");
  EXPECT_FALSE(find_program("folder"));
}

TEST_F(FindingAProgram, LooksInNoRelativeFolder) {
  add("tool", 0755);
  const auto here = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path());
  ::setenv("PATH", ":.:..:first:/nowhere:", 1);
  EXPECT_FALSE(find_program("tool"));
  EXPECT_EQ(find_program("./tool"), "./tool");  // who names a path means it
  std::filesystem::current_path(here);
}

TEST_F(FindingAProgram, SaysWhyAPathIsNone) {
  EXPECT_FALSE(find_program((folder_ / "no/such").string()));
  EXPECT_EQ(errno, ENOENT);
  EXPECT_FALSE(find_program(folder_.path().string() + "/"));
  EXPECT_EQ(errno, EISDIR);
}

TEST_F(FindingAProgram, LooksInTheUsualFoldersWithoutAPath) {
  ::unsetenv("PATH");
  EXPECT_TRUE(find_program("sh"));
}

}  // namespace
}  // namespace ts
