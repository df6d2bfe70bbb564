// The supervisor's memory across its own death, and what becomes of it when the file is not what it was (P6, P7).
#include "supervisor/shell/state_file.h"

#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "tests/unit/session/temp_directory.h"

namespace ts::shell {
namespace {

using checkpoint::Directory;

Memory full_memory() {
  Memory memory;
  memory.run_id = "0123456789abcdef";
  memory.boot_id = "boot";
  memory.exact = true;
  memory.supervisor = "1.2.3";
  memory.worker = ProcessIdentity{4711, 987654321, "boot"};
  memory.state.phase = core::Phase::running;
  memory.state.reason = "attempt 7 is training: \"so\" it \\ says\n";
  memory.state.attempt = 7;
  memory.state.incidents = 2;
  memory.state.fruitless = 1;
  memory.state.restarts = {{core::Cause::crash, 3}, {core::Cause::heartbeat_lost, 1}};
  memory.state.finished_total = 300;
  memory.state.goal = 400;
  memory.state.tells_progress = true;
  memory.state.learned[protocol::Phase::evaluate] = {core::Duration{90'000}, 12};
  memory.state.poison = {250, 1};
  memory.state.next_launch = {core::LaunchFrom::Kind::selector, "ep200"};
  memory.state.progress.episode = 251;
  memory.state.resume = {250, "models/model_ep250.pt"};
  return memory;
}

void expect_same(const Memory& a, const Memory& b) {
  EXPECT_EQ(a.run_id, b.run_id);
  EXPECT_EQ(a.boot_id, b.boot_id);
  EXPECT_EQ(a.exact, b.exact);
  EXPECT_EQ(a.supervisor, b.supervisor);
  EXPECT_EQ(a.worker, b.worker);
  EXPECT_EQ(a.state.attempt, b.state.attempt);
  EXPECT_EQ(a.state.incidents, b.state.incidents);
  EXPECT_EQ(a.state.fruitless, b.state.fruitless);
  EXPECT_EQ(a.state.restarts, b.state.restarts);
  EXPECT_EQ(a.state.finished_total, b.state.finished_total);
  EXPECT_EQ(a.state.goal, b.state.goal);
  EXPECT_EQ(a.state.tells_progress, b.state.tells_progress);
  EXPECT_EQ(a.state.learned, b.state.learned);
  EXPECT_EQ(a.state.poison, b.state.poison);
  EXPECT_EQ(a.state.next_launch, b.state.next_launch);
  EXPECT_EQ(a.state.progress.episode, b.state.progress.episode);
  EXPECT_EQ(a.state.resume, b.state.resume);
}

class StateFile : public testing::Test {
 protected:
  Memory load() {
    note_.clear();
    return load_memory(*opened_, note_);
  }
  TempDirectory temporary_;
  Result<Directory> opened_ = Directory::open(temporary_.path(), Directory::Create::no);
  std::string note_;
};

TEST_F(StateFile, ComesBackAsItWas) {
  ASSERT_TRUE(save_memory(*opened_, full_memory()));
  expect_same(load(), full_memory());
  EXPECT_TRUE(note_.empty());
  for (auto kind : {core::LaunchFrom::Kind::newest, core::LaunchFrom::Kind::fresh}) {
    Memory memory;
    memory.state.next_launch.kind = kind;
    expect_same(parse_memory(to_json(memory), "f").value(), memory);
  }
  Memory inexact;
  inexact.exact = false;
  expect_same(parse_memory(to_json(inexact), "f").value(), inexact);
}

TEST_F(StateFile, DoesNotClaimThatAWorkerRuns) {
  const Memory memory = parse_memory(to_json(full_memory()), "f").value();
  EXPECT_EQ(memory.state.phase, core::Phase::stopped);
  EXPECT_EQ(memory.state.pid, 0);
}

TEST_F(StateFile, IsEmptyAtFirst) {
  expect_same(load(), Memory{});
  EXPECT_TRUE(note_.empty());
}

TEST_F(StateFile, LeavesNoTemporaryFileAndSurvivesOneThatALeftoverIs) {
  write_text(temporary_ / "state.json.tmp", "half");
  ASSERT_TRUE(save_memory(*opened_, full_memory()));
  EXPECT_FALSE(std::filesystem::exists(temporary_ / "state.json.tmp"));
}

TEST_F(StateFile, FallsBackOnItsBackup) {
  Memory older = full_memory();
  older.state.attempt = 6;
  ASSERT_TRUE(save_memory(*opened_, older));
  ASSERT_TRUE(save_memory(*opened_, full_memory()));
  for (const auto* damage : {"", "{", "{\"format\": 99}", "[]", "null"}) {
    write_text(temporary_ / "state.json", damage);
    EXPECT_EQ(load().state.attempt, 6) << damage;
    EXPECT_NE(note_.find("state.json"), std::string::npos);
    std::ifstream kept(temporary_ / "state.json.rejected");
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(kept), {}), damage) << "whoever wants to know finds it";
  }
  std::filesystem::remove(temporary_ / "state.json");
  EXPECT_EQ(load().state.attempt, 6);
  write_text(temporary_ / "state.json", "bad");
  write_text(temporary_ / "state.json.bak", "worse");
  expect_same(load(), Memory{});
  for (const auto* name : {"state.json:", "state.json.rejected", "state.json.bak:", "state.json.bak.rejected"}) {
    EXPECT_NE(note_.find(name), std::string::npos) << name << " is not named: " << note_;
  }
}

TEST_F(StateFile, IsNotFollowedElsewhere) {
  write_text(temporary_ / "elsewhere", to_json(full_memory()));
  std::filesystem::create_symlink(temporary_ / "elsewhere", temporary_ / "state.json");
  expect_same(load(), Memory{});
}

TEST_F(StateFile, ThatIsTooLongIsNotRead) {
  write_text(temporary_ / "state.json", std::string(2 << 20, ' '));
  expect_same(load(), Memory{});
  EXPECT_FALSE(note_.empty());
}

TEST_F(StateFile, TakesNothingOfAnotherType) {
  const auto memory = parse_memory(R"({"format":1,"run_id":7,"attempt":"x","incidents":1.5,"restarts":[1],
      "worker":{"pid":"1"},"next_launch":{"kind":"selector"},"exact":"yes","episode":null})",
                                   "f");
  ASSERT_TRUE(memory);
  expect_same(*memory, Memory{});
}

// What a supervisor does first is to count on from these: no sum may overflow, and no pid may be somebody else's.
TEST_F(StateFile, TakesNoNumberThatCannotBe) {
  const auto text = [](const std::string& number) {
    return R"({"format":1,"attempt":)" + number + R"(,"incidents":)" + number + R"(,"goal":)" + number +
           R"(,"finished_total":)" + number + R"(,"episode":)" + number + R"(,"resume_episode":)" + number +
           R"(,"restarts":{"crash":)" + number + R"(},"worker":{"pid":)" + number + R"(,"start_ticks":)" + number +
           R"(,"boot_id":"b"}})";
  };
  for (const auto* number : {"-1", "9223372036854775807", "-9223372036854775808", "4294967297000000", "1e300"}) {
    const auto memory = parse_memory(text(number), "f");
    if (!memory) continue;
    const core::State& state = memory->state;
    for (const std::int64_t value : {state.attempt, state.incidents, state.goal, state.finished_total,
                                     state.progress.episode, state.resume.episode}) {
      EXPECT_GE(value, 0) << number;
      EXPECT_LT(value, std::numeric_limits<std::int64_t>::max() - 1000) << number;
    }
    for (const auto& [cause, count] : state.restarts) {
      EXPECT_GT(count, 0);
      EXPECT_LT(count, std::numeric_limits<std::int64_t>::max() - 1000);
    }
    if (memory->worker) {
      EXPECT_GT(memory->worker->pid, 1) << number;
    }
    EXPECT_FALSE(memory->worker && std::string(number) == "4294967297000000") << "a pid was cut off to another";
    core::Policy policy;
    EXPECT_EQ(core::step(state, core::RestartRequested{}, core::Instant{0}, policy).state.attempt, state.attempt + 1);
  }
}

TEST_F(StateFile, HoldsWhateverTextAReasonIs) {
  Memory memory = full_memory();
  for (const std::string text : {"\xff\xfe", "half a letter: \xe2\x82", "\x1b[2J\x01", "\xed\xa0\x80"}) {
    memory.state.reason = text;
    memory.state.resume.path = "models" + text + "/model_ep250.pt";
    const auto read = parse_memory(to_json(memory), "f");
    ASSERT_TRUE(read) << "a worker would be forgotten: " << read.error().message;
    EXPECT_EQ(read->worker, memory.worker);
  }
}

TEST_F(StateFile, MutatedEndsInAMemoryOrASentence) {
  const std::string original = to_json(full_memory());
  constexpr std::uint32_t kSeed = 20240302;
  std::mt19937 random(kSeed);
  for (int round = 0; round < 3000; ++round) {
    std::string text = original;
    for (auto edits = 1 + random() % 4; edits > 0; --edits) {
      const auto at = random() % text.size();
      if (random() % 3 == 0) {
        text.erase(at, 1 + random() % 9);
      } else {
        text[at] = static_cast<char>(random());
      }
      if (text.empty()) text = "x";
    }
    const auto memory = parse_memory(text, "f");
    if (!memory) {
      EXPECT_FALSE(memory.error().message.empty()) << "seed " << kSeed << ", round " << round;
    }
  }
}

}  // namespace
}  // namespace ts::shell
