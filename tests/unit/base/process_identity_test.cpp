#include "common/base/process_identity.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include <gtest/gtest.h>

namespace ts {
namespace {

std::string stat_line(const std::string& name, const std::string& state, const std::string& start) {
  return "42 (" + name + ") " + state + " 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 " + start +
         " 1000 20 18446744073709551615\n";
}

TEST(StartTicks, AreFieldTwentyTwoWhateverTheNameHolds) {
  for (const std::string name : {"trainer", "a b", "a) S 1 2 3", "((", "))", ") Z 1", "", "1 2 3 4\n5", ")"}) {
    EXPECT_EQ(start_ticks_from_stat(stat_line(name, "S", "98765")), 98765U) << name;
  }
  EXPECT_EQ(start_ticks_from_stat(stat_line("x", "R", "18446744073709551615")), 18446744073709551615U);
}

TEST(StartTicks, OfTheDeadAreNothing) {
  EXPECT_EQ(start_ticks_from_stat(stat_line("x", "Z", "98765")), std::nullopt);
  EXPECT_EQ(start_ticks_from_stat(stat_line("x", "X", "98765")), std::nullopt);
}

TEST(StartTicks, OfMalformedTextAreNothing) {
  for (const std::string text : {"", "42", "42 (x", "42 (x)", "42 (x) S 1 2 3", ")"}) {
    EXPECT_EQ(start_ticks_from_stat(text), std::nullopt) << text;
  }
  for (const std::string start : {"-5", "abc", "12abc", "18446744073709551616", "1.5", "+7"}) {
    EXPECT_EQ(start_ticks_from_stat(stat_line("x", "S", start)), std::nullopt) << start;
  }
}

TEST(AProcess, IsAliveUntilItIsAZombieAndThenForEverNot) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  const auto identity = identify_process(child);
  ASSERT_TRUE(identity.has_value());
  EXPECT_TRUE(is_alive(*identity));
  ::kill(child, SIGKILL);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_FALSE(is_alive(*identity)) << "a zombie does no work";
  EXPECT_EQ(identify_process(child), std::nullopt);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(is_alive(*identity));
}

TEST(AProcess, WithTheSamePidButAnotherStartOrBootIsAnother) {
  auto self = identify_process(::getpid());
  ASSERT_TRUE(self.has_value());
  EXPECT_TRUE(is_alive(*self));
  auto later = *self;
  ++later.start_ticks;
  EXPECT_FALSE(is_alive(later));
  auto other_boot = *self;
  other_boot.boot_id = "another";
  EXPECT_FALSE(is_alive(other_boot));
}

TEST(AProcess, IsAsOldAsItsStartSays) {
  const long ticks_a_second = ::sysconf(_SC_CLK_TCK);
  auto self = identify_process(::getpid());
  ASSERT_TRUE(self.has_value());
  const auto age = age_of(*self);
  EXPECT_GE(age, std::chrono::nanoseconds::zero());
  EXPECT_LT(age, std::chrono::minutes{10}) << "not that of the machine";
  ASSERT_GT(self->start_ticks, static_cast<std::uint64_t>(ticks_a_second));
  self->start_ticks -= static_cast<std::uint64_t>(ticks_a_second);
  EXPECT_GE(age_of(*self) - age, std::chrono::milliseconds{999});
  self->start_ticks = std::uint64_t{1} << 40U;  // later than now
  EXPECT_EQ(age_of(*self), std::chrono::nanoseconds::zero());
}

TEST(AProcess, WithAnImpossiblePidIsNone) {
  for (const pid_t pid : {0, -1, -12345}) EXPECT_EQ(identify_process(pid), std::nullopt);
}

}  // namespace
}  // namespace ts
