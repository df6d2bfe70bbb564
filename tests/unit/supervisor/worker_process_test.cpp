// Real processes: spawned clean, told apart by how they end, never left behind.
#include "supervisor/shell/worker_process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include <gtest/gtest.h>

#include "tests/unit/session/temp_directory.h"
#include "tests/unit/supervisor/spawn.h"

namespace ts::shell {
namespace {

using core::ExitStatus;

class Process : public testing::Test {
 protected:
  WorkerCommand shell(const std::string& script) { return {{"/bin/sh", "-c", script}, {}, directory_ / "worker.log"}; }
  void spawn(const WorkerCommand& command) {
    auto spawned = spawn_worker(io_, children_, command, [this](const WorkerEnd& end) { note(end); });
    ASSERT_TRUE(spawned) << spawned.error().message;
    worker_ = std::move(*spawned);
  }
  void note(const WorkerEnd& end) {
    ended_.push_back(end.status);
    notes_ = end.notes;
  }
  ExitStatus wait() {
    io_.restart();
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{20};
    while (ended_.empty() && std::chrono::steady_clock::now() < until) io_.run_one_for(std::chrono::seconds{1});
    EXPECT_EQ(ended_.size(), 1U);
    return ended_.empty() ? ExitStatus{} : ended_.front();
  }
  ExitStatus run(const std::string& script) {
    ended_.clear();
    spawn(shell(script));
    return wait();
  }
  std::string output() const { return read_text(directory_ / "worker.log"); }
  // Until the worker has printed this.
  void await(const std::string& text) const {
    for (int i = 0; i < 2000 && output().find(text) == std::string::npos; ++i) ::usleep(10'000);
    ASSERT_NE(output().find(text), std::string::npos) << output();
  }
  static bool is_gone(pid_t pid) {
    for (int i = 0; i < 1000; ++i) {
      if (!identify_process(pid)) return true;  // nobody, or a zombie
      ::usleep(10'000);
    }
    return false;
  }

  TempDirectory directory_;
  asio::io_context io_{1};
  Children children_{io_};
  std::vector<ExitStatus> ended_;
  std::vector<std::string> notes_;
  std::unique_ptr<WorkerProcess> worker_;
};

ExitStatus code(int number) {
  return {number, std::nullopt, false};
}
ExitStatus signal_number(int number) {
  return {std::nullopt, number, false};
}

// Found by reading: tools are waited for on another thread, and whatever ends there looks for orphans too.
TEST_F(Process, TellsHowItEndedHoweverSoonWhileAnotherThreadReapsOrphans) {
  std::jthread reaper([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) children_.release(0);
  });
  for (int i = 0; i < 300; ++i) {
    ended_.clear();
    spawn({{"/bin/false"}, {}, directory_ / "worker.log"});
    if (HasFatalFailure()) return;
    ASSERT_EQ(wait().code, 1) << "launch " << i;
  }
}

TEST_F(Process, EndsWithItsCodeOrItsSignalAndTheTwoAreToldApart) {
  for (const int number : {0, 1, 75, 137, 143, 255}) EXPECT_EQ(run("exit " + std::to_string(number)), code(number));
  for (const int number : {1, 9, 15, 10}) {
    EXPECT_EQ(run("kill -" + std::to_string(number) + " $$"), signal_number(number));
  }
}

TEST_F(Process, IsReaped) {
  run("exit 3");
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(Process, AppendsWhatItPrintsToItsLog) {
  write_text(directory_ / "worker.log", "earlier\n");
  run("echo out; echo err >&2");
  EXPECT_EQ(output(), "earlier\nout\nerr\n");
}

TEST_F(Process, ReadsNothingFromOurTerminal) {
  EXPECT_EQ(run("read line"), code(1));
  EXPECT_EQ(run("test \"$(readlink /proc/self/fd/0)\" = /dev/null"), code(0));
}

TEST_F(Process, HasTheEnvironmentOfTheCommandAndNoneOfOurOwnSockets) {
  for (const auto* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS",
                           "LISTEN_FDNAMES", "TS_TEST_KEPT", "TS_TEST_CHANGED"}) {
    ::setenv(name, "ours", 1);
  }
  WorkerCommand command = shell("env; exit 0");
  command.environment = {{"NOTIFY_SOCKET", "/theirs"}, {"TS_TEST_CHANGED", "theirs = x"}};
  spawn(command);
  EXPECT_EQ(wait(), code(0));
  for (const auto* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS",
                           "LISTEN_FDNAMES", "TS_TEST_KEPT", "TS_TEST_CHANGED"}) {
    ::unsetenv(name);
  }
  const std::string out = "\n" + output();
  EXPECT_NE(out.find("\nNOTIFY_SOCKET=/theirs\n"), std::string::npos);
  EXPECT_NE(out.find("\nTS_TEST_KEPT=ours\n"), std::string::npos);
  EXPECT_NE(out.find("\nTS_TEST_CHANGED=theirs = x\n"), std::string::npos);
  EXPECT_EQ(out.find("WATCHDOG"), std::string::npos);
  EXPECT_EQ(out.find("LISTEN"), std::string::npos);
}

TEST_F(Process, StartsWithDefaultSignalsAndAnEmptyMaskWhateverOursAre) {
  const auto old_pipe = ::signal(SIGPIPE, SIG_IGN);
  const auto old_hup = ::signal(SIGHUP, SIG_IGN);
  sigset_t blocked;
  sigset_t old;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &old);
  spawn(shell("grep -E 'Sig(Blk|Ign)' /proc/self/status"));
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  ::signal(SIGPIPE, old_pipe);
  ::signal(SIGHUP, old_hup);
  EXPECT_EQ(wait(), code(0));
  // But for the two signals that the C library keeps for itself: posix_spawn has them ignored until a library asks.
  EXPECT_EQ(output(), "SigBlk:\t0000000000000000\nSigIgn:\t0000000180000000\n");
}

TEST_F(Process, InheritsNoDescriptorOfOurs) {
  // The shell, its three streams, and what `ls` itself opens.
  EXPECT_EQ(run("ls /proc/self/fd | wc -l"), code(0));
  EXPECT_LE(std::stoi(output()), 5) << output();
}

TEST_F(Process, IsInAGroupOfItsOwnAndTheGroupGoesWithIt) {
  spawn(shell("sleep 1000 & echo child $!; wait"));
  await("child ");
  const pid_t child = std::stoi(output().substr(6));
  EXPECT_EQ(::getpgid(worker_->pid()), worker_->pid());
  EXPECT_EQ(::getpgid(child), worker_->pid());
  EXPECT_TRUE(worker_->may_speak({child, ::getuid()}));
  EXPECT_TRUE(worker_->may_speak({worker_->pid(), ::getuid()}));
  EXPECT_FALSE(worker_->may_speak({::getpid(), ::getuid()}));
  EXPECT_FALSE(worker_->may_speak({0, ::getuid()}));
  ::kill(worker_->pid(), SIGKILL);  // the leader alone
  EXPECT_EQ(wait(), signal_number(SIGKILL));
  EXPECT_TRUE(is_gone(child));
}

TEST_F(Process, MeetsEverySignalThatItIsSent) {
  const std::pair<core::Signal, int> cases[] = {
      {core::Signal::terminate, SIGTERM}, {core::Signal::abort, SIGABRT}, {core::Signal::kill, SIGKILL}};
  for (const auto& [signal, number] : cases) {
    ended_.clear();
    WorkerCommand command = shell("ulimit -c 0; echo up " + std::to_string(number) + "; while :; do sleep 0.05; done");
    spawn(command);
    await("up " + std::to_string(number));
    worker_->signal(signal);
    EXPECT_EQ(wait(), signal_number(number));
  }
}

TEST_F(Process, HearsASignalAlsoWhenItIsStopped) {
  spawn(shell("trap 'exit 75' TERM; echo up; while :; do sleep 0.05; done"));
  await("up");
  ::kill(-worker_->pid(), SIGSTOP);
  worker_->signal(core::Signal::terminate);
  EXPECT_EQ(wait(), code(75));
}

TEST_F(Process, ThatCannotBeExecutedIsAnErrorThatNamesIt) {
  write_text(directory_ / "not_executable", "#!/bin/sh\n");
  write_text(directory_ / "no_format",
             "\x7f"
             "ELF nonsense");
  std::filesystem::permissions(directory_ / "no_format", std::filesystem::perms::owner_all);
  write_text(directory_ / "no_interpreter", "#!/no/such/interpreter\n");
  std::filesystem::permissions(directory_ / "no_interpreter", std::filesystem::perms::owner_all);
  std::filesystem::create_directory(directory_ / "folder");
  const std::pair<std::string, std::string> cases[] = {
      {"/no/such/program", "look up /no/such/program: No such file or directory;"},
      {"no-such-program-in-path", "look up no-such-program-in-path: it is not in PATH;"},
      {(directory_ / "folder").string(), "folder: Is a directory;"},
      {(directory_ / "not_executable").string(), "not_executable: Permission denied;"},
      {(directory_ / "no_format").string(), "no_format: Exec format error;"},
      {(directory_ / "no_interpreter").string(), "no_interpreter: No such file or directory; the program is there"}};
  for (const auto& [program, why] : cases) {
    const auto spawned =
        spawn_worker(io_, children_, {{program}, {}, directory_ / "worker.log"}, [](const WorkerEnd&) {});
    ASSERT_FALSE(spawned) << program;
    EXPECT_NE(spawned.error().message.find(program), std::string::npos) << spawned.error().message;
    EXPECT_NE(spawned.error().message.find(why), std::string::npos) << spawned.error().message;
  }
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a half-made child is left";
  const auto no_log = spawn_worker(io_, children_, {{"true"}, {}, directory_ / "no/such/log"}, [](const WorkerEnd&) {});
  ASSERT_FALSE(no_log);
  EXPECT_EQ(no_log.error().kind, ErrorKind::cannot_write);
  EXPECT_NE(no_log.error().message.find("open log"), std::string::npos) << no_log.error().message;
}

TEST_F(Process, IsFoundInThePath) {
  spawn({{"sh", "-c", "exit 7"}, {}, directory_ / "worker.log"});
  EXPECT_EQ(wait(), code(7));
}

TEST_F(Process, IsAdoptedByItsIdentityAndByNoOther) {
  spawn(shell("echo up; exec sleep 1000"));
  await("up");
  const ProcessIdentity identity = worker_->identity();
  worker_.reset();  // its supervisor is gone; it lives on
  ASSERT_TRUE(is_alive(identity));
  ProcessIdentity other_start = identity;
  ++other_start.start_ticks;
  ProcessIdentity other_boot = identity;
  other_boot.boot_id = "another boot";
  const auto ignore = [](const WorkerEnd&) {};
  EXPECT_FALSE(WorkerProcess::adopt(io_, children_, other_start, ignore));
  EXPECT_FALSE(WorkerProcess::adopt(io_, children_, other_boot, ignore));
  EXPECT_FALSE(WorkerProcess::adopt(io_, children_, ProcessIdentity{1 << 30, 1, identity.boot_id}, ignore));
  ASSERT_TRUE(is_alive(identity)) << "a refusal hurt it";
  auto adopted = WorkerProcess::adopt(io_, children_, identity, [this](const WorkerEnd& end) { note(end); });
  ASSERT_TRUE(adopted) << adopted.error().message;
  worker_ = std::move(*adopted);
  worker_->signal(core::Signal::kill);
  EXPECT_EQ(wait(), signal_number(SIGKILL));
}

// As after the supervisor's own death: the worker is nobody's child here, and how it ended nobody can tell.
TEST_F(Process, ThatIsNotOurChildIsWatchedAllTheSame) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  const auto pid_file = directory_ / "pid";
  ASSERT_EQ(::system(("setsid sh -c 'sleep 1000 & echo $! > " + pid_file.string() + "'").c_str()), 0);
  const pid_t pid = std::stoi(read_text(pid_file));
  const auto identity = identify_process(pid);
  ASSERT_TRUE(identity);
  auto adopted = WorkerProcess::adopt(io_, children_, *identity, [this](const WorkerEnd& end) { note(end); });
  ASSERT_TRUE(adopted);
  worker_ = std::move(*adopted);
  ::kill(pid, SIGKILL);
  EXPECT_EQ(wait(), ExitStatus{});
}

}  // namespace
}  // namespace ts::shell
