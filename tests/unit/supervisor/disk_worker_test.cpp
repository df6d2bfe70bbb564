// What keeps disks off the loop: lines that wait, children that take long to start, and a leaving that talks (P6, P8).
#include "supervisor/shell/disk_worker.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <thread>

#include <gtest/gtest.h>
#include <spdlog/details/log_msg.h>

#include "supervisor/shell/children.h"
#include "supervisor/shell/leaving.h"
#include "supervisor/shell/log_file.h"
#include "supervisor/shell/spawning.h"
#include "tests/unit/session/temp_directory.h"
#include "tests/unit/supervisor/off_the_loop.h"

namespace ts::shell {
namespace {

// ---- leaving

class LeavingTest : public OffTheLoop {
 protected:
  void leave(std::chrono::milliseconds patience = 1ms) {
    std::vector<Leaving::Part> parts{
        {[this] { return disk_.doing(); }, [this](std::function<void()> done) { disk_.post({}, std::move(done)); }},
        {[] { return std::string("nothing"); }, [](const std::function<void()>& done) { done(); }}};
    leaving_.emplace(
        io_, std::move(parts), [this](const std::string& what) { said_.push_back(what); }, [this] { gone_ = true; },
        patience);
  }
  std::vector<std::string> said_;
  bool gone_ = false;
  std::optional<Leaving> leaving_;
};

TEST_F(LeavingTest, WaitsForWhatIsUnderWayAndSaysNothingWhenThatIsShort) {
  std::atomic<bool> written = false;
  disk_.post("writing", [&] { written = true; });
  leave(30s);
  EXPECT_FALSE(gone_);
  run_until([this] { return gone_; });
  EXPECT_TRUE(written);
  EXPECT_TRUE(said_.empty());
  EXPECT_FALSE(leaving_->has_said());
}

TEST_F(LeavingTest, P8_P11_SaysWhatADiskThatHangsIsWaitedForAndGoesOnSaying) {
  HungDisk hung(disk_);
  leave();
  run_until([this] { return said_.size() == 3; });
  EXPECT_EQ(said_.front(),
            "Before leaving, waiting for hanging. The disk is slow or does not answer; another Ctrl+C or SIGTERM "
            "leaves at once.");
  EXPECT_TRUE(leaving_->has_said());
  EXPECT_FALSE(gone_);
  hung.answer();
  run_until([this] { return gone_; });
}

// ---- the log

// A file that takes lines when it may, and fails when it is told to.
class SlowFile final : public spdlog::sinks::sink {
 public:
  void log(const spdlog::details::log_msg& line) override {
    reached.count_down_once();
    may_go.wait();
    if (fails) throw spdlog::spdlog_ex("disk full");
    lines.emplace_back(line.payload.data(), line.payload.size());
  }
  void flush() override { ++flushes; }
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

  struct Once {
    std::latch latch{1};
    std::atomic<bool> done = false;
    void count_down_once() {
      if (!done.exchange(true)) latch.count_down();
    }
  };
  Once reached;
  std::latch may_go{1};
  std::atomic<bool> fails = false;
  std::vector<std::string> lines;
  std::atomic<int> flushes = 0;
};

class LogFileTest : public testing::Test {
 protected:
  void log(const std::string& text) { log_.log(spdlog::details::log_msg("supervisor", spdlog::level::info, text)); }
  void wait() {
    std::latch written(1);
    log_.end([&] { written.count_down(); });
    written.wait();
  }
  std::shared_ptr<SlowFile> file_ = std::make_shared<SlowFile>();
  std::vector<std::string> said_;  // by whoever logs, or while the thread is waited for
  LogFile log_{file_, "logs/supervisor.log", [this](const std::string& what) { said_.push_back(what); }};
};

TEST_F(LogFileTest, WritesEveryLineInOrderAndHandsItToTheKernel) {
  file_->may_go.count_down();
  for (int i = 0; i < 100; ++i) log(std::to_string(i));
  wait();
  ASSERT_EQ(file_->lines.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(file_->lines[i], std::to_string(i));
  EXPECT_GT(file_->flushes, 0);
  EXPECT_TRUE(said_.empty());
}

TEST_F(LogFileTest, P8_P11_DropsTheOldestWhenTheDiskHangsAndSaysHowMany) {
  log("taken");
  file_->reached.latch.wait();  // the disk hangs with this one
  constexpr std::size_t kMore = 5;
  for (std::size_t i = 0; i < LogFile::kLinesMax + kMore; ++i) log(std::to_string(i));
  EXPECT_EQ(said_, std::vector<std::string>{
                       "logs/supervisor.log has taken no line for long; the oldest of those that wait are dropped."});
  file_->may_go.count_down();
  wait();
  ASSERT_EQ(file_->lines.size(), LogFile::kLinesMax + 2);
  EXPECT_EQ(file_->lines[0], "taken");
  EXPECT_EQ(file_->lines[1], "5 lines are missing here: the disk took none for too long.");
  EXPECT_EQ(file_->lines[2], std::to_string(kMore));
  EXPECT_EQ(file_->lines.back(), std::to_string(LogFile::kLinesMax + kMore - 1));
}

TEST_F(LogFileTest, P11_ALineThatCannotBeWrittenIsLostAndThatIsSaidOnceUntilOneCanBe) {
  file_->may_go.count_down();
  for (const bool fails : {true, true, false, true}) {
    file_->fails = fails;
    log("a line");
    wait();
  }
  EXPECT_EQ(said_, (std::vector<std::string>{"disk full", "disk full"}));
  EXPECT_EQ(file_->lines.size(), 1U);
}

// ---- children

TEST(StartingAChild, P8_ThatTakesLongKeepsNobodyWaitingAndNoOrphanSweepTakesItsEnd) {
  asio::io_context io(1);
  Children children(io);
  std::latch forked(1), may_go(1);
  std::atomic<pid_t> pid = 0;
  std::jthread starter([&] {
    children.start([&]() -> pid_t {
      const pid_t child = ::fork();
      if (child == 0) ::_exit(7);
      pid = child;
      forked.count_down();
      may_go.wait();  // a program on a disk that hangs
      return child;
    });
  });
  forked.wait();
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  // Each of these looks for orphans, or at who is kept.
  children.release(1);
  io.run_for(20ms);
  EXPECT_TRUE(children.kept().empty());
  may_go.count_down();
  starter.join();
  EXPECT_TRUE(children.kept().contains(pid));
  info = {};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED), 0) << "its end was taken";
  EXPECT_EQ(info.si_status, 7);
  children.release(pid);
}

TEST(StartingAChild, OrphansThatEndMeanwhileAreReapedAfterwards) {
  asio::io_context io(1);
  Children children(io);
  pid_t orphan = 0;
  const pid_t none = children.start([&]() -> pid_t {
    orphan = ::fork();
    if (orphan == 0) ::_exit(0);
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(orphan), &info, WEXITED | WNOWAIT);
    children.release(1);
    info = {};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(orphan), &info, WEXITED | WNOWAIT | WNOHANG), 0);
    return 0;
  });
  EXPECT_EQ(none, 0);
  EXPECT_EQ(::waitpid(orphan, nullptr, WNOHANG), -1) << "it is a zombie still";
}

// ---- a worker in the making

class SpawningTest : public testing::Test {
 protected:
  Spawned start() { return {StartedWorker::start(children_, {{"sleep", "1000"}, {}, directory_ / "worker.log"}), 0}; }
  bool has_child() const {
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
  }
  TempDirectory directory_;
  asio::io_context io_{1};
  Children children_{io_};
  Spawning spawning_{3};
};

TEST_F(SpawningTest, P4_OneThatIsGivenUpBeforeItIsThereIsEndedWhereItWasStarted) {
  EXPECT_TRUE(spawning_.is_wanted());
  EXPECT_FALSE(spawning_.take_or_give_up());
  EXPECT_FALSE(spawning_.is_wanted());
  EXPECT_FALSE(spawning_.settle(start()));
  EXPECT_FALSE(has_child());
  EXPECT_TRUE(children_.kept().empty());
}

TEST_F(SpawningTest, OneThatIsThereIsTakenOnceAndIsWatched) {
  ASSERT_TRUE(spawning_.settle(start()));
  auto spawned = spawning_.take_or_give_up();
  ASSERT_TRUE(spawned && spawned->worker);
  EXPECT_FALSE(spawning_.take());
  std::optional<WorkerEnd> ended;
  auto worker = WorkerProcess::watch(io_, std::move(*spawned->worker), [&](const WorkerEnd& end) { ended = end; });
  ASSERT_TRUE(worker);
  spawned.reset();
  EXPECT_TRUE(has_child());  // letting go of the rest ends nothing
  (*worker)->signal(core::Signal::terminate);
  const auto until = std::chrono::steady_clock::now() + 30s;
  while (!ended && std::chrono::steady_clock::now() < until) io_.run_one_for(1s);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->status.signal, SIGTERM);
}

TEST_F(SpawningTest, P4_OneThatNobodyTakesGoesWithIt) {
  {
    Spawning forgotten(4);
    ASSERT_TRUE(forgotten.settle(start()));
    EXPECT_TRUE(has_child());
  }
  EXPECT_FALSE(has_child());
}

}  // namespace
}  // namespace ts::shell
