// How long the service manager is asked to wait. (tests/integration/service_test.py has the messages.)
#include "supervisor/shell/service_manager.h"

#include <gtest/gtest.h>

namespace ts::shell {
namespace {

using namespace std::chrono_literals;

core::State leaving() {
  core::State state;
  state.phase = core::Phase::stopping;
  state.shutting_down = true;
  state.pid = 4711;
  state.deadline = 100s;
  return state;
}

TEST(TheServiceManager, IsAskedToWaitForLongerThanTheWorkerMayTake) {
  const auto until = wait_until(leaving());
  ASSERT_TRUE(until);
  EXPECT_GE(*until, 100s + 20s) << "SIGABRT, SIGKILL and writing down the end come after the worker's limit";
}

TEST(TheServiceManager, IsNotAskedToWaitWhenTheWorkerAloneIsStopped) {
  core::State state = leaving();
  state.shutting_down = false;
  EXPECT_FALSE(wait_until(state));
}

// As sd_watchdog_enabled(3) reads them.
TEST(TheWatchdog, IsFedTwiceAsOftenAsAskedAndOnlyWhereItIsOurs) {
  using std::chrono::microseconds;
  EXPECT_EQ(feeding_interval("30000000", nullptr, 42), microseconds{15'000'000});
  EXPECT_EQ(feeding_interval("30000000", "42", 42), microseconds{15'000'000});
  EXPECT_EQ(feeding_interval("1", "42", 42), microseconds{1000});
  EXPECT_EQ(feeding_interval("9223372036854775807", "42", 42), std::chrono::hours{1});
  for (const char* pid : {"41", "", "x", "-42"})
    EXPECT_EQ(feeding_interval("30000000", pid, 42), microseconds{0}) << pid;
  for (const char* usec : {"0", "-5", "", "x", "5s", "99999999999999999999"}) {
    EXPECT_EQ(feeding_interval(usec, "42", 42), microseconds{0}) << usec;
  }
  EXPECT_EQ(feeding_interval(nullptr, "42", 42), microseconds{0});
}

TEST(TheServiceManager, IsNotAskedToWaitWithoutAWorker) {
  core::State state = leaving();
  state.pid = 0;
  EXPECT_FALSE(wait_until(state));
}

// P5: ended in the middle of it, the supervisor would take the work along.
TEST(TheServiceManager, P5_IsAskedToWaitWhileADeadWorkersMemoryIsSavedButNotForEver) {
  core::State state = leaving();
  state.pid = 0;
  state.ending = core::Ending{};
  state.since = 70s;
  EXPECT_GE(wait_until(state), 100s + 20s);
  state.deadline = 10h;  // said less and less often
  EXPECT_GE(wait_until(state), 70s + 5min);
  EXPECT_LE(wait_until(state), 70s + 1h) << "a disk that never answers must not keep the machine from going down";
}

}  // namespace
}  // namespace ts::shell
