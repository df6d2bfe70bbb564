// A worker that no state file names is found by the lock that it holds, and by nothing less (P4, P6).
#include "supervisor/shell/lock_holder.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/checkpoint/directory_lock.h"
#include "tests/unit/session/temp_directory.h"

namespace ts::shell {
namespace {

using checkpoint::Directory;

TEST(MarksOfALaunch, AreReadFromAnEnvironmentWhateverElseIsInIt) {
  using namespace std::string_view_literals;
  const auto marks = marks_in("A=1\0TRAINER_RUN_ID=r=1\0TRAINER_ATTEMPT=7\0NOTIFY_SOCKET=/n\0XTRAINER_ATTEMPT=9\0"sv);
  EXPECT_EQ(marks.run_id, "r=1");
  EXPECT_EQ(marks.attempt, 7);
  EXPECT_EQ(marks.notify_socket, "/n");
  for (const auto text : {""sv, "\0\0\0"sv, "TRAINER_ATTEMPT"sv, "=x\0"sv}) EXPECT_EQ(marks_in(text).attempt, 0);
  for (const auto text : {"TRAINER_ATTEMPT="sv, "TRAINER_ATTEMPT=7x\0"sv, "TRAINER_ATTEMPT=99999999999999999999\0"sv}) {
    EXPECT_EQ(marks_in(text).attempt, 0) << text;
  }
}

// A process with this environment that holds the lock as a worker does: a group of its own, the record in the file.
class Holder : public testing::Test {
 protected:
  ~Holder() override {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  void hold(std::vector<std::string> environment, bool keep_open = true) {
    int ready[2];
    ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    child_ = ::fork();
    ASSERT_GE(child_, 0);
    if (child_ == 0) {
      ::setpgid(0, 0);
      const std::string lock = (directory_ / ".lock").string();
      // exec gives it the environment; flock(1) would be a process between.
      const std::string script = "echo \"$$ $(cut -d' ' -f22 /proc/$$/stat) holder\" > \"$0\"; " +
                                 std::string(keep_open ? "exec 9<\"$0\"; " : "") + "echo >&" +
                                 std::to_string(ready[1]) + "; kill -STOP $$";
      ::fcntl(ready[1], F_SETFD, 0);
      std::array<const char*, 5> arguments = {"sh", "-c", script.c_str(), lock.c_str(), nullptr};
      std::vector<char*> pointers;
      environment.emplace_back("PATH=/usr/bin:/bin");
      for (std::string& entry : environment) pointers.push_back(entry.data());
      pointers.push_back(nullptr);
      ::execve("/bin/sh", const_cast<char* const*>(arguments.data()), pointers.data());
      ::_exit(127);
    }
    ::close(ready[1]);
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
  }
  ExaminedHolder examine() { return examine_holder(*opened_, {"run", 3, "/n"}); }

  TempDirectory directory_;
  Result<Directory> opened_ = Directory::open(directory_.path(), Directory::Create::no);
  pid_t child_ = 0;
};

TEST_F(Holder, P6_ThatWeLaunchedIsFoundWithItsIdentity) {
  hold({"TRAINER_RUN_ID=run", "TRAINER_ATTEMPT=3", "NOTIFY_SOCKET=/n"});
  const auto found = examine();
  ASSERT_TRUE(found.worker) << found.why;
  EXPECT_EQ(found.worker->identity, identify_process(child_));
  EXPECT_EQ(found.worker->run_id, "run");
  EXPECT_EQ(found.worker->attempt, 3);
}

TEST_F(Holder, P4_ThatAnotherSupervisorLaunchedIsNotOurs) {
  hold({"TRAINER_RUN_ID=run", "TRAINER_ATTEMPT=3", "NOTIFY_SOCKET=/other"});
  const auto found = examine();
  EXPECT_FALSE(found.worker);
  EXPECT_NE(found.why.find("/other"), std::string::npos) << found.why;
}

TEST_F(Holder, P4_ThatWasStartedByHandIsNotOurs) {
  hold({});
  EXPECT_FALSE(examine().worker);
}

TEST_F(Holder, P4_ThatOnlyTheFileNamesIsNotOurs) {
  hold({"TRAINER_RUN_ID=run", "TRAINER_ATTEMPT=3", "NOTIFY_SOCKET=/n"}, false);
  const auto found = examine();
  EXPECT_FALSE(found.worker);
  EXPECT_NE(found.why.find("does not have it open"), std::string::npos) << found.why;
}

TEST_F(Holder, P4_WhoseNumberIsAnotherProcessByNowIsNotOurs) {
  hold({"TRAINER_RUN_ID=run", "TRAINER_ATTEMPT=3", "NOTIFY_SOCKET=/n"});
  write_text(directory_ / ".lock", std::to_string(child_) + " 1 holder\n");
  EXPECT_FALSE(examine().worker);
}

TEST_F(Holder, P7_IsNobodyWhateverTheFileHolds) {
  for (const auto* text : {"", "x", "-5 1 holder", "0 0 holder", "99999999999999999999 1 holder", "1 1"}) {
    write_text(directory_ / ".lock", text);
    EXPECT_FALSE(examine().worker) << text;
  }
  std::filesystem::remove(directory_ / ".lock");
  EXPECT_FALSE(examine().worker);
}

}  // namespace
}  // namespace ts::shell
