// Hooks: which events they get and how many at once, and that none of them holds anything up (P9, P11).
#include "supervisor/shell/hooks.h"

#include <gtest/gtest.h>

#include "supervisor/shell/ration.h"
#include "tests/unit/session/temp_directory.h"
#include "tests/unit/supervisor/child.h"

namespace ts::shell {
namespace {

using api::EventType;

api::Event event(std::int64_t id, EventType type = EventType::state) {
  api::Event out;
  out.id = id;
  out.type = type;
  out.message = "message " + std::to_string(id);
  return out;
}

TEST(TheQueue, GivesSoManyAtOnceInOrder) {
  HookQueue queue;
  EXPECT_TRUE(queue.idle());
  for (int id = 1; id <= 4; ++id) queue.add(event(id));
  EXPECT_EQ(queue.next()->id, 1);
  EXPECT_EQ(queue.next()->id, 2);
  EXPECT_FALSE(queue.next());
  EXPECT_EQ(queue.ended(), 0U);
  EXPECT_EQ(queue.next()->id, 3);
  EXPECT_FALSE(queue.idle());
}

TEST(TheQueue, LeavesOutWhatWouldNeverEndAndTheWorkersChatter) {
  HookQueue queue;
  queue.add(event(1, EventType::hook));
  queue.add(event(2, EventType::worker));
  EXPECT_TRUE(queue.idle());
}

TEST(TheQueue, KeepsOfWaitingCheckpointsTheNewest) {
  HookQueue queue;
  queue.add(event(1, EventType::checkpoint));
  queue.add(event(2, EventType::incident));
  for (int id = 3; id <= 1000; ++id) queue.add(event(id, EventType::checkpoint));
  EXPECT_EQ(queue.next()->id, 2);
  EXPECT_EQ(queue.next()->id, 1000);
  EXPECT_EQ(queue.ended(), 0U) << "none of them was missed";
}

TEST(TheQueue, CountsWhatIsLeftOutAndTellsItWhenThereIsRoomAgain) {
  HookQueue queue;
  for (int id = 1; id <= 100; ++id) queue.add(event(id));
  EXPECT_EQ(queue.next()->id, 37) << "the oldest are left out";
  std::uint64_t told = queue.ended();
  int rounds = 1;
  for (; told == 0 && queue.next(); ++rounds) told = queue.ended();
  EXPECT_EQ(told, 36U);
  EXPECT_GT(rounds, 20);
  while (queue.next()) EXPECT_EQ(queue.ended(), 0U);
}

TEST(TheRation, IsSoManyAMinute) {
  Ration ration(2);
  const core::Instant begin{1'000};
  EXPECT_TRUE(ration.take(begin));
  EXPECT_FALSE(ration.is_used_up());
  EXPECT_TRUE(ration.take(begin));
  EXPECT_TRUE(ration.is_used_up());
  EXPECT_FALSE(ration.take(begin + std::chrono::seconds{59}));
  EXPECT_TRUE(ration.take(begin + std::chrono::seconds{61}));
}

class Running : public testing::Test {
 protected:
  std::string script(const std::string& text) const {
    const auto file = folder_ / "hook.sh";
    write_text(file, "#!/bin/sh\n" + text + "\n");
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    return file.string();
  }
  void start(std::vector<std::string> command) {
    hooks_.emplace(io_, children_, std::move(command), [this](const std::string& sentence, boost::json::object) {
      troubles_.push_back(sentence);
      hooks_->run(event(999, EventType::hook));
    });
  }
  // Until all that was given has been done.
  void finish() {
    hooks_->finish([this] { io_.stop(); });
    io_.run_for(std::chrono::seconds{60});
    EXPECT_TRUE(io_.stopped());
    io_.restart();
  }

  TempDirectory folder_;
  asio::io_context io_;
  Children children_{io_};
  std::vector<std::string> troubles_;
  std::optional<Hooks> hooks_;
};

TEST_F(Running, GetsTheEventAsOneLineAndInItsEnvironment) {
  ::setenv("TRAINER_RUN_ID", "a mark of a worker's", 1);
  start(
      {script("cat > \"$1\"; echo \"$TRAINER_EVENT_ID $TRAINER_EVENT_TYPE $TRAINER_EVENT_LEVEL $TRAINER_EVENT_MESSAGE "
              "[$TRAINER_RUN_ID]\" >> \"$1\""),
       (folder_ / "out").string()});
  hooks_->run(event(7));
  finish();
  ::unsetenv("TRAINER_RUN_ID");
  EXPECT_EQ(read_text(folder_ / "out"), api::to_line(event(7)).json + "\n7 state info message 7 []\n");
  EXPECT_TRUE(troubles_.empty());
}

TEST_F(Running, ThatFailsIsToldOnceAndNotGivenToItself) {
  start({script("echo $TRAINER_EVENT_ID >> " + (folder_ / "ran").string() + "; echo 'no such host' >&2; exit 3")});
  for (int id = 1; id <= 5; ++id) hooks_->run(event(id));
  finish();
  ASSERT_EQ(troubles_.size(), 1U);
  EXPECT_NE(troubles_[0].find("ended with status 3"), std::string::npos) << troubles_[0];
  EXPECT_NE(troubles_[0].find("no such host"), std::string::npos) << troubles_[0];
  EXPECT_EQ(read_text(folder_ / "ran").find("999"), std::string::npos);
}

TEST_F(Running, ThatCannotBeFoundIsNoMoreThanASentence) {
  start({"no/such/program"});
  hooks_->run(event(1));
  finish();
  ASSERT_EQ(troubles_.size(), 1U);
  EXPECT_NE(troubles_[0].find("no/such/program cannot be found or run"), std::string::npos) << troubles_[0];
}

TEST_F(Running, P9_ThatHangsIsEndedWithItsChildrenWhenTheSupervisorLeaves) {
  start({script("sleep 1000 & echo $! > " + (folder_ / "pid").string() + "; sleep 1000")});
  hooks_->run(event(1));
  while (read_text(folder_ / "pid").find('\n') == std::string::npos) io_.run_for(std::chrono::milliseconds{10});
  hooks_.reset();
  EXPECT_TRUE(is_gone(std::stoi(read_text(folder_ / "pid"))));
}

TEST_F(Running, WithoutACommandNothingIsEverWaitedFor) {
  start({});
  hooks_->run(event(1));
  finish();
}

}  // namespace
}  // namespace ts::shell
