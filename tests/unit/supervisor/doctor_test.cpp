// What the doctor makes of its facts, and how it tells it. Each finding is seen with and without its reason.
#include "supervisor/ctl/doctor.h"

#include <unistd.h>

#include <stdexcept>

#include <boost/json/array.hpp>
#include <gtest/gtest.h>

#include "common/base/json.h"
#include "supervisor/ctl/doctor_command.h"
#include "tests/unit/session/temp_directory.h"

namespace ts::ctl::doctor {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

// The level of one check; nothing when it is not among the findings.
std::optional<Level> level_of(const Findings& findings, const std::string& check) {
  for (const Finding& finding : findings) {
    EXPECT_FALSE(finding.what.empty());
    if (finding.level == Level::problem) {
      EXPECT_FALSE(finding.todo.empty()) << finding.what;
    }
    if (finding.check == check) return finding.level;
  }
  return std::nullopt;
}

DirectoryFacts healthy() {
  DirectoryFacts facts;
  facts.check = "models";
  facts.path = "models";
  facts.exists = facts.writable = true;
  facts.owner = facts.user = "ann";
  facts.mode = 0750;
  facts.kind = "ext4";
  facts.options = ",rw,relatime,rw,";
  facts.free_bytes = 10 * kGiB;
  facts.total_inodes = facts.free_inodes = 1'000'000;
  return facts;
}

TEST(ADirectory, IsWritableOrAProblem) {
  EXPECT_FALSE(has_problem(judge_directory(healthy())));
  auto facts = healthy();
  facts.writable = false;
  EXPECT_EQ(level_of(judge_directory(facts), "models.writable"), Level::problem);
  facts = healthy();
  facts.options = ",ro,relatime,rw,";
  EXPECT_EQ(level_of(judge_directory(facts), "models.writable"), Level::problem);
  facts = healthy();
  facts.options = ",rw,errors=remount-ro,";
  EXPECT_EQ(level_of(judge_directory(facts), "models.writable"), Level::ok);
  facts = healthy();
  facts.exists = false;
  EXPECT_EQ(level_of(judge_directory(facts), "models.writable"), Level::ok) << "it can be made";
  facts.trouble = "models is no directory";
  EXPECT_EQ(level_of(judge_directory(facts), "models.directory"), Level::problem);
}

TEST(ADirectory, IsForItsOwnersAndHasRoom) {
  auto facts = healthy();
  facts.mode = 0777;
  EXPECT_EQ(level_of(judge_directory(facts), "models.mode"), Level::warning);
  facts.mode = 01777;
  EXPECT_FALSE(level_of(judge_directory(facts), "models.mode"));
  facts = healthy();
  facts.free_inodes = 500;
  EXPECT_EQ(level_of(judge_directory(facts), "models.inodes"), Level::warning);
  facts.free_inodes = 3;
  EXPECT_EQ(level_of(judge_directory(facts), "models.inodes"), Level::problem);
  facts.total_inodes = facts.free_inodes = 0;  // btrfs
  EXPECT_FALSE(level_of(judge_directory(facts), "models.inodes"));
  facts = healthy();
  facts.check = "logs";
  EXPECT_FALSE(level_of(judge_directory(facts), "logs.space"));
  facts.free_bytes = 5 * kMiB;
  EXPECT_EQ(level_of(judge_directory(facts), "logs.space"), Level::warning);
  facts.free_bytes = 0;
  EXPECT_EQ(level_of(judge_directory(facts), "logs.space"), Level::problem);
}

TEST(AFileSystem, P2_IsJudgedByWhetherItKeepsWhatWasSaved) {
  const auto level = [](const char* check, const char* kind, const char* options = ",rw,") {
    return judge_file_system(check, "x", kind, options).level;
  };
  for (const char* kind : {"ext4", "xfs", "btrfs"}) EXPECT_EQ(level("models", kind), Level::ok) << kind;
  EXPECT_EQ(level("models", "ext4", ",rw,data=writeback,"), Level::ok);
  EXPECT_EQ(level("models", "ext4", ",rw,nobarrier,"), Level::warning);
  EXPECT_EQ(level("models", "ext4", ",rw,barrier=0,"), Level::warning);
  EXPECT_EQ(level("models", "overlay", ",rw,volatile,"), Level::warning);
  EXPECT_EQ(level("models", "tmpfs"), Level::problem);
  EXPECT_EQ(level("logs", "tmpfs"), Level::warning);
  for (const char* kind : {"nfs", "nfs4", "cifs", "9p", "overlay", "fuse.sshfs", "fuseblk", "vfat", "surprise", ""}) {
    EXPECT_EQ(level("models", kind), Level::warning) << kind;
  }
}

TEST(TheSpace, IsMeasuredAgainstTheCheckpointsToCome) {
  config::Config config;
  SpaceFacts facts;
  facts.free_bytes = 10 * kGiB;
  EXPECT_EQ(level_of(judge_space(facts, config), "models.space"), Level::ok) << "none was saved yet";
  facts.free_bytes = kMiB;
  EXPECT_EQ(level_of(judge_space(facts, config), "models.space"), Level::warning);
  facts.pair_bytes = 100 * kMiB;
  facts.free_bytes = 650 * kMiB;  // six and the best are to come: 700
  EXPECT_EQ(level_of(judge_space(facts, config), "models.space"), Level::problem);
  facts.pairs = 5;
  facts.best = true;
  EXPECT_EQ(level_of(judge_space(facts, config), "models.space"), Level::ok) << "one more is to come";
  facts.free_bytes = 150 * kMiB;
  EXPECT_EQ(level_of(judge_space(facts, config), "models.space"), Level::warning);
  facts.free_bytes = 90 * kMiB;
  facts.pairs = 50;
  EXPECT_EQ(level_of(judge_space(facts, config), "models.space"), Level::problem) << "the next comes before one goes";
}

TEST(Milestones, FitUntilTheEndOfTheRunOrItIsSaidForHowLongTheyDo) {
  config::Config config;
  SpaceFacts facts{10 * kGiB, kGiB, 6, true, 1000, 0.1};
  EXPECT_FALSE(level_of(judge_space(facts, config), "models.milestones"));
  config.checkpoints.keep_every = 200;
  EXPECT_EQ(level_of(judge_space(facts, config), "models.milestones"), Level::ok);
  config.checkpoints.keep_every = 50;
  const auto findings = judge_space(facts, config);
  EXPECT_EQ(level_of(findings, "models.milestones"), Level::warning);
  EXPECT_NE(findings.back().what.find("9 of the 20 milestones"), std::string::npos) << findings.back().what;
  EXPECT_NE(findings.back().what.find("1.2 hours"), std::string::npos) << findings.back().what;
}

TEST(ALock, P4_KeepsNobodyOutOnceItsHolderHasEnded) {
  EXPECT_EQ(judge_lock({"models/.lock", 7, "trainer", {7}}).level, Level::ok);
  const auto left = judge_lock({"models/.lock", 7, "trainer", {}});
  EXPECT_EQ(left.level, Level::ok);
  EXPECT_NE(left.what.find("keeps nobody out"), std::string::npos);
  EXPECT_EQ(judge_lock({"models/.lock", 7, "trainer", {8}}).level, Level::warning);
  EXPECT_EQ(judge_lock({"models/.lock", {}, "", {8}}).level, Level::warning);
  EXPECT_EQ(judge_lock({"models/.lock", {}, "", {}}).level, Level::ok);
}

TEST(Leftovers, AreNamedUnlessSomebodyIsAtWork) {
  EXPECT_TRUE(judge_leftovers({}).empty());
  LeftoverFacts facts{"models", 2, true, 5, 1, 7, false};
  auto findings = judge_leftovers(facts);
  EXPECT_EQ(level_of(findings, "leftovers.temporary"), Level::warning);
  EXPECT_EQ(level_of(findings, "leftovers.going_back"), Level::warning);
  EXPECT_EQ(level_of(findings, "leftovers.quarantine"), Level::warning);
  EXPECT_EQ(level_of(findings, "leftovers.superseded"), Level::ok);
  EXPECT_NE(render(findings).find("2 unfinished files of a save that was cut off lie in models."), std::string::npos);
  EXPECT_NE(render(findings).find("holds 1 checkpoint (5 B), "), std::string::npos);
  facts.in_use = true;
  findings = judge_leftovers(facts);
  EXPECT_FALSE(level_of(findings, "leftovers.temporary"));
  EXPECT_FALSE(level_of(findings, "leftovers.going_back"));
}

TEST(TheSupervisor, IsThereOrItIsSaidWhyNot) {
  using Answer = SupervisorFacts::Answer;
  SupervisorFacts facts{"s", Answer::yes, "ann", 0660, "", "1", "1", "running", "attempt 1 is training"};
  EXPECT_EQ(level_of(judge_supervisor(facts), "supervisor"), Level::ok);
  EXPECT_EQ(judge_supervisor(facts).size(), 1U);
  facts.own_version = "2";
  facts.mode = 0666;
  EXPECT_EQ(level_of(judge_supervisor(facts), "supervisor.version"), Level::warning);
  EXPECT_EQ(level_of(judge_supervisor(facts), "supervisor.socket"), Level::warning);
  facts.state = "fatal";
  EXPECT_EQ(level_of(judge_supervisor(facts), "supervisor"), Level::problem);
  const std::pair<Answer, Level> others[] = {{Answer::no_socket, Level::warning},
                                             {Answer::nobody, Level::warning},
                                             {Answer::no_permission, Level::problem},
                                             {Answer::no_answer, Level::problem}};
  for (const auto& [answer, level] : others) {
    facts.answer = answer;
    EXPECT_EQ(level_of(judge_supervisor(facts), "supervisor"), level);
  }
}

MachineFacts good_machine() {
  MachineFacts facts;
  facts.cpus = 4;
  facts.threads = 4;
  facts.memory_total = facts.memory_available = 16 * kGiB;
  facts.clock_synchronized = facts.debugger = true;
  facts.year = 2026;
  return facts;
}

TEST(TheMachine, IsMeasuredAgainstTheConfiguration) {
  for (const Finding& finding : judge_machine(good_machine())) EXPECT_EQ(finding.level, Level::ok) << finding.what;
  auto facts = good_machine();
  facts.cpu_limit = 1.5;
  EXPECT_EQ(level_of(judge_machine(facts), "cpus"), Level::warning);
  facts = good_machine();
  facts.snapshot_bytes = kGiB;
  EXPECT_EQ(level_of(judge_machine(facts), "memory"), Level::ok);
  facts.memory_limit = 6 * kGiB;
  EXPECT_EQ(level_of(judge_machine(facts), "memory"), Level::warning);
  facts.memory_limit = 3 * kGiB;
  EXPECT_EQ(level_of(judge_machine(facts), "memory"), Level::problem);
  facts.overcommit = 2;
  EXPECT_EQ(level_of(judge_machine(facts), "memory.overcommit"), Level::warning);
}

TEST(TheMachine, IsAskedForItsClockAndItsDebugger) {
  auto facts = good_machine();
  facts.clock_synchronized = false;
  EXPECT_EQ(level_of(judge_machine(facts), "clock"), Level::warning);
  facts.newest_in_future = true;
  EXPECT_EQ(level_of(judge_machine(facts), "clock"), Level::warning);
  facts.year = 1970;
  EXPECT_EQ(level_of(judge_machine(facts), "clock"), Level::problem);
  facts.ptrace_scope = 1;
  EXPECT_EQ(level_of(judge_machine(facts), "stacks"), Level::warning);
  facts.debugger = false;
  EXPECT_EQ(level_of(judge_machine(facts), "stacks"), Level::warning);
}

TEST(TheWorker, ItsDataAndItsServiceAreThereOrNamed) {
  WorkerFacts good;
  good.found = good.executable = good.data_readable = true;
  good.blas = "/usr/lib/x86_64-linux-gnu/openblas-pthread/libblas.so.3";
  for (const Finding& finding : judge_worker(good)) EXPECT_EQ(finding.level, Level::ok) << finding.what;
  auto facts = good;
  facts.executable = false;
  EXPECT_EQ(level_of(judge_worker(facts), "worker"), Level::problem);
  facts = good;
  facts.data_readable = false;
  EXPECT_EQ(level_of(judge_worker(facts), "data"), Level::problem);
  facts.ours = false;
  EXPECT_FALSE(level_of(judge_worker(facts), "data")) << "another program's data is not ours to judge";
  facts = good;
  facts.blas = "/usr/lib/x86_64-linux-gnu/blas/libblas.so.3.11.0";
  EXPECT_EQ(level_of(judge_worker(facts), "blas"), Level::warning);
  facts = good;
  facts.device = "cuda:0";
  EXPECT_EQ(level_of(judge_worker(facts), "gpu"), Level::problem);
  facts.gpu_device = true;
  EXPECT_EQ(level_of(judge_worker(facts), "gpu"), Level::ok);
  facts.systemd = facts.unit_installed = true;
  EXPECT_EQ(level_of(judge_worker(facts), "service"), Level::warning);
  facts.unit_enabled = true;
  EXPECT_EQ(level_of(judge_worker(facts), "service"), Level::ok);
}

TEST(Findings, AreToldWithTheProblemsFirstAndCountedForPrograms) {
  const doctor::Findings findings = {
      {"a", Level::ok, "fine.", ""}, {"b", Level::warning, "odd.", "look."}, {"c", Level::problem, "bad.", "mend it."}};
  const std::string text = render(findings);
  EXPECT_EQ(text,
            "problem  bad.\n         To do: mend it.\nwarning  odd.\n         To do: look.\nok       fine.\n\n"
            "1 problem, 1 warning, 3 findings in all.\n");
  const auto document = to_document(findings);
  EXPECT_EQ(integer_member(document, "format"), 1);
  EXPECT_EQ(integer_member(document, "problems"), 1);
  for (const Finding& finding : findings) EXPECT_EQ(finding_from(to_object(finding)), finding);
  EXPECT_FALSE(finding_from({{"level", "surprise"}}));
}

TEST(Findings, P7_NeverDriveTheTerminal) {
  auto facts = healthy();
  facts.path = facts.owner = facts.user = facts.kind = "\x1b[2J";
  facts.writable = false;
  EXPECT_EQ(render(judge_directory(facts)).find('\x1b'), std::string::npos);
}

TEST(ALookInAChild, BringsItsFindingsBackAndNamesWhatFails) {
  const Finding one{"x", Level::warning, "odd.", "look."};
  EXPECT_EQ(look_bounded("x", "it", [&] { return doctor::Findings{one}; }), doctor::Findings{one});
  EXPECT_TRUE(has_problem(look_bounded("x", "it", []() -> doctor::Findings { throw std::runtime_error("no"); })));
  EXPECT_TRUE(has_problem(look_bounded("x", "it", []() -> doctor::Findings { ::_exit(3); })));
}

TEST(ALookInAChild, ThatHangsIsLeftBehindAndNamed) {
  const auto findings = look_bounded("models", "models", []() -> doctor::Findings {
    while (true) ::pause();
  });
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings.front().level, Level::problem);
  EXPECT_NE(findings.front().what.find("looking at models took longer"), std::string::npos);
}

TEST(TheFactsOfADirectory, AreThoseOfTheOneAboveWhileItIsMissing) {
  TempDirectory directory;
  const auto there = look_at_directory("models", directory.path());
  EXPECT_TRUE(there.exists);
  EXPECT_TRUE(there.writable);
  EXPECT_FALSE(there.kind.empty());
  const auto missing = look_at_directory("models", directory / "a/b");
  EXPECT_FALSE(missing.exists);
  EXPECT_EQ(missing.trouble, "");
  EXPECT_EQ(missing.free_bytes > 0, there.free_bytes > 0);
  write_text(directory / "file", "x");
  EXPECT_NE(look_at_directory("models", directory / "file").trouble, "");
  EXPECT_NE(look_at_directory("models", directory / "file/below").trouble, "");
}

}  // namespace
}  // namespace ts::ctl::doctor
