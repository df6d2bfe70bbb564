// The replay: a ring of the newest transitions, saved whole, loaded only when sane.
#include "worker/dqn/replay.h"

#include <functional>
#include <limits>
#include <set>

#include <gtest/gtest.h>

#include "common/checkpoint/archive_writer.h"

namespace ts::dqn {
namespace {

using checkpoint::DType;

Transition transition(std::int32_t day) {
  return {day, static_cast<std::int8_t>(day % 3), static_cast<std::int8_t>((day + 1) % 3),
          static_cast<float>(day) / 100.0F};
}

Replay filled(std::size_t capacity, std::int32_t count) {
  Replay replay(capacity);
  for (std::int32_t day = 0; day < count; ++day) replay.add(transition(day));
  return replay;
}

std::set<std::int32_t> days_in(const Replay& replay) {
  RandomState random(1);
  std::vector<Transition> out;
  replay.sample(2000, random, out);
  std::set<std::int32_t> days;
  for (const Transition& drawn : out) {
    days.insert(drawn.day);
    EXPECT_EQ(drawn.position, transition(drawn.day).position);
    EXPECT_EQ(drawn.action, transition(drawn.day).action);
    EXPECT_EQ(drawn.reward, transition(drawn.day).reward);
  }
  return days;
}

TEST(TheReplay, KeepsTheNewest) {
  EXPECT_EQ(days_in(filled(5, 3)), (std::set<std::int32_t>{0, 1, 2}));
  EXPECT_EQ(days_in(filled(5, 5)), (std::set<std::int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(days_in(filled(5, 13)), (std::set<std::int32_t>{8, 9, 10, 11, 12}));
  EXPECT_EQ(filled(5, 3).size(), 3U);
  EXPECT_EQ(filled(5, 13).size(), 5U);
}

TEST(ASample, IsDrawnFromTheRandomStateAlone) {
  const Replay replay = filled(10, 10);
  RandomState a(3);
  RandomState b(3);
  std::vector<Transition> first;
  std::vector<Transition> second = {transition(99)};  // what was in it goes
  replay.sample(32, a, first);
  replay.sample(32, b, second);
  ASSERT_EQ(first.size(), 32U);
  ASSERT_EQ(second.size(), 32U);
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_EQ(first[i].day, second[i].day);
  EXPECT_EQ(a.save(), b.save());
}

TEST(ASavedReplay, ComesBackByteForByteAndGoesOnInTheSamePlace) {
  for (const std::int32_t count : {0, 3, 5, 13}) {
    Replay replay = filled(5, count);
    Replay other(5);
    ASSERT_TRUE(other.load(replay.state(), 0, 1000));
    EXPECT_EQ(checkpoint::write_archive(other.state()), checkpoint::write_archive(replay.state()));
    replay.add(transition(77));
    other.add(transition(77));
    EXPECT_EQ(checkpoint::write_archive(other.state()), checkpoint::write_archive(replay.state()));
  }
}

struct Parts {
  std::vector<std::int32_t> days{10, 11, 12};
  std::vector<std::int8_t> positions{0, 1, 2};
  std::vector<std::int8_t> actions{0, 1, 2};
  std::vector<float> rewards{0.5F, 0.25F, 0.125F};
  std::int64_t next = 0;
  std::int64_t count = 3;

  checkpoint::Dict state() const {
    checkpoint::Dict out;
    out.add("day", checkpoint::view_of(DType::int32, days));
    out.add("position", checkpoint::view_of(DType::int8, positions));
    out.add("action", checkpoint::view_of(DType::int8, actions));
    out.add("reward", checkpoint::view_of(DType::float32, rewards));
    out.add("next", checkpoint::view_of(next));
    out.add("count", checkpoint::view_of(count));
    return out;
  }
};

TEST(AReplayThatCannotBe, IsRefusedAndTheOldOneStays) {
  Replay replay(3);
  for (std::int32_t day = 20; day < 22; ++day) replay.add(transition(day));
  const auto before = checkpoint::write_archive(replay.state());
  const std::function<void(Parts&)> damages[] = {
      [](Parts& p) { p.days[1] = 9; },    // before the training split
      [](Parts& p) { p.days[2] = 100; },  // after it
      [](Parts& p) { p.days[0] = -1; },
      [](Parts& p) { p.positions[0] = 3; },
      [](Parts& p) { p.positions[0] = -1; },
      [](Parts& p) { p.actions[2] = 127; },
      [](Parts& p) { p.rewards[1] = std::numeric_limits<float>::quiet_NaN(); },
      [](Parts& p) { p.rewards[1] = std::numeric_limits<float>::infinity(); },
      [](Parts& p) { p.next = 3; },
      [](Parts& p) { p.next = -1; },
      [](Parts& p) { p.count = 4; },
      [](Parts& p) { p.count = -1; },
      [](Parts& p) { p.count = std::numeric_limits<std::int64_t>::max(); },
      [](Parts& p) { p.days.push_back(12); },
      [](Parts& p) { p.rewards.pop_back(); },
  };
  for (const auto& damage : damages) {
    Parts parts;
    damage(parts);
    const auto loaded = replay.load(parts.state(), 10, 100);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().kind, ErrorKind::checkpoint);
    EXPECT_EQ(checkpoint::write_archive(replay.state()), before);
  }
  EXPECT_TRUE(replay.load(Parts{}.state(), 10, 100));
}

TEST(WhatLiesBeyondTheFill, IsNotJudged) {
  Parts parts;
  parts.count = 1;
  parts.next = 1;
  parts.days[2] = -5;
  Replay replay(3);
  EXPECT_TRUE(replay.load(parts.state(), 10, 100));
  EXPECT_EQ(replay.size(), 1U);
}

}  // namespace
}  // namespace ts::dqn
