// Who may be taken for our own worker, and who may not (P4, P6): every fact is needed.
#include "supervisor/core/lock_holder.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace ts::core {
namespace {

const OwnLaunches kOwn{"run", 4, "/models/.supervisor/notify.sock"};

LockHolder our_worker() {
  LockHolder holder;
  holder.pid = holder.leader = 4711;
  holder.alive = holder.has_lock_open = true;
  holder.marks = LaunchMarks{"run", 4, kOwn.notify_socket};
  return holder;
}

TEST(AHolderOfTheLock, P6_IsOurWorkerByItsRunItsAttemptAndItsSocket) {
  const HolderVerdict verdict = judge_holder(our_worker(), kOwn);
  EXPECT_TRUE(verdict.ours);
  EXPECT_NE(verdict.why.find("attempt 4"), std::string::npos);
}

TEST(AHolderOfTheLock, P4_IsNobodyOfOursWhenOneFactIsMissing) {
  const std::vector<std::pair<std::string, std::function<void(LockHolder&)>>> changes = {
      {"does not say who", [](auto& h) { h.pid = 0; }},
      {"has ended", [](auto& h) { h.alive = false; }},
      {"does not have it open", [](auto& h) { h.has_lock_open = false; }},
      {"leader of its process group", [](auto& h) { h.leader = 0; }},
      {"cannot be read", [](auto& h) { h.marks.reset(); }},
      {"no supervisor started it", [](auto& h) { h.marks->run_id.clear(); }},
      {"no supervisor started it", [](auto& h) { h.marks->attempt = 0; }},
      {"answers to the supervisor at /other", [](auto& h) { h.marks->notify_socket = "/other/notify.sock"; }},
  };
  for (const auto& [why, change] : changes) {
    LockHolder holder = our_worker();
    change(holder);
    const HolderVerdict verdict = judge_holder(holder, kOwn);
    EXPECT_FALSE(verdict.ours) << why;
    EXPECT_NE(verdict.why.find(why), std::string::npos) << verdict.why;
  }
}

TEST(AHolderOfTheLock, P6_IsOursAlsoWhenAnEarlierLaunchIsAllThatWasWrittenDown) {
  for (const std::int64_t attempts : {0, 3, 9}) {
    EXPECT_TRUE(judge_holder(our_worker(), {"run", attempts, kOwn.notify_socket}).ours) << attempts;
  }
  // Not even the run is known any more: its socket lies in the directory that only we have.
  for (const auto* run : {"", "other"}) EXPECT_TRUE(judge_holder(our_worker(), {run, 0, kOwn.notify_socket}).ours);
}

TEST(AHolderOfTheLock, P4_ThatDoesNotBeatIsOursOnlyByRunAndAttempt) {
  LockHolder silent = our_worker();
  silent.marks->notify_socket.clear();
  EXPECT_TRUE(judge_holder(silent, kOwn).ours);  // heartbeats have been turned on since
  EXPECT_TRUE(judge_holder(silent, {"run", 5, ""}).ours);
  EXPECT_FALSE(judge_holder(silent, {"run", 3, ""}).ours);
  EXPECT_FALSE(judge_holder(silent, {"", 4, ""}).ours);
  EXPECT_FALSE(judge_holder(silent, {"other", 4, ""}).ours);
}

TEST(AHolderOfTheLock, P7_CannotWriteToTheTerminalByItsEnvironment) {
  LockHolder hostile = our_worker();
  hostile.marks->run_id = "\x1b[2J";
  hostile.marks->notify_socket.clear();
  EXPECT_EQ(judge_holder(hostile, kOwn).why.find('\x1b'), std::string::npos);
  hostile.marks->notify_socket = "\x1b[2J";
  EXPECT_EQ(judge_holder(hostile, kOwn).why.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace ts::core
