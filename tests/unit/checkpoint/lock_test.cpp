// P4: at most one writer in a models directory.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "common/checkpoint/directory_lock.h"
#include "tests/unit/checkpoint/support.h"

namespace ts::checkpoint {
namespace {

class ALock : public testing::Test {
 protected:
  Result<DirectoryLock> acquire(std::string_view program = "trainer") {
    return DirectoryLock::acquire(directory_, program);
  }

  TemporaryDirectory temporary_;
  Directory directory_ = *Directory::open(temporary_.path(), Directory::Create::no);
};

int exit_status_of(pid_t child) {
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(ALock, P4_IsRefusedToASecondOneWithTheFirstOnesPid) {
  const auto first = acquire("trainer");
  ASSERT_TRUE(first);
  const auto second = acquire("supervisorctl");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::locked);
  EXPECT_TRUE(contains(second.error().message, "trainer with process id " + std::to_string(::getpid())))
      << second.error().message;
  EXPECT_TRUE(contains(second.error().message, "stop that one first")) << second.error().message;
}

TEST_F(ALock, NamesItsLastHolderAndNothingOfTheOnesBefore) {
  for (const std::string program : {"a-program-with-a-long-name", "short", "short", "another-long-name"}) {
    ASSERT_TRUE(acquire(program));  // and let go
    const auto record = directory_.read_file(std::string(kLockFile), 1024);
    ASSERT_TRUE(record);
    EXPECT_TRUE(record->text().starts_with(std::to_string(::getpid()) + " ")) << record->text();
    EXPECT_TRUE(record->text().ends_with(" " + program + "\n")) << record->text();
    EXPECT_EQ(std::count(record->text().begin(), record->text().end(), '\n'), 1) << record->text();
  }
}

TEST_F(ALock, P4_IsRefusedToAChildAndToAnotherOpenDirectory) {
  const auto first = acquire();
  ASSERT_TRUE(first);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto again = Directory::open(temporary_.path(), Directory::Create::no);
    const auto lock = DirectoryLock::acquire(*again, "child");
    ::_exit(lock ? 1 : lock.error().kind == ErrorKind::locked ? 0 : 2);
  }
  EXPECT_EQ(exit_status_of(child), 0);
}

TEST_F(ALock, IsFreeAgainWhenItsHolderLetsGoOrDies) {
  {
    const auto first = acquire();
    ASSERT_TRUE(first);
  }
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto lock = acquire("child");
    [[maybe_unused]] const auto written = ::write(ready[1], lock ? "1" : "0", 1);
    ::pause();
    ::_exit(0);
  }
  char answer = '?';
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, '1');
  const auto meanwhile = acquire();
  ASSERT_FALSE(meanwhile);
  EXPECT_TRUE(contains(meanwhile.error().message, "process id " + std::to_string(child))) << meanwhile.error().message;
  ::kill(child, SIGKILL);
  exit_status_of(child);
  EXPECT_TRUE(acquire());
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(ALock, IsNotInheritedByAProgramThatIsStarted) {
  pid_t child = 0;
  {
    const auto lock = acquire();
    ASSERT_TRUE(lock);
    child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::execl("/bin/sleep", "sleep", "60", static_cast<char*>(nullptr));
      ::_exit(127);
    }
    // Until exec the child shares the lock; afterwards its holder alone decides.
    const auto exe = std::filesystem::path("/proc") / std::to_string(child) / "cmdline";
    for (int i = 0; i < 2000 && !contains(read_text(exe), "60"); ++i) ::usleep(5000);
  }
  EXPECT_TRUE(acquire()) << "the child is still running";
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_F(ALock, P7_IsNotFooledByWhatLiesUnderItsName) {
  namespace fs = std::filesystem;
  const auto name = temporary_.path() / kLockFile;
  write_text(temporary_.path() / "precious", "content");
  fs::create_symlink("precious", name);
  EXPECT_FALSE(acquire());
  EXPECT_EQ(read_text(temporary_.path() / "precious"), "content");
  fs::remove(name);
  fs::create_directory(name);
  EXPECT_FALSE(acquire());
  fs::remove(name);
  write_text(name, "\x1b[2J garbage of a \xff former holder, longer than any record of ours could ever be");
  const auto lock = acquire();
  ASSERT_TRUE(lock);
  EXPECT_TRUE(contains(read_text(name), std::to_string(::getpid())));
  write_text(name, "12 34 \x1b[2Jevil");
  const auto refused = acquire();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message.find('\x1b'), std::string::npos);
  write_text(name, "");
  EXPECT_TRUE(contains(acquire().error().message, "another process"));
}

}  // namespace
}  // namespace ts::checkpoint
