// Real processes that a worker leaves behind, and those that are none of its business (P4, P7).
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "supervisor/shell/worker_process.h"
#include "tests/unit/session/temp_directory.h"
#include "tests/unit/supervisor/spawn.h"

namespace ts::shell {
namespace {

class Sweep : public testing::Test {
 protected:
  WorkerCommand shell(const std::string& script) {
    return {{"/bin/sh", "-c", script},
            {{"TRAINER_RUN_ID", "run"}, {"TRAINER_ATTEMPT", "3"}, {"TRAINER_STATE_ID", directory_.path()}},
            directory_ / "worker.log"};
  }
  void spawn(const std::string& script) {
    auto spawned = spawn_worker(io_, children_, shell(script), [this](const WorkerEnd& end) { ended_ = end; });
    ASSERT_TRUE(spawned) << spawned.error().message;
    worker_ = std::move(*spawned);
  }
  void wait() {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    while (!ended_ && std::chrono::steady_clock::now() < until) io_.run_one_for(std::chrono::seconds{1});
    ASSERT_TRUE(ended_);
  }
  pid_t number_in(const std::string& name) const {
    const auto file = directory_ / name;
    for (int i = 0; i < 2000; ++i) {
      if (std::filesystem::exists(file)) {
        const std::string text = read_text(file);
        if (text.ends_with('\n')) return std::stoi(text);
      }
      ::usleep(10'000);
    }
    ADD_FAILURE() << name << " was never written";
    return 0;
  }
  // A daemon of the worker that writes its number and then does as it is told.
  std::string daemon(const std::string& name, const std::string& what) const {
    const std::string file = (directory_ / name).string();
    return "setsid sh -c '(echo $$ > /dev/null; " + what + ") & echo $! > " + file + ".new; mv " + file + ".new " +
           file + "'; while [ ! -e " + file + " ]; do sleep 0.01; done; ";
  }
  static bool is_there(pid_t pid) {
    const auto facts = look_at(pid);
    return facts && !facts->ended;
  }

  TempDirectory directory_;
  asio::io_context io_{1};
  Children children_{io_};
  std::optional<WorkerEnd> ended_;
  std::unique_ptr<WorkerProcess> worker_;
};

TEST_F(Sweep, EndsADaemonAndSaysWhich) {
  spawn(daemon("pid", "exec sleep 1000") + "exit 5");
  const pid_t pid = number_in("pid");
  wait();
  EXPECT_EQ(ended_->status.code, 5);
  EXPECT_FALSE(is_there(pid));
  ASSERT_EQ(ended_->notes.size(), 1U);
  EXPECT_NE(ended_->notes[0].find("process " + std::to_string(pid) + " ("), std::string::npos) << ended_->notes[0];
}

TEST_F(Sweep, EndsOneThatIgnoresEverySignalItCan) {
  spawn(daemon("pid", "trap \"\" TERM INT HUP; while :; do sleep 0.1; done") + "exit 5");
  const pid_t pid = number_in("pid");
  wait();
  EXPECT_FALSE(is_there(pid));
}

TEST_F(Sweep, EndsOneThatKeepsStartingMore) {
  spawn(daemon("pid", "while :; do sleep 1000 & setsid sleep 1000 & sleep 0.002; done") + "sleep 0.2; exit 5");
  wait();
  ASSERT_EQ(ended_->notes.size(), 1U) << "something is left";
  for (const auto& [pid, process] : all_processes()) {
    EXPECT_NE(process.parent, ::getpid()) << process.command;
  }
}

TEST_F(Sweep, LeavesNoZombie) {
  spawn(daemon("pid", "exec sleep 1000") + daemon("other", "exec sleep 1000") + "exit 0");
  wait();
  EXPECT_NE(ended_->notes[0].find("foreground"), std::string::npos) << ended_->notes[0];
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(Sweep, ReapsOrphansThatEndWhileTheWorkerRuns) {
  std::string script;
  for (int i = 0; i < 20; ++i) script += "(setsid true &); ";
  spawn(script + "echo $$ > " + (directory_ / "up").string() + "; exec sleep 1000");
  number_in("up");
  for (int i = 0; i < 100; ++i) {
    io_.run_one_for(std::chrono::milliseconds{20});
    int zombies = 0;
    for (const auto& [pid, process] : all_processes()) zombies += process.parent == ::getpid() && process.ended ? 1 : 0;
    if (zombies == 0 && i > 20) break;
    ASSERT_LT(i, 99) << zombies << " zombies";
  }
  worker_->signal(core::Signal::kill);
  wait();
  EXPECT_EQ(ended_->status.signal, SIGKILL) << "the worker's own status was taken";
}

// None of these may be touched: children of ours without marks, with those of other launches, and one that bears the
// marks of this very launch but is kept by somebody here.
TEST_F(Sweep, LeavesEverybodyElseAlone) {
  const std::string here = directory_.path();
  const auto start = [](const char* attempt, const std::string& state) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::clearenv();
      if (attempt != nullptr) {
        ::setenv("TRAINER_RUN_ID", "run", 1);
        ::setenv("TRAINER_ATTEMPT", attempt, 1);
        ::setenv("TRAINER_STATE_ID", state.c_str(), 1);
      }
      ::execl("/bin/sleep", "sleep", "1000", static_cast<char*>(nullptr));
      ::_exit(1);
    }
    return pid;
  };
  spawn("while [ ! -e " + (directory_ / "go").string() + " ]; do sleep 0.01; done");
  const pid_t doomed = start("3", here);
  const pid_t kept = start("3", here);
  children_.keep(kept);
  const pid_t others[] = {start(nullptr, ""), start("3", "/elsewhere"), start("2", here), kept};
  ::usleep(300'000);  // until they have the environment that they were started with
  write_text(directory_ / "go", "");
  wait();
  EXPECT_FALSE(is_there(doomed)) << "the control: it differs from the kept one in nothing else";
  for (const pid_t pid : others) {
    EXPECT_TRUE(is_there(pid));
    ::kill(pid, SIGKILL);
    EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
  }
  children_.release(kept);
}

TEST_F(Sweep, OfAnAdoptedWorkerFindsItsDaemonsByTheirMarks) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  const std::string marks = "TRAINER_RUN_ID=run TRAINER_ATTEMPT=3 TRAINER_STATE_ID=" + directory_.path().string();
  const std::string file = (directory_ / "leader").string();
  const std::string script = daemon("pid", "exec sleep 1000") + "exec sleep 1000";
  ASSERT_EQ(::system((marks + " setsid sh -c 'setsid sh -c \"$0\" & echo $! > " + file + "' '" +
                      [&] {
                        std::string quoted;
                        for (const char c : script) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
                        return quoted;
                      }() +
                      "'")
                         .c_str()),
            0);
  const pid_t leader = number_in("leader");
  const pid_t pid = number_in("pid");
  const auto identity = identify_process(leader);
  ASSERT_TRUE(identity);
  auto adopted = WorkerProcess::adopt(io_, children_, *identity, [this](const WorkerEnd& end) { ended_ = end; });
  ASSERT_TRUE(adopted);
  worker_ = std::move(*adopted);
  EXPECT_TRUE(worker_->may_speak({pid, ::getuid()}));
  EXPECT_TRUE(is_there(pid));
  worker_->signal(core::Signal::kill);
  wait();
  EXPECT_FALSE(is_there(pid));
}

}  // namespace
}  // namespace ts::shell
