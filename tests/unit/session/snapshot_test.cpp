// The state as of the last completed episode, kept while the next one changes it.
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <set>

#include "tests/unit/session/toy_session.h"

namespace ts::session {
namespace {

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
  SnapshotPool pool;
  ASSERT_TRUE(pool.prepare(task));
  for (std::int64_t episode = 1; episode <= 6; ++episode) {
    const EpisodeResult result = train(task, episode);
    const Counters counters{episode, {1, 0.5}};
    const SnapshotRef snapshot = pool.take(task, counters, result);
    const auto expected = archive_of(task, counters);
    train(task, episode + 1);  // begun, and given up
    EXPECT_TRUE(same(snapshot->sealed(), expected)) << episode;
    EXPECT_TRUE(same(snapshot->sealed(), expected)) << "sealing twice changes nothing";
    EXPECT_EQ(snapshot->counters.episode, episode);
  }
}

TEST(ASnapshot, StaysAsItIsWhileSomebodyRefersToIt) {
  ToyTask task;
  SnapshotPool pool;
  ASSERT_TRUE(pool.prepare(task));
  std::vector<SnapshotRef> kept;
  std::vector<std::vector<std::byte>> expected;
  for (std::int64_t episode = 1; episode <= 6; ++episode) {  // more than were prepared
    kept.push_back(pool.take(task, {episode, {}}, train(task, episode)));
    expected.push_back(archive_of(task, {episode, {}}));
  }
  for (std::size_t i = 0; i < kept.size(); ++i) EXPECT_TRUE(same(kept[i]->sealed(), expected[i])) << i;
}

TEST(SnapshotBuffers, AreUsedAgainWhenNobodyRefersToThem) {
  ToyTask task;
  SnapshotPool pool;
  ASSERT_TRUE(pool.prepare(task));
  std::set<const std::byte*> places;
  SnapshotRef newest;
  for (std::int64_t episode = 1; episode <= 20; ++episode) {
    newest = pool.take(task, {episode, {}}, train(task, episode));
    places.insert(newest->sealed().data());
  }
  EXPECT_EQ(places.size(), 2U);  // the newest is whole while the other is made
}

TEST(SnapshotBuffers, MayBeGivenBackAfterThePoolIsGone) {
  SnapshotRef last;
  ToyTask task;
  const auto expected = archive_of(task, {1, {}});
  {
    SnapshotPool pool;
    ASSERT_TRUE(pool.prepare(task));
    last = pool.take(task, {1, {}}, {});
  }
  EXPECT_TRUE(same(last->sealed(), expected));
}

TEST(ASnapshot, HasBytesThatDependOnTheStateAlone) {
  ToyTask first;
  ToyTask second;
  SnapshotPool a;
  SnapshotPool b;
  ASSERT_TRUE(a.prepare(first) && b.prepare(second));
  const SnapshotRef one_more = b.take(second, {0, {}}, {});
  const SnapshotRef of_a = a.take(first, {3, {1, 2.0}}, {});
  const SnapshotRef of_b = b.take(second, {3, {1, 2.0}}, {});
  EXPECT_TRUE(std::ranges::equal(of_a->sealed(), of_b->sealed()));
}

TEST(ASnapshot, FitsAStateThatHasGrown) {
  ToyTask small(5);
  ToyTask large(5000);
  SnapshotPool pool;
  ASSERT_TRUE(pool.prepare(small));
  const SnapshotRef before = pool.take(small, {1, {}}, {});
  const SnapshotRef after = pool.take(large, {2, {}}, {});
  EXPECT_TRUE(same(before->sealed(), archive_of(small, {1, {}})));
  EXPECT_TRUE(same(after->sealed(), archive_of(large, {2, {}})));
}

TEST(ASnapshot, TellsAStateThatChangesFromOneThatDoesNot) {
  ToyTask task;
  SnapshotPool pool;
  ASSERT_TRUE(pool.prepare(task));
  const auto checksums = [&](std::int64_t episode) {
    const SnapshotRef snapshot = pool.take(task, {episode, {episode, 1.0}}, {});
    snapshot->sealed();
    return std::vector(snapshot->task_checksums().begin(), snapshot->task_checksums().end());
  };
  const auto first = checksums(1);
  EXPECT_EQ(first.size(), 3U);  // weights, random, steps
  EXPECT_EQ(checksums(2), first) << "the session's own counters do not make a state another one";
  train(task, 3);
  EXPECT_NE(checksums(3), first);
}

TEST(ACopyOfAFile, HasTheFilesBytes) {
  ToyTask task;
  const auto file = archive_of(task, {7, {}});
  SnapshotPool pool;
  const auto copy = pool.copy_of(file);
  ASSERT_TRUE(copy);
  EXPECT_TRUE(same((*copy)->sealed(), file));
}

TEST(MemoryForASnapshot, ThatCannotBeHadIsASentence) {
  const auto memory = MemoryFile::create(std::size_t{1} << 60);
  ASSERT_FALSE(memory);
  EXPECT_NE(memory.error().message.find("not enough memory for a snapshot of"), std::string::npos);
}

// `ulimit -f` is for files on disks; a training under one goes on, and its saves are what is refused.
TEST(MemoryForASnapshot, P8_IsThereUnderAFileSizeLimitToo) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto limited = MemoryFile::create(1 << 20);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, handler);
  ASSERT_TRUE(limited) << limited.error().message;
  EXPECT_EQ(limited->fd(), -1);
  ASSERT_EQ(limited->bytes().size(), std::size_t{1} << 20);
  std::ranges::fill(limited->bytes(), std::byte{7});
  EXPECT_EQ(limited->bytes().back(), std::byte{7});
  const auto unlimited = MemoryFile::create(1 << 20);
  ASSERT_TRUE(unlimited);
  EXPECT_GE(unlimited->fd(), 0);
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
