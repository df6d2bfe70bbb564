// Facts about real processes and this machine, and odd texts in /proc (P7, P9).
#include "supervisor/shell/host_facts.h"

#include <fcntl.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/supervisor/child.h"

namespace ts::shell {
namespace {

using Kind = core::SilenceVerdict::Kind;
using std::chrono::milliseconds;

std::string stat_line(const std::string& name) {
  return "4711 (" + name + ") S 1 4700 4700 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 3 0 99 1000 10 1 1\n";
}

TEST(AStat, P7_IsReadWhateverTheNameOfTheProcessHolds) {
  for (const std::string name : {"trainer", "", ")", "(", ") R 1 1", "a b", "a\nb", "((()))", "\x1b[2J", ") ("}) {
    const auto stat = facts_from_stat(stat_line(name));
    ASSERT_TRUE(stat) << name;
    EXPECT_EQ(stat->command, name);
    EXPECT_EQ(stat->state, 'S') << name;
    EXPECT_EQ(stat->group, 4700) << name;
    EXPECT_EQ(stat->cpu_ticks, 300U) << name;
  }
}

TEST(AStat, P7_ThatIsMalformedIsNone) {
  const std::vector<std::string> texts = {"",
                                          ")",
                                          "(",
                                          ")(",
                                          "1 (a)",
                                          "1 (a) ",
                                          "1 (a) S",
                                          "1 (a) S 1",
                                          "1 (a) SS 1 2 3 0 0 0 0 0 0 0 5 6 7",
                                          "1 (a) S 1 x 3 0 -1 0 0 0 0 0 5 6 0",
                                          "1 (a) S 1 2 3 0 -1 0 0 0 0 0 5x 6 0",
                                          "1 (a) S 1 2 3 0 -1 0 0 0 0 0 99999999999999999999999 6 0",
                                          "1 (a) S 1 2 3 0 -1 0 0 0 0 0 5"};
  for (const std::string& text : texts) EXPECT_FALSE(facts_from_stat(text)) << text;
}

TEST(APressure, IsThatOfTheLastTenSeconds) {
  const auto pressure = parse_pressure(
      "some avg10=12.50 avg60=5.71 avg300=2.47 total=9167216515\nfull avg10=0.25 avg60=0.00 avg300=0.00 total=0\n");
  EXPECT_EQ(pressure.some, 12.5);
  EXPECT_EQ(pressure.full, 0.25);
  EXPECT_EQ(parse_pressure("some avg10=100.00 avg60=1").some, 100.0);
  EXPECT_FALSE(parse_pressure("some avg10=100.00 avg60=1").full);  // kernels before 5.13 have none of the CPU
}

TEST(APressure, P7_ThatIsMalformedIsNone) {
  for (const char* text : {"", "some", "some ", "some avg10=", "some avg10=x", "some avg10=-1", "some avg10=1e9",
                           "some avg10=nan", "some avg10=inf", "some avg60=1", "avg10=1", "\n\n", "some  \nfull"}) {
    EXPECT_FALSE(parse_pressure(text).some) << text;
    EXPECT_FALSE(parse_pressure(text).full) << text;
  }
}

TEST(ALoad, IsTheNumberOfTasksThatWantToRun) {
  EXPECT_EQ(parse_runnable("1.03 0.57 1.12 8/113 23710\n"), 8);
  for (const char* text :
       {"", "1 2 3", "1 2 3 4", "1 2 3 /4", "1 2 3 x/4", "1 2 3 -1/4", "1 2 3 99999999999999999999/4"}) {
    EXPECT_FALSE(parse_runnable(text)) << text;
  }
}

TEST(TextsOfProc, P7_AreReadOrRefusedWhateverIsInThem) {
  std::mt19937 random(7);
  const std::vector<std::string> seeds = {
      stat_line("a) (b"), "some avg10=1.00 avg60=2 avg300=3 total=4\nfull avg10=5.0\n", "0.1 0.2 0.3 4/5 6\n"};
  for (int round = 0; round < 20'000; ++round) {
    std::string text = seeds[random() % seeds.size()];
    for (auto changes = random() % 6; changes > 0 && !text.empty(); --changes) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0: text[at] = static_cast<char>(random()); break;
        case 1: text.erase(at, 1 + random() % 8); break;
        default: text.insert(at, 1 + random() % 3, " ()\n/=9.-"[random() % 9]); break;
      }
    }
    const auto stat = facts_from_stat(text);
    if (stat) {
      EXPECT_LE(stat->command.size(), text.size());
    }
    const auto pressure = parse_pressure(text);
    if (pressure.some) {
      EXPECT_TRUE(*pressure.some >= 0.0 && *pressure.some <= 100.0) << text;
    }
    const auto runnable = parse_runnable(text);
    if (runnable) {
      EXPECT_GE(*runnable, 0) << text;
    }
  }
}

core::SilenceFacts look_twice(const Child& child) {
  core::SilenceFacts facts;
  facts.before = look_at_host(child.pid());
  facts.between = milliseconds{300};
  std::this_thread::sleep_for(facts.between);
  facts.after = look_at_host(child.pid());
  return facts;
}

TEST(AWorkerLookedAt, P9_IsHungWhenItIsStopped) {
  const Child child([] { ::raise(SIGSTOP); });
  ASSERT_TRUE(child.comes_to("T"));
  const auto verdict = core::judge_silence(look_twice(child));
  EXPECT_EQ(verdict.kind, Kind::hung);
  EXPECT_NE(verdict.why.find("stopped by a signal"), std::string::npos) << verdict.why;
}

TEST(AWorkerLookedAt, P9_ThatIsBusyIsSeenToUseCpu) {
  const Child child(be_busy);
  const auto facts = look_twice(child);
  EXPECT_EQ(facts.after.leader, 'R');
  EXPECT_EQ(facts.after.runnable_threads, 1);
  // However loaded the machine that tests run on is, in 20 s it gets a tick.
  auto used = facts.after.cpu_time - facts.before.cpu_time;
  for (int i = 0; i < 200 && used == used.zero(); ++i) {
    ::usleep(100'000);
    used = look_at_host(child.pid()).cpu_time - facts.before.cpu_time;
  }
  EXPECT_GT(used, used.zero());
}

TEST(AWorkerLookedAt, P9_IsHungWhenItSleepsForEver) {
  const Child child(sleep_for_ever);
  ASSERT_TRUE(child.comes_to("S"));
  auto facts = look_twice(child);
  EXPECT_EQ(facts.after.cpu_time, facts.before.cpu_time);
  EXPECT_EQ(facts.after.runnable_threads, 0);
  facts.after.io_full = facts.after.memory_full = 0.0;  // whatever else this machine does just now
  EXPECT_EQ(core::judge_silence(facts).kind, Kind::hung);
}

TEST(AWorkerLookedAt, P9_IsStarvedWhenItWaitsInTheKernel) {
  if (kThreadSanitizer) GTEST_SKIP() << "no state D with ThreadSanitizer";
  const Child child(wait_uninterruptibly);
  ASSERT_TRUE(child.comes_to("D"));
  const auto verdict = core::judge_silence(look_twice(child));
  EXPECT_EQ(verdict.kind, Kind::starved);
  EXPECT_NE(verdict.why.find("state D"), std::string::npos) << verdict.why;
}

TEST(AWorkerLookedAt, IsItsWholeGroupAndAllThreads) {
  const Child child([] {
    if (::fork() == 0) be_busy();
    std::thread busy(be_busy);
    sleep_for_ever();
  });
  core::HostSample sample;
  for (int i = 0; i < 500 && sample.runnable_threads < 2; ++i) {
    ::usleep(10'000);
    sample = look_at_host(child.pid());
  }
  EXPECT_EQ(sample.runnable_threads, 2);
  EXPECT_EQ(sample.leader, 'S');
  const auto members = members_of(child.pid());
  ASSERT_EQ(members.size(), 2U);
  EXPECT_EQ(members.front(), child.pid());
}

TEST(AWorkerLookedAt, P9_ThatIsNotThereIsHungAndTheVerdictSaysSo) {
  Child child(sleep_for_ever);
  const pid_t pid = child.pid();
  child.end();
  for (const pid_t group : {pid, 0, -1}) {
    core::SilenceFacts facts;
    facts.before = facts.after = look_at_host(group);
    facts.between = milliseconds{1000};
    EXPECT_FALSE(facts.after.leader);
    const auto verdict = core::judge_silence(facts);
    EXPECT_EQ(verdict.kind, Kind::hung);
    EXPECT_NE(verdict.why.find("cannot be read"), std::string::npos);
  }
}

TEST(TheMachineLookedAt, HasFiguresInRange) {
  const auto sample = look_at_host(::getpgrp());
  EXPECT_GE(sample.cpus, 1);
  EXPECT_TRUE(sample.runnable && *sample.runnable >= 1);
  EXPECT_EQ(sample.io_full.has_value(), read_proc("/proc/pressure/io").has_value());
}

}  // namespace
}  // namespace ts::shell
