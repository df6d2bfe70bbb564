// Who belongs to a launch, in worlds of made-up processes: parents, reused numbers, daemons of this attempt and earlier
// ones (P7, P9).
#include "supervisor/shell/process_tree.h"

#include <signal.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "supervisor/shell/speakers.h"
#include "supervisor/shell/stragglers.h"

namespace ts::shell {
namespace {

TEST(ASignal, IsCaughtWhenTheKernelSaysSo) {
  const std::string status = "Name:\ta\nSigIgn:\t0000000000000800\nSigCgt:\t8000000000004200\nCapInh:\t0\n";
  for (const auto& [signal, caught] : {std::pair{SIGUSR1, true},
                                       {SIGTERM, true},
                                       {64, true},
                                       {SIGUSR2, false},
                                       {0, false},
                                       {-1, false},
                                       {65, false}}) {
    EXPECT_EQ(catches(status, signal), caught) << signal;
  }
  for (const std::string text : {"", "\nSigCgt:\t", "\nSigCgt:\tzz\n", "\nSigCgt:\t11111111111111111\n"}) {
    EXPECT_FALSE(catches(text, SIGHUP)) << text;
  }
}

TEST(TheLineOfAProcess, IsReadWhateverItsCommandIsCalled) {
  const auto facts = facts_from_stat("42 (a) b (c) S 7 41 40 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 5678 9 10\n");
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->pid, 42);
  EXPECT_EQ(facts->command, "a) b (c");
  EXPECT_EQ(facts->parent, 7);
  EXPECT_EQ(facts->group, 41);
  EXPECT_EQ(facts->session, 40);
  EXPECT_EQ(facts->start_ticks, 5678U);
  EXPECT_FALSE(facts->ended);
  EXPECT_TRUE(facts_from_stat("42 (x) Z 7 41 40 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 5678")->ended);
  for (const auto* text :
       {"", "(", ")", "()", "42", "42 (x)", "42 (x) S", "42 )x( S 1", "42 (x) S a b", "x (y) S 7 41",
        "42 (x) S 7 41 40 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0", "42 (x) S 7 41 40 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 z"}) {
    EXPECT_FALSE(facts_from_stat(text)) << text;
  }
}

TEST(TheLineOfAProcess, IsOurOwn) {
  const auto facts = look_at(::getpid());
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->parent, ::getppid());
  EXPECT_EQ(facts->group, ::getpgrp());
  EXPECT_EQ(facts->session, ::getsid(0));
  EXPECT_EQ(facts->start_ticks, identify_process(::getpid())->start_ticks);
  EXPECT_TRUE(all_processes().contains(::getpid()));
  EXPECT_FALSE(look_at(0));
  EXPECT_FALSE(look_at(-1));
}

constexpr pid_t kSelf = 100;
constexpr pid_t kWorker = 200;
constexpr uid_t kUser = 1000;
const LaunchMarks kMarks{"run", 2, "/models/.supervisor", "1:2", {}};
const LaunchMarks kEarlier{"run", 1, kMarks.state_directory, kMarks.state_id, {}};

// The supervisor (100), its worker (200, launched at tick 5000), and whoever is added.
class World : public testing::Test {
 protected:
  World() {
    add({kSelf, 1, kSelf, 1000, false, "supervisor"});
    add({kWorker, kSelf, kWorker, 5000, false, "worker"}, kMarks);
  }

  void add(ProcessFacts facts, std::optional<LaunchMarks> marks = std::nullopt) {
    marks_[facts.pid] = std::move(marks);
    table_[facts.pid] = std::move(facts);
  }
  void child(pid_t pid, pid_t parent, pid_t group, std::optional<LaunchMarks> marks = std::nullopt) {
    add({pid, parent, group, 5000U + static_cast<std::uint64_t>(pid), false, "p"}, std::move(marks));
  }
  ProcessView view() {
    return {[this](pid_t pid) -> std::optional<ProcessFacts> {
              ++looks_;
              const auto found = table_.find(pid);
              return found == table_.end() ? std::nullopt : std::optional(found->second);
            },
            [this](pid_t pid) { return marks_[pid]; }, kSelf, kUser};
  }
  bool may_speak(pid_t pid, uid_t user = kUser) { return speakers_.may_speak({pid, user}); }
  std::vector<pid_t> stragglers(pid_t below = kSelf, const std::set<pid_t>& kept = {kWorker}) {
    std::vector<pid_t> out;
    for (const auto& p : left_behind(table_, launch_, kSelf, below, kept, view().marks).stragglers)
      out.push_back(p.pid);
    return out;
  }
  // The worker has ended: its orphans are the subreaper's.
  void worker_ends() {
    table_[kWorker].ended = true;
    for (auto& [pid, process] : table_) {
      if (process.parent == kWorker) process.parent = kSelf;
    }
  }

  ProcessTable table_;
  std::map<pid_t, std::optional<LaunchMarks>> marks_;
  int looks_ = 0;
  Launch launch_{{kWorker, 5000, "boot"}, kMarks};
  Speakers speakers_{launch_, Leader::orphan, view()};
};

using WhoMaySpeak = World;
using WhoMustGo = World;

TEST_F(WhoMaySpeak, TheWorkerItsGroupAndItsDescendants) {
  child(301, kWorker, kWorker);
  child(302, kSelf, kWorker);  // its parent has gone, the group is still the worker's
  child(303, 301, 303);        // a session of its own
  child(304, 303, 304);
  for (const pid_t pid : {kWorker, 301, 302, 303, 304}) EXPECT_TRUE(may_speak(pid)) << pid;
}

TEST_F(WhoMaySpeak, NobodyElse) {
  child(301, 1, 301);
  child(302, kSelf, 302);  // a debugger of ours, say
  for (const pid_t pid : {kSelf, 1, 0, -1, 301, 302, 999}) EXPECT_FALSE(may_speak(pid)) << pid;
}

TEST_F(WhoMaySpeak, ADaemonOfThisAttemptAndNoneOfAnEarlierOne) {
  child(301, kSelf, 301, kMarks);
  child(302, kSelf, 302, kEarlier);
  child(303, kSelf, 303, LaunchMarks{"run", 2, kMarks.state_directory, "1:3", {}});
  child(304, kSelf, 304, LaunchMarks{"other", 2, kMarks.state_directory, kMarks.state_id, {}});
  EXPECT_TRUE(may_speak(301));
  for (const pid_t pid : {302, 303, 304}) EXPECT_FALSE(may_speak(pid)) << pid;
  add({305, kSelf, 305, 4999, false, "old"}, kMarks);  // older than the worker, so not its child whatever it says
  EXPECT_FALSE(may_speak(305));
}

TEST_F(WhoMaySpeak, NoOtherUserThanRootAndOurs) {
  child(301, kWorker, kWorker);
  EXPECT_TRUE(may_speak(301, 0));
  EXPECT_TRUE(may_speak(301, kUser));
  EXPECT_FALSE(may_speak(301, kUser + 1));
  EXPECT_FALSE(may_speak(kWorker, kUser + 1));
}

TEST_F(WhoMaySpeak, NotWhoeverIsGivenANumberAgain) {
  child(301, kWorker, kWorker);
  EXPECT_TRUE(may_speak(301));
  add({301, 1, 301, 9000, false, "other"});
  EXPECT_FALSE(may_speak(301)) << "remembered by its number alone";
  add({301, kWorker, kWorker, 9500, false, "again"});
  EXPECT_TRUE(may_speak(301));
  // A parent that is younger than its child was given the number of the real one.
  add({400, kWorker, 400, 9000, false, "parent"});
  add({401, 400, 401, 8000, false, "child"});
  EXPECT_FALSE(may_speak(401));
  // And the worker's own number.
  table_[kWorker].start_ticks = 9999;
  EXPECT_FALSE(may_speak(kWorker));
  table_.erase(kWorker);
  EXPECT_TRUE(may_speak(kWorker)) << "its last words are read after its end";
}

TEST_F(WhoMaySpeak, AChildOfOursWithoutALookAndNoOtherUserForIt) {
  Speakers of_child{launch_, Leader::child, view()};
  EXPECT_TRUE(of_child.may_speak({kWorker, kUser}));
  EXPECT_EQ(looks_, 0);
  EXPECT_FALSE(of_child.may_speak({kWorker, kUser + 1}));
  child(301, 1, 301);
  EXPECT_FALSE(of_child.may_speak({301, kUser}));
}

TEST_F(WhoMaySpeak, WithOneLookForEachBeatOnceItIsKnown) {
  child(301, kWorker, 301);
  child(302, 301, 302);
  child(303, 1, 303);
  EXPECT_TRUE(may_speak(302));
  EXPECT_FALSE(may_speak(303));
  looks_ = 0;
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(may_speak(302));
    EXPECT_FALSE(may_speak(303));
  }
  EXPECT_EQ(looks_, 20);
  for (pid_t pid = 10'000; pid < 15'000; ++pid) {  // a new process for each beat fills no memory and changes no answer
    child(pid, 1, pid);
    EXPECT_FALSE(may_speak(pid));
  }
  EXPECT_TRUE(may_speak(302));
}

TEST_F(WhoMaySpeak, WithoutEndWhenParentsFormALoop) {
  child(301, 302, 301);
  child(302, 301, 302);
  table_[301].start_ticks = table_[302].start_ticks;
  EXPECT_FALSE(may_speak(301));
}

TEST_F(WhoMustGo, DaemonsWithTheMarksOfThisLaunchAndWhatTheyStarted) {
  child(301, kWorker, kWorker);    // the group's, no straggler
  child(302, kSelf, 302, kMarks);  // a daemon
  child(303, 302, 303);            // its child, which wiped its environment
  child(304, kSelf, 304, kEarlier);
  child(305, kSelf, 305);      // a hook, a debugger
  child(306, 1, 306, kMarks);  // bears them, but is not below us
  add({307, kSelf, 307, 4999, false, "older"}, kMarks);
  worker_ends();
  EXPECT_EQ(stragglers(), (std::vector<pid_t>{302, 303}));
  const auto left = left_behind(table_, launch_, kSelf, kSelf, {}, view().marks);
  ASSERT_EQ(left.group.size(), 1U);
  EXPECT_EQ(left.group[0].pid, 301);
}

TEST_F(WhoMustGo, OfAnAdoptedWorkerWhoeverBearsOurMarksWhereverItIs) {
  child(302, 1, 302, kMarks);
  child(303, 302, 303);
  child(304, 1, 304, LaunchMarks{"run", 2, kMarks.state_directory, "1:3", {}});
  EXPECT_EQ(stragglers(0), (std::vector<pid_t>{302, 303}));
  // Without the directory two supervisors of copied directories may have launched the same attempt of the same run.
  launch_.marks.state_id.clear();
  marks_[302]->state_id.clear();
  EXPECT_TRUE(stragglers(0).empty());
}

TEST_F(WhoMustGo, NobodyWhoseMarksAreNotKnown) {
  child(302, kSelf, 302, LaunchMarks{});
  launch_.marks = {};
  EXPECT_TRUE(stragglers().empty());
}

TEST_F(WhoMustGo, NoChildThatSomebodyHereKeepsNorWhatItStarted) {
  child(302, kSelf, 302, kMarks);
  child(303, 302, 303, kMarks);
  child(304, kSelf, 304, kMarks);
  EXPECT_EQ(stragglers(kSelf, {kWorker, 302}), (std::vector<pid_t>{304}));
}

TEST_F(WhoMustGo, NoGroupThatOnlyHasTheNumber) {
  child(301, kWorker, kWorker);
  add({kWorker, 1, kWorker, 7000, false, "stranger"});
  const auto left = left_behind(table_, launch_, kSelf, 0, {}, view().marks);
  EXPECT_TRUE(left.empty());
}

TEST_F(WhoMustGo, InFamiliesOfAnyDepth) {
  pid_t parent = kSelf;
  for (pid_t pid = 1000; pid < 3000; ++pid) {
    child(pid, parent, pid, kMarks);
    parent = pid;
  }
  EXPECT_GE(stragglers().size(), 200U);
}

TEST(TheNamesOfProcesses, AreEscapedAndFew) {
  EXPECT_EQ(names_of({{12, "a\nb"}}), "process 12 (a\\x0ab)");
  std::map<pid_t, std::string> many;
  for (pid_t pid = 1; pid <= 100; ++pid) many[pid] = "x";
  EXPECT_TRUE(names_of(many).ends_with("8 (x) and 92 more"));
}

}  // namespace
}  // namespace ts::shell
