// The state as of the last completed episode, kept while the next one changes it.
#include <algorithm>

#include "tests/unit/session/toy_session.h"

namespace ts::session {
namespace {

class QuietGate final : public StepGate {
 public:
  bool step(std::int64_t) override { return true; }
  void enter(protocol::Phase) override {}
};

std::vector<std::byte> archive_of(ToyTask& task, const Counters& counters) {
  return checkpoint::write_archive(assemble_state(task, counters));
}

bool same(std::span<const std::byte> a, const std::vector<std::byte>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

EpisodeResult train(ToyTask& task, std::int64_t episode) {
  QuietGate gate;
  return **task.run_episode(episode, gate);
}

TEST(ASnapshot, IsTheStateOfItsMomentWhateverTheTaskDoesSince) {
  ToyTask task;
  SnapshotBuffers buffers;
  for (std::int64_t episode = 1; episode <= 6; ++episode) {
    const EpisodeResult result = train(task, episode);
    const Counters counters{episode, {1, 0.5}};
    buffers.take(task, counters, result);
    const auto expected = archive_of(task, counters);
    train(task, episode + 1);  // begun, and given up
    EXPECT_TRUE(same(buffers.sealed().archive, expected)) << episode;
    EXPECT_TRUE(same(buffers.sealed().archive, expected)) << "sealing twice changes nothing";
    EXPECT_EQ(buffers.newest().counters.episode, episode);
  }
}

TEST(TwoSnapshots, AlternateSoThatOneIsWholeWhileTheOtherIsMade) {
  ToyTask task;
  SnapshotBuffers buffers;
  std::vector<const std::byte*> places;
  for (std::int64_t episode = 1; episode <= 4; ++episode) {
    buffers.take(task, {episode, {}}, train(task, episode));
    places.push_back(buffers.newest().archive.data());
  }
  EXPECT_NE(places[0], places[1]);
  EXPECT_EQ(places[0], places[2]);
  EXPECT_EQ(places[1], places[3]);
}

TEST(ASnapshot, HasBytesThatDependOnTheStateAlone) {
  ToyTask first;
  ToyTask second;
  SnapshotBuffers a;
  SnapshotBuffers b;
  b.take(second, {0, {}}, {});  // one more than the other
  a.take(first, {3, {1, 2.0}}, {});
  b.take(second, {3, {1, 2.0}}, {});
  EXPECT_TRUE(std::ranges::equal(a.sealed().archive, b.sealed().archive));
}

TEST(TheCounters, ComeBackAsTheyWereSaved) {
  ToyTask task;
  const Counters counters{250, {123, -4.5}};
  const auto read = read_counters(assemble_state(task, counters));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->episode, 250);
  EXPECT_EQ(read->best, counters.best);
}

TEST(CountersThatCannotBe, AreRefused) {
  const std::int64_t negative = -1;
  const std::int64_t one = 1;
  const double value = 1.0;
  checkpoint::Dict none;
  EXPECT_FALSE(read_counters(none));
  checkpoint::Dict before_all_time;
  before_all_time.add("episode", checkpoint::view_of(negative));
  EXPECT_FALSE(read_counters(before_all_time));
  checkpoint::Dict of_another_type;
  of_another_type.add("episode", checkpoint::view_of(value));
  EXPECT_FALSE(read_counters(of_another_type));
  checkpoint::Dict half_a_best;
  checkpoint::Dict best;
  best.add("episode", checkpoint::view_of(one));
  half_a_best.add("episode", checkpoint::view_of(one));
  half_a_best.add("best", std::move(best));
  EXPECT_FALSE(read_counters(half_a_best));
  checkpoint::Dict no_best;  // a state from elsewhere
  no_best.add("episode", checkpoint::view_of(one));
  ASSERT_TRUE(read_counters(no_best));
  EXPECT_EQ(read_counters(no_best)->best, Best{});
}

}  // namespace
}  // namespace ts::session
