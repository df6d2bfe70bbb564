// Where a launch resumes, on real directories: whatever lies there, a good checkpoint is found and none is lost (P2,
// P7).
#include "supervisor/shell/launch_preparation.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/checkpoint/directory_lock.h"
#include "tests/unit/supervisor/model_files.h"

namespace ts::shell {
namespace {

using core::LaunchFrom;

class Preparation : public ModelFiles {
 protected:
  std::optional<core::Poison> poison;

  LaunchPlan prepare(const LaunchFrom& from = {}, const std::string& run_id = "run") {
    return prepare_launch({7, from, poison}, nullptr, {run_id, "", std::nullopt}, config);
  }
  static core::LaunchPrepared prepared(const LaunchPlan& plan) {
    const auto* outcome = std::get_if<core::LaunchPrepared>(&plan.outcome);
    const auto* refused = std::get_if<core::LaunchRefused>(&plan.outcome);
    EXPECT_NE(outcome, nullptr) << (refused != nullptr ? refused->why : "");
    if (outcome != nullptr) {
      EXPECT_EQ(outcome->attempt, 7);
    }
    return outcome != nullptr ? *outcome : core::LaunchPrepared{};
  }
  static core::LaunchRefused refused(const LaunchPlan& plan) {
    const auto* outcome = std::get_if<core::LaunchRefused>(&plan.outcome);
    EXPECT_NE(outcome, nullptr);
    if (outcome != nullptr) {
      EXPECT_EQ(outcome->attempt, 7);
    }
    return outcome != nullptr ? *outcome : core::LaunchRefused{};
  }
  static bool noted(const LaunchPlan& plan, const std::string& part) {
    for (const std::string& note : plan.notes) {
      if (note.find(part) != std::string::npos) return true;
    }
    return false;
  }
  std::size_t set_aside(const std::string& kind) const { return exists(kind) ? contents_of(models(kind)).size() : 0; }

  const LaunchFrom fresh_{LaunchFrom::Kind::fresh, ""};
  const LaunchFrom ep10_{LaunchFrom::Kind::selector, "ep10"};
};

TEST_F(Preparation, BeginsARunInADirectoryThatIsEmptyOrMissing) {
  const auto missing = prepare();
  EXPECT_EQ(prepared(missing).resume, core::ResumePoint{});
  EXPECT_EQ(missing.run_id.size(), 16U);  // a run of its own, whatever was remembered
  const auto empty = prepare();
  EXPECT_EQ(prepared(empty).resume, core::ResumePoint{});
  EXPECT_NE(empty.run_id, missing.run_id);
  EXPECT_FALSE(empty.resumed.has_value());
}

TEST_F(Preparation, ResumesAtTheNewestByNumber) {
  for (const std::int64_t episode : {8, 9, 10}) commit(episode);
  const auto before = contents();
  const auto plan = prepare();
  EXPECT_EQ(prepared(plan).resume, (core::ResumePoint{10, models("model_ep10.pt").string()}));
  EXPECT_EQ(plan.run_id, "run");
  EXPECT_EQ(plan.resumed->episode, 10);
  EXPECT_TRUE(plan.notes.empty());
  EXPECT_EQ(contents(), before);
}

TEST_F(Preparation, ResumesWithoutRememberingTheRun) {
  commit(10);
  const auto plan = prepare({}, "");
  EXPECT_EQ(prepared(plan).resume.episode, 10);
  EXPECT_EQ(plan.run_id, "run");  // the sidecars know it
}

TEST_F(Preparation, PassesOverADamagedOneAndSetsItAside) {
  commit(10);
  commit(20);
  std::filesystem::resize_file(models("model_ep20.pt"), 50);
  const auto plan = prepare();
  EXPECT_EQ(prepared(plan).resume.episode, 10);
  EXPECT_TRUE(noted(plan, "rejected episode 20"));
  EXPECT_TRUE(noted(plan, "nothing was deleted"));
  EXPECT_FALSE(exists("model_ep20.pt"));
  EXPECT_EQ(set_aside("quarantine"), 3U);  // and why.txt
}

TEST_F(Preparation, LeavesAnotherRunsFilesAlone) {
  commit(10);
  commit(20, 1.0, "another");
  const auto plan = prepare();
  EXPECT_EQ(prepared(plan).resume.episode, 10);
  EXPECT_TRUE(noted(plan, "belongs to another run"));
  EXPECT_TRUE(exists("model_ep20.pt"));
}

TEST_F(Preparation, RefusesForGoodWhenNothingIsValidAndChangesNothing) {
  commit(10);
  commit(20);
  damage("model_ep10.pt");
  damage("model_ep20.json");
  const auto before = contents();
  const auto plan = refused(prepare());
  EXPECT_TRUE(plan.permanent);
  EXPECT_EQ(plan.cause, core::Cause::bad_data);
  EXPECT_NE(plan.why.find("--fresh"), std::string::npos) << plan.why;
  EXPECT_EQ(contents(), before);
}

// P10: a death between the archive and the record of the very first save needs no person.
TEST_F(Preparation, BeginsAgainWhenTheFirstSaveNeverCameToItsCommit) {
  commit(10);
  std::filesystem::remove(models("model_ep10.json"));
  const auto plan = prepare();
  EXPECT_EQ(prepared(plan).resume, core::ResumePoint{});
  EXPECT_TRUE(noted(plan, "never committed"));
  EXPECT_FALSE(exists("model_ep10.pt"));
  EXPECT_EQ(set_aside("quarantine"), 2U);  // and why.txt
}

// … but archives whose records are gone are somebody's work.
TEST_F(Preparation, DoesNotPassOverArchivesThatHaveLostTheirRecords) {
  for (const int episode : {10, 20}) {
    commit(episode);
    std::filesystem::remove(models("model_ep" + std::to_string(episode) + ".json"));
  }
  const auto before = contents();
  EXPECT_EQ(refused(prepare()).cause, core::Cause::bad_data);
  EXPECT_EQ(contents(), before);
}

TEST_F(Preparation, StartsFreshWhenNothingIsValidOnlyWhereThatIsAllowed) {
  commit(10);
  damage("model_ep10.pt");
  config.restart.allow_fresh = true;
  const auto plan = prepare();
  EXPECT_EQ(prepared(plan).resume, core::ResumePoint{});
  EXPECT_NE(plan.run_id, "run");
  EXPECT_TRUE(noted(plan, "restart.allow_fresh"));
  EXPECT_EQ(set_aside("superseded"), 2U);
}

TEST_F(Preparation, FallsBackOnTheBestModel) {
  commit(10);
  commit_best(7, 9.0);
  damage("model_ep10.pt");
  const auto plan = prepare();
  EXPECT_EQ(prepared(plan).resume, (core::ResumePoint{7, models("best_model.pt").string()}));
  EXPECT_EQ(set_aside("quarantine"), 3U);  // and why.txt
}

// Our own trainer sets the newer ones aside by itself, when it has loaded what it was given.
TEST_F(Preparation, GoesBackToWhatIsSelectedAndLeavesTheRestToOurTrainer) {
  for (const std::int64_t episode : {10, 20}) commit(episode);
  const auto before = contents();
  EXPECT_EQ(prepared(prepare(ep10_)).resume.episode, 10);
  EXPECT_EQ(contents(), before);
}

TEST_F(Preparation, GoesBackToWhatIsSelectedForAnyOtherProgram) {
  config.worker.command = {"python3", "train.py"};
  for (const std::int64_t episode : {10, 20, 30}) commit(episode, static_cast<double>(episode));
  commit_best(30, 30.0);
  const auto plan = prepare(ep10_);
  EXPECT_EQ(prepared(plan).resume.episode, 10);
  EXPECT_FALSE(exists("model_ep20.pt"));
  EXPECT_EQ(set_aside("superseded"), 6U);
  const auto best = read_text(models("best_model.json"));
  EXPECT_NE(best.find("\"episode\": 10"), std::string::npos) << "the best model is chosen anew";
  // Repeated, as after a crash in between, it finds its work done.
  EXPECT_EQ(prepared(prepare(ep10_)).resume.episode, 10);
  EXPECT_EQ(set_aside("superseded"), 6U);
}

TEST_F(Preparation, GoesBackToTheBestAndToAPath) {
  for (const std::int64_t episode : {10, 20}) commit(episode);
  commit_best(15);
  EXPECT_EQ(prepared(prepare({LaunchFrom::Kind::selector, "best"})).resume.path, models("best_model.pt").string());
  const auto path = models("model_ep10.pt").string();
  EXPECT_EQ(prepared(prepare({LaunchFrom::Kind::selector, path})).resume.path, path);
}

TEST_F(Preparation, TakesAFileFromElsewhereAsItIs) {
  commit(10);
  const auto elsewhere = (directory / "given.pt").string();
  std::filesystem::copy_file(models("model_ep10.pt"), elsewhere);
  const auto before = contents();
  EXPECT_EQ(prepared(prepare({LaunchFrom::Kind::selector, elsewhere})).resume, (core::ResumePoint{0, elsewhere, true}));
  EXPECT_EQ(contents(), before);
}

// It was checked when it was asked for; the training does not end because it has gone since.
TEST_F(Preparation, GoesOnFromTheNewestWhenTheTargetHasGone) {
  commit(20);
  for (const auto* selector : {"ep10", "best", "nonsense", "/no/such/file.pt", "../model_ep20.pt"}) {
    const auto plan = prepare({LaunchFrom::Kind::selector, selector});
    EXPECT_EQ(prepared(plan).resume.episode, 20) << selector;
    EXPECT_TRUE(noted(plan, "cannot go back to")) << selector;
  }
}

TEST_F(Preparation, GoesOnWithAnotherRunWhenItsOwnHasNothing) {
  commit(30, 1.0, "by hand");
  const auto plan = prepare();
  EXPECT_EQ(prepared(plan).resume.episode, 30);
  EXPECT_EQ(plan.run_id, "by hand");
  EXPECT_TRUE(noted(plan, "by hand"));
}

TEST_F(Preparation, StartsFreshWhenAsked) {
  commit(10);
  commit_best(10);
  const auto files = contents().size();
  const auto plan = prepare(fresh_);
  EXPECT_EQ(prepared(plan).resume, core::ResumePoint{});
  EXPECT_NE(plan.run_id, "run");
  EXPECT_EQ(set_aside("superseded"), files);
  EXPECT_EQ(prepared(prepare(fresh_)).resume, core::ResumePoint{});  // there is nothing left to set aside
}

// P4. Whoever holds it may let go, so this is tried again (P10).
TEST_F(Preparation, IsRefusedWhileAnotherHoldsTheDirectory) {
  commit(10);
  const auto before = contents();
  {
    const auto opened = checkpoint::Directory::open(models(), checkpoint::Directory::Create::no);
    const auto lock = checkpoint::DirectoryLock::acquire(*opened, "another-trainer");
    const auto plan = refused(prepare());
    EXPECT_EQ(plan.cause, core::Cause::cannot_save);
    EXPECT_FALSE(plan.permanent);
    EXPECT_TRUE(prepare().locked);
    EXPECT_NE(plan.why.find("another-trainer"), std::string::npos) << plan.why;
    EXPECT_EQ(contents(), before);
  }
  EXPECT_EQ(prepared(prepare()).resume.episode, 10);
}

// P4, P6: a worker of ours that bore no marks yet when it was looked for is found by the lock that it holds.
TEST_F(Preparation, FindsAWorkerOfOursAtTheLock) {
  commit(10);
  ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  const std::string id = "123456789:123456789";
  const std::string script = "exec 9>>" + models(".lock").string() +
                             "; flock 9; echo \"$$ $(cut -d' ' -f22 /proc/$$/stat) worker\" > " +
                             models(".lock").string() + "; echo $$ > " + models("../pid").string() + ".new; mv " +
                             models("../pid").string() + ".new " + models("../pid").string() + "; exec sleep 1000";
  const pid_t between = ::fork();
  if (between == 0) {
    if (::fork() != 0) ::_exit(0);  // so that it is nobody's child, as an orphan is
    ::setpgid(0, 0);
    ::setenv("TRAINER_RUN_ID", "run", 1);
    ::setenv("TRAINER_ATTEMPT", "6", 1);
    ::setenv("TRAINER_STATE_ID", id.c_str(), 1);
    ::execl("/bin/sh", "sh", "-c", script.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ASSERT_EQ(::waitpid(between, nullptr, 0), between);
  for (int i = 0; i < 5000 && !std::filesystem::exists(models("../pid")); ++i) ::usleep(1000);
  const pid_t worker = std::stoi(read_text(models("../pid")));
  const auto found = prepare_launch({7, {}, {}}, nullptr, {"run", id, std::nullopt}, config).found;
  const auto of_another = prepare_launch({7, {}, {}}, nullptr, {"run", "1:1", std::nullopt}, config);
  ::kill(worker, SIGKILL);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->identity.pid, worker);
  EXPECT_EQ(found->attempt, 6);
  EXPECT_FALSE(of_another.found);
  EXPECT_TRUE(of_another.locked);
}

TEST_F(Preparation, SweepsWhatDeadWritersLeft) {
  commit(10);
  write_text(models(".model_ep20.pt.tmp-4711-0"), "half");
  write_text(models("notes.txt"), "mine");
  const auto plan = prepare();
  EXPECT_EQ(prepared(plan).resume.episode, 10);
  EXPECT_FALSE(exists(".model_ep20.pt.tmp-4711-0"));
  EXPECT_TRUE(exists("notes.txt"));
}

class Selectors : public Preparation {};

TEST_F(Selectors, AreCheckedBeforeAnythingIsDisturbed) {
  commit(10);
  commit(20);
  commit_best(15);
  const auto before = contents();
  const auto means = [&](const std::string& selector) { return check_selector(selector, "run", config)->selector; };
  EXPECT_EQ(means("ep10"), "ep10");
  EXPECT_EQ(means("20"), "ep20");
  EXPECT_EQ(means("latest"), "ep20");  // by number: later another one may be newest
  EXPECT_EQ(means("best"), "best");    // episode 15 has no other file
  EXPECT_EQ(means(models("model_ep10.pt").string()), "ep10");
  EXPECT_EQ(check_selector("latest", "run", config)->name, "episode 20");
  EXPECT_EQ(contents(), before);
}

TEST_F(Selectors, ThatNameNothingUsableAreRefusedWithWhatIs) {
  commit(10);
  commit(20);
  commit(30);
  damage("model_ep30.pt");
  commit_best(15);
  for (const auto* selector : {"ep30", "ep11", "newest", "", "ep-1", "ep1e3", "/no/such.pt", "\x1b[2J.pt"}) {
    const auto checked = check_selector(selector, "run", config);
    ASSERT_FALSE(checked) << selector;
    const std::string& why = checked.error().message;
    EXPECT_NE(why.find("ep20, ep10, best"), std::string::npos) << why;
    EXPECT_NE(why.find("Nothing was changed"), std::string::npos) << why;
    EXPECT_EQ(why.find('\x1b'), std::string::npos) << why;
  }
}

}  // namespace
}  // namespace ts::shell
