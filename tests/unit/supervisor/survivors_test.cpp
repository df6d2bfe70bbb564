// What earlier supervisors have launched and nobody watches any more: found by the marks of its launch, and by nothing
// less (P4, P6).
#include "supervisor/shell/survivors.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "supervisor/shell/proc.h"
#include "tests/unit/session/temp_directory.h"

namespace ts::shell {
namespace {

TEST(MarksOfALaunch, AreReadFromAnEnvironmentWhateverElseIsInIt) {
  using namespace std::string_view_literals;
  const auto marks = marks_in(
      "A=1\0TRAINER_RUN_ID=r=1\0TRAINER_ATTEMPT=7\0TRAINER_STATE_DIRECTORY=/n\0TRAINER_STATE_ID=1:2\0"
      "TRAINER_RESUME_CHECKPOINT=m/model_ep250.pt\0TRAINER_RESUME_EPISODE=250\0XTRAINER_ATTEMPT=9\0"sv);
  EXPECT_EQ(marks.run_id, "r=1");
  EXPECT_EQ(marks.attempt, 7);
  EXPECT_EQ(marks.state_directory, "/n");
  EXPECT_EQ(marks.state_id, "1:2");
  EXPECT_EQ(marks.resume, (core::ResumePoint{250, "m/model_ep250.pt", false}));
  EXPECT_EQ(marks_in("TRAINER_RESUME_CHECKPOINT=x.pt\0"sv).resume, (core::ResumePoint{0, "x.pt", true}));
  for (const auto text : {""sv, "\0\0\0"sv, "TRAINER_ATTEMPT"sv, "=x\0"sv}) EXPECT_EQ(marks_in(text).attempt, 0);
  for (const auto text : {"TRAINER_ATTEMPT="sv, "TRAINER_ATTEMPT=7x\0"sv, "TRAINER_ATTEMPT=-7\0"sv,
                          "TRAINER_ATTEMPT=9223372036854775807\0"sv, "TRAINER_ATTEMPT=99999999999999999999\0"sv}) {
    EXPECT_LE(marks_in(text).attempt, 0) << text;
  }
}

TEST(ADirectory, IsTheSameWhateverItIsCalled) {
  const TempDirectory directory;
  const auto id_of = [](const std::filesystem::path& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    std::string id = directory_id(fd);
    ::close(fd);
    return id;
  };
  std::filesystem::create_directory(directory / "a");
  const std::string before = id_of(directory / "a");
  EXPECT_NE(before.find(':'), std::string::npos);
  std::filesystem::rename(directory / "a", directory / "b");
  std::filesystem::create_directory(directory / "a");
  EXPECT_EQ(id_of(directory / "b"), before);
  EXPECT_NE(id_of(directory / "a"), before);
  EXPECT_EQ(directory_id(-1), "");
}

constexpr pid_t kSelf = 100;
constexpr pid_t kShell = 90;  // that we were started from

// Ourselves, and what earlier supervisors have left: all of it is init's by now.
class Orphans : public testing::Test {
 protected:
  Orphans() {
    process(kShell, 1, kShell, kShell);
    process(kSelf, kShell, kSelf, kShell);
  }

  void process(pid_t pid, pid_t parent, pid_t group, pid_t session) {
    ProcessFacts facts;
    facts.pid = pid;
    facts.parent = parent;
    facts.group = group;
    facts.session = session;
    facts.start_ticks = 1000U + static_cast<std::uint64_t>(pid);
    facts.command = "p";
    table_[pid] = facts;
  }
  void launched(pid_t pid, std::int64_t attempt) {
    process(pid, 1, pid, 50);
    marks_[pid] = LaunchMarks{"run", attempt, "/state", "1:2", {}};
  }
  void started(pid_t pid, pid_t parent, pid_t group, pid_t session, std::int64_t attempt) {
    process(pid, parent, group, session);
    marks_[pid] = LaunchMarks{"run", attempt, "/state", "1:2", {}};
  }
  Survivors find(std::int64_t unknown_from = 1) {
    return find_survivors(table_, kSelf, unknown_from, [this](pid_t pid) -> std::optional<LaunchMarks> {
      const auto found = marks_.find(pid);
      return found == marks_.end() ? std::nullopt : std::optional(found->second);
    });
  }
  std::vector<pid_t> leftovers(std::int64_t unknown_from = 1) {
    std::vector<pid_t> out;
    for (const auto& left : find(unknown_from).leftovers) out.push_back(left.pid);
    return out;
  }

  ProcessTable table_;
  std::map<pid_t, LaunchMarks> marks_;
};

TEST_F(Orphans, P4_TheWorkerIsFoundWithoutALock) {
  process(150, 1, 150, 50);  // somebody else's
  launched(200, 3);
  started(201, 200, 200, 50, 3);
  started(202, 1, 202, 202, 3);  // its daemon
  const auto found = find();
  ASSERT_TRUE(found.worker);
  EXPECT_EQ(found.worker->identity.pid, 200);
  EXPECT_EQ(found.worker->identity.start_ticks, 1200U);
  EXPECT_EQ(found.worker->run_id, "run");
  EXPECT_EQ(found.worker->attempt, 3);
  EXPECT_TRUE(found.leftovers.empty());
}

TEST_F(Orphans, P4_TheWorkerIsTheOneThatWasLaunchedAndNoneOfItsGroups) {
  launched(300, 3);
  started(250, 300, 250, 50, 3);  // in a group of its own as shells make them, its number given out after a wrap
  table_[250].start_ticks = 9000;
  ASSERT_TRUE(find().worker);
  EXPECT_EQ(find().worker->identity.pid, 300);
  table_[250].parent = 1;  // what is between has ended: the elder one was launched
  EXPECT_EQ(find().worker->identity.pid, 300);
}

TEST_F(Orphans, P4_OfTwoLaunchesTheNewerOneIsTheWorkerAndTheOtherALeftover) {
  launched(200, 4);
  launched(300, 3);
  ASSERT_TRUE(find().worker);
  EXPECT_EQ(find().worker->identity.pid, 200);
  EXPECT_EQ(leftovers(), (std::vector<pid_t>{300}));
}

TEST_F(Orphans, OfALaunchWhoseWorkerIsKnownToHaveEndedAreLeftovers) {
  launched(200, 3);  // a group that its shell made, say
  started(202, 1, 202, 202, 3);
  EXPECT_FALSE(find(4).worker);
  EXPECT_EQ(leftovers(4), (std::vector<pid_t>{200, 202}));
}

TEST_F(Orphans, ThatAreDaemonsAreNeverTheWorker) {
  started(202, 1, 202, 202, 3);
  started(203, 202, 202, 202, 3);
  EXPECT_FALSE(find().worker);
  EXPECT_EQ(leftovers(), (std::vector<pid_t>{202, 203}));
}

TEST_F(Orphans, P7_AreNobodyThatHasEndedOrIsOfTheKernelOrOurs) {
  launched(200, 3);
  table_[200].ended = true;
  marks_[kShell] = marks_[kSelf] = marks_[200];  // we were started from within a worker, of whatever supervisor
  started(101, kSelf, 101, kShell, 3);           // a program of ours
  started(102, 101, 102, kShell, 3);
  started(2, 0, 0, 0, 3);
  started(12, 2, 0, 0, 3);
  EXPECT_FALSE(find().worker);
  EXPECT_TRUE(find().leftovers.empty());
}

const std::string kHere = "123456789:987654321";  // of a device that there is not

// Real processes with an environment, in groups of their own.
class RealOrphans : public testing::Test {
 protected:
  ~RealOrphans() override {
    for (const pid_t pid : orphans_) ::kill(pid, SIGKILL);
  }
  // Not below us: through a parent that has ended.
  pid_t orphan(std::vector<std::string> environment, uid_t user = ::geteuid()) {
    ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);  // another test may have made us one
    int number[2];
    EXPECT_EQ(::pipe2(number, O_CLOEXEC), 0);
    const pid_t between = ::fork();
    if (between == 0) {
      const pid_t child = ::fork();
      if (child == 0) {
        ::setpgid(0, 0);
        if (::setuid(user) != 0) ::_exit(126);
        std::vector<char*> pointers;
        for (std::string& entry : environment) pointers.push_back(entry.data());
        pointers.push_back(nullptr);
        char name[] = "sleep";
        char time[] = "1000";
        char* const arguments[] = {name, time, nullptr};
        ::execve("/bin/sleep", arguments, pointers.data());
        ::_exit(127);
      }
      (void)!::write(number[1], &child, sizeof child);
      ::_exit(0);
    }
    pid_t child = 0;
    EXPECT_EQ(::read(number[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
    ::close(number[0]);
    ::close(number[1]);
    EXPECT_EQ(::waitpid(between, nullptr, 0), between);
    for (int i = 0; i < 5000 && look_at(child) && look_at(child)->command != "sleep"; ++i) ::usleep(1000);
    orphans_.push_back(child);
    return child;
  }
  std::vector<std::string> marked(const std::string& attempt, const std::string& directory) const {
    return {"TRAINER_RUN_ID=run", "TRAINER_ATTEMPT=" + attempt, "TRAINER_STATE_ID=" + directory,
            "TRAINER_RESUME_CHECKPOINT=m/model_ep9.pt", "TRAINER_RESUME_EPISODE=9"};
  }
  static bool is_there(pid_t pid) {
    const auto facts = look_at(pid);
    return facts && !facts->ended;
  }
  TempDirectory directory_;
  std::vector<pid_t> orphans_;
};

TEST_F(RealOrphans, P4_AreFoundAndWhatEarlierOnesLeftIsEnded) {
  const pid_t worker = orphan(marked("3", kHere));
  const pid_t left = orphan(marked("2", kHere));
  const pid_t others[] = {orphan(marked("3", "8:9")), orphan(marked("0", kHere)),
                          orphan({"TRAINER_ATTEMPT=3", "TRAINER_STATE_ID=" + kHere}), orphan({})};
  const auto settled = settle_survivors(kHere, 3);
  ASSERT_TRUE(settled.worker);
  EXPECT_EQ(settled.worker->identity, identify_process(worker));
  EXPECT_EQ(settled.worker->attempt, 3);
  EXPECT_EQ(settled.worker->resume, (core::ResumePoint{9, "m/model_ep9.pt", false}));
  EXPECT_TRUE(is_there(worker));
  EXPECT_FALSE(is_there(left));
  ASSERT_EQ(settled.notes.size(), 1U);
  EXPECT_NE(settled.notes[0].find(std::to_string(left) + " (sleep)"), std::string::npos) << settled.notes[0];
  for (const pid_t pid : others) EXPECT_TRUE(is_there(pid));
  EXPECT_FALSE(settle_survivors(kHere, 4).worker);
  EXPECT_FALSE(is_there(worker)) << "its end was known";
}

TEST_F(RealOrphans, P7_OfOtherUsersAreNotOurs) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can start a process of another user";
  EXPECT_TRUE(marks_from(orphan(marked("3", kHere)), kHere));
  EXPECT_FALSE(marks_from(orphan(marked("3", kHere), 65534), kHere));
  EXPECT_FALSE(marks_from(orphan(marked("3", "")), "")) << "ours could not be seen";
}

}  // namespace
}  // namespace ts::shell
