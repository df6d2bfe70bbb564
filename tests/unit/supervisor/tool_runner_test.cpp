// Programs that are run for what they print: whatever they do, they end (P9) and leave nothing behind.
#include "supervisor/shell/tool_runner.h"

#include <fcntl.h>

#include <chrono>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "tests/unit/session/temp_directory.h"
#include "tests/unit/supervisor/child.h"
#include "tests/unit/supervisor/path_of_tools.h"

namespace ts::shell {
namespace {

using std::chrono::milliseconds;

class Tool : public testing::Test {
 protected:
  ToolRun run(const std::string& script, ToolLimits limits = {}) {
    tools_.add("tool", script);
    return runner_.run({"tool", "an argument"}, limits);
  }
  void TearDown() override {
    EXPECT_EQ(runner_.abandoned(), 0U);
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a program was not reaped";
  }

  PathOfTools tools_;
  ToolRunner runner_;
};

TEST_F(Tool, GivesWhatItPrintsOnBothWays) {
  const ToolRun out = run("echo \"out: $1\"; echo err >&2");
  EXPECT_EQ(out.output, "out: an argument\nerr\n");
  EXPECT_TRUE(out.complete);
  EXPECT_EQ(out.trouble, "");
}

TEST_F(Tool, ThatFailsSaysHow) {
  const ToolRun failed = run("echo sorry; exit 3");
  EXPECT_EQ(failed.output, "sorry\n");
  EXPECT_TRUE(failed.complete);
  EXPECT_EQ(failed.trouble, "ended with status 3");
  EXPECT_EQ(run("kill -9 $$").trouble, "was ended by signal 9");
}

TEST_F(Tool, ThatIsNotThereOrCannotRunIsNoMoreThanASentence) {
  EXPECT_EQ(runner_.run({"no-such-tool"}, {}).trouble, "is not installed");
  write_text(tools_.directory() / "broken",
             "\x7f"
             "ELF nonsense");
  std::filesystem::permissions(tools_.directory() / "broken", std::filesystem::perms::all);
  const ToolRun broken = runner_.run({"broken"}, {});
  EXPECT_FALSE(broken.complete);
  EXPECT_NE(broken.trouble.find("could not be started"), std::string::npos) << broken.trouble;
}

TEST_F(Tool, P9_ThatNeverEndsIsEndedWithItsChildren) {
  ToolLimits limits;
  limits.deadline = std::chrono::seconds{2};
  const ToolRun out = run("trap '' TERM INT HUP; sleep 1000 & echo $!; sleep 1000", limits);
  EXPECT_FALSE(out.complete);
  EXPECT_EQ(out.trouble, "was ended after 2s");
  const pid_t grandchild = std::stoi(out.output);
  EXPECT_TRUE(is_gone(grandchild));
}

TEST_F(Tool, P9_ThatEndsBeforeItsChildrenIsNotWaitedForAndTheyAreEnded) {
  const auto begin = std::chrono::steady_clock::now();
  const ToolRun out = run("sleep 1000 & echo $!");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds{9});
  EXPECT_TRUE(out.complete);
  EXPECT_TRUE(is_gone(std::stoi(out.output)));
}

TEST_F(Tool, ThatClosesItsOutputIsStillWaitedFor) {
  EXPECT_EQ(run("exec >&- 2>&-; sleep 0.2; exit 4").trouble, "ended with status 4");
}

TEST_F(Tool, P9_ThatPrintsWithoutEndIsEnded) {
  ToolLimits limits;
  limits.bytes_max = 100'000;
  const ToolRun out = run("exec yes", limits);
  EXPECT_EQ(out.output.size(), 100'000U);
  EXPECT_FALSE(out.complete);
  EXPECT_EQ(out.trouble, "was ended after printing 97.7 KiB");
}

TEST_F(Tool, HasNoInputAndNothingOfOurs) {
  const int left_open = ::fcntl(STDERR_FILENO, F_DUPFD, 77);  // not close-on-exec
  ASSERT_GE(left_open, 77);
  ::setenv("NOTIFY_SOCKET", "/ours", 1);
  const ToolRun out =
      run("readlink /proc/self/fd/0; echo /proc/$$/fd/*; echo \"[$NOTIFY_SOCKET] $LC_ALL\"; "
          "cut -d' ' -f5 /proc/$$/stat; echo $$");
  ::unsetenv("NOTIFY_SOCKET");
  ::close(left_open);
  std::istringstream lines(out.output);
  std::string input, files, environment, group, self;
  std::getline(lines, input) && std::getline(lines, files) && std::getline(lines, environment) &&
      std::getline(lines, group) && std::getline(lines, self);
  EXPECT_EQ(input, "/dev/null");
  EXPECT_EQ(files.find("/fd/" + std::to_string(left_open)), std::string::npos) << files;
  EXPECT_EQ(environment, "[] C");
  EXPECT_EQ(group, self) << "a group of its own";
}

TEST_F(Tool, EndsWhenItIsNotWantedAnyMore) {
  tools_.add("tool", "sleep 1000");
  std::stop_source stop;
  std::thread later([&] {
    std::this_thread::sleep_for(milliseconds{200});
    stop.request_stop();
  });
  ToolLimits limits;
  limits.deadline = std::chrono::minutes{10};
  const ToolRun out = runner_.run({"tool"}, limits, stop.get_token());
  later.join();
  EXPECT_FALSE(out.complete);
  EXPECT_EQ(out.trouble, "was ended because the supervisor cannot wait for it");
}

}  // namespace
}  // namespace ts::shell
