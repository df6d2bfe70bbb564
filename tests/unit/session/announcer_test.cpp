// The state after an episode, handed to the supervisor: what it is told of is there, whole, whatever the worker does
// next (P5).
#include "worker/session/announcer.h"

#include <fcntl.h>

#include <algorithm>
#include <memory>
#include <set>

#include "common/base/json.h"
#include "common/checkpoint/digest.h"
#include "tests/unit/session/listener.h"
#include "tests/unit/session/toy_session.h"

namespace ts::session {
namespace {

class Announcing : public testing::Test {
 protected:
  Announcing() {
    facts_.identity = {"run", 3, 300};
    facts_.best_metric = "profit";
    EXPECT_TRUE(pool_.prepare(task_) && pool_.prepare_another());
  }

  Announcer announcer() { return Announcer(config_, facts_, protocol::NotifySender(address_.c_str())); }

  SnapshotRef train(std::int64_t episode) {
    QuietGate gate;
    const auto result = **task_.run_episode(episode, gate);
    return pool_.take(task_, counters_of(episode), result);
  }
  static Counters counters_of(std::int64_t episode) { return {episode, {1, 0.5}}; }

  // Trains and copies on, announcing nothing: whatever buffer nobody refers to is written to.
  void overwrite_free_buffers() {
    std::vector<SnapshotRef> all;
    for (std::int64_t i = 0; i < 6; ++i) all.push_back(train(1000 + i));
  }

  // The only message that has come.
  Heard only(Listener& listener) {
    auto heard = listener.take();
    EXPECT_EQ(heard.size(), 1U);
    return heard.empty() ? Heard{} : std::move(heard.front());
  }

  ToyTask task_;
  SnapshotPool pool_;
  config::Snapshots config_;
  SessionFacts facts_;
  TempDirectory directory_;
  std::string address_ = (directory_ / "notify").string();
};

void expect_whole(const Heard& heard, const std::string& why) {
  ASSERT_TRUE(heard.message.snapshot) << why;
  const auto bytes = content_of(heard.memory.get());
  EXPECT_EQ(bytes.size(), heard.message.snapshot->bytes) << why;
  EXPECT_EQ(checkpoint::digest_of(bytes), heard.message.snapshot->digest) << why;
}

TEST_F(Announcing, P5_AcknowledgesEachEpisodeTogetherWithTheStateAfterIt) {
  Listener listener(address_);
  Announcer announcer = this->announcer();
  for (std::int64_t episode = 1; episode <= 5; ++episode) {
    const SnapshotRef snapshot = train(episode);
    const auto expected = checkpoint::write_archive(assemble_state(task_, counters_of(episode)));
    ASSERT_TRUE(announcer.offer(snapshot));
    EXPECT_EQ(announcer.last_sent(), episode);
    const Heard heard = only(listener);
    EXPECT_TRUE(heard.message.fd_store);
    EXPECT_EQ(heard.message.fd_name, "snapshot");
    EXPECT_EQ(heard.message.episode, episode);
    EXPECT_EQ(heard.message.total, 300);
    EXPECT_EQ(heard.message.metrics, snapshot->result.metrics);
    EXPECT_FALSE(heard.message.watchdog) << "a helper's thread must not vouch for the training thread";
    ASSERT_TRUE(heard.message.snapshot);
    EXPECT_EQ(heard.message.snapshot->episode, episode);
    EXPECT_TRUE(content_of(heard.memory.get()) == expected);
    expect_whole(heard, "episode " + std::to_string(episode));
    const int seals = ::fcntl(heard.memory.get(), F_GET_SEALS);
    EXPECT_EQ(seals & (F_SEAL_SHRINK | F_SEAL_GROW), F_SEAL_SHRINK | F_SEAL_GROW);
  }
}

TEST_F(Announcing, SaysWhatASidecarWouldSay) {
  Listener listener(address_);
  facts_.exactness = {{"threads", 1}, {"isa", "AVX2"}};
  facts_.hyperparameters = {{"gamma", 0.95}};
  Announcer announcer = this->announcer();
  const SnapshotRef snapshot = train(7);
  announcer.offer(snapshot);
  announcer.last_sent();
  const auto record = parse_json(only(listener).message.snapshot->record, "record", 4096)->get_object();
  const auto sidecar = parse_json(checkpoint::to_json(describe(facts_, *snapshot, checkpoint::SaveReason::schedule)),
                                  "sidecar", 64 << 10);
  for (const auto& member : sidecar->get_object()) {
    const std::set<std::string> of_the_file = {"format", "created", "reason", "file", "durable_ms"};
    if (of_the_file.contains(std::string(member.key()))) continue;
    ASSERT_TRUE(record.contains(member.key())) << member.key();
    EXPECT_EQ(compact_json(record.at(member.key())), compact_json(member.value())) << member.key();
  }
}

TEST_F(Announcing, FitsIntoADatagramWithAllThatOurTrainerSays) {
  Listener listener(address_);
  for (const char* name : {"buy_and_hold_profit", "buy_and_hold_sharpe", "epsilon", "loss", "max_drawdown", "profit",
                           "reward", "sharpe", "trades", "win_rate"}) {
    task_.profits[1] = -1234.4134631178208;
    facts_.exactness[name] = "xxh3-128:e9ede8142108dacf792280e20a342694";  // more than it says
  }
  for (const char* name : {"seed", "window", "episode_length", "cost", "validation_fraction", "test_fraction", "hidden",
                           "learning_rate", "gamma", "batch_size", "replay_capacity", "learn_start", "learn_every",
                           "target_update", "epsilon_start", "epsilon_end", "epsilon_decay_steps", "grad_clip"}) {
    facts_.hyperparameters[name] = -1234.4134631178208;
  }
  Announcer announcer = this->announcer();
  const SnapshotRef snapshot = train(1);
  for (const auto& member : facts_.exactness) snapshot->result.metrics[member.key()] = -1234.4134631178208;
  announcer.offer(snapshot);
  EXPECT_EQ(announcer.last_sent(), 1);
  const Heard heard = only(listener);
  EXPECT_EQ(heard.message.metrics, snapshot->result.metrics);
  const auto record = parse_json(heard.message.snapshot->record, "record", 4096)->get_object();
  for (const char* name : {"config", "exactness", "metrics", "best"}) EXPECT_TRUE(record.contains(name)) << name;
}

// … and a stranger's task that says more than fits is still announced.
TEST_F(Announcing, LeavesOutWhatDoesNotFit) {
  Listener listener(address_);
  facts_.hyperparameters["novel"] = std::string(8000, 'x');
  Announcer announcer = this->announcer();
  announcer.offer(train(1));
  EXPECT_EQ(announcer.last_sent(), 1);
  const Heard heard = only(listener);
  EXPECT_EQ(heard.message.snapshot->record.find("novel"), std::string::npos);
  expect_whole(heard, "without its config");
}

TEST_F(Announcing, P5_KeepsWhatWasAnnouncedAsItIsUntilANewerOneWasSent) {
  Listener listener(address_);
  Announcer announcer = this->announcer();
  announcer.offer(train(1));
  announcer.last_sent();
  const Heard first = only(listener);
  overwrite_free_buffers();
  expect_whole(first, "while others are filled");
  announcer.offer(train(2));
  announcer.last_sent();
  const Heard second = only(listener);
  overwrite_free_buffers();
  expect_whole(second, "the newer one");
  EXPECT_NE(checkpoint::digest_of(content_of(first.memory.get())), first.message.snapshot->digest)
      << "the older one was never used again, so this test shows nothing";
}

TEST_F(Announcing, UsesNoMoreBuffersThanWerePrepared) {
  Listener listener(address_);
  Announcer announcer = this->announcer();
  std::set<ino_t> files;
  for (std::int64_t episode = 1; episode <= 50; ++episode) {
    announcer.offer(train(episode));
    for (const Heard& heard : listener.take()) {
      struct stat status {};
      ASSERT_EQ(::fstat(heard.memory.get(), &status), 0);
      files.insert(status.st_ino);
    }
  }
  EXPECT_LE(files.size(), SnapshotPool::kReady + 1);
}

TEST_F(Announcing, P5_ThatFindsNoRoomCostsNothingThatWasAcknowledged) {
  Listener listener(address_, 2048);
  Announcer announcer = this->announcer();
  announcer.offer(train(1));
  ASSERT_EQ(announcer.last_sent(), 1);
  protocol::NotifySender flood(address_.c_str());
  for (int i = 0; i < 20'000 && flood.send_text("WATCHDOG=1"); ++i) continue;
  for (std::int64_t episode = 2; episode <= 4; ++episode) {
    EXPECT_TRUE(announcer.offer(train(episode)));
    EXPECT_EQ(announcer.last_sent(), 1) << "it does not wait for room";
  }
  overwrite_free_buffers();
  std::vector<Heard> heard;
  for (Heard& message : listener.take()) {
    if (message.message.snapshot) heard.push_back(std::move(message));
  }
  ASSERT_EQ(heard.size(), 1U);
  expect_whole(heard.front(), "the last one that was heard");
  announcer.offer(train(5));
  EXPECT_EQ(announcer.last_sent(), 5);
  expect_whole(only(listener), "there is room again");
}

TEST_F(Announcing, ToNobodyHarmsNobody) {
  Announcer announcer = this->announcer();
  for (std::int64_t episode = 1; episode <= 10; ++episode) EXPECT_TRUE(announcer.offer(train(episode)));
  EXPECT_EQ(announcer.last_sent(), 0);
  Listener listener(address_);  // a supervisor comes
  announcer.offer(train(11));
  EXPECT_EQ(announcer.last_sent(), 11);
  expect_whole(only(listener), "the first one it hears of");
}

TEST_F(Announcing, HappensAfterEverySoManyEpisodes) {
  config_.every = 3;
  Listener listener(address_);
  Announcer announcer = this->announcer();
  std::vector<std::int64_t> announced;
  for (std::int64_t episode = 1; episode <= 10; ++episode) {
    const bool offered = announcer.offer(train(episode));
    EXPECT_EQ(offered, episode % 3 == 0) << "the caller tells the others";
    announcer.last_sent();
    for (const Heard& heard : listener.take()) announced.push_back(heard.message.snapshot->episode);
  }
  EXPECT_EQ(announced, (std::vector<std::int64_t>{3, 6, 9}));
}

TEST_F(Announcing, IsDoneBeforeTheAnnouncerIsGone) {
  Listener listener(address_);
  for (std::int64_t episode = 1; episode <= 20; ++episode) {
    auto announcer = std::make_unique<Announcer>(config_, facts_, protocol::NotifySender(address_.c_str()));
    announcer->offer(train(episode));
    announcer.reset();
    EXPECT_EQ(only(listener).message.episode, episode);
  }
}

TEST_F(Announcing, OfAStateThatHasGrownTooLargeIsRefusedOnce) {
  Listener listener(address_);
  const SnapshotRef snapshot = train(1);
  config_.max_bytes = snapshot->bytes() - 1;
  Announcer announcer = this->announcer();
  testing::internal::CaptureStdout();
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(announcer.offer(snapshot));
  const std::string said = testing::internal::GetCapturedStdout();
  EXPECT_NE(said.find("more than snapshots.max_bytes"), std::string::npos) << said;
  EXPECT_EQ(std::ranges::count(said, '\n'), 1);
  EXPECT_TRUE(listener.take().empty());
}

// The saver and the announcer meet at one snapshot.
TEST_F(Announcing, SealsOnceWhoeverComesFirst) {
  Listener listener(address_);
  Announcer announcer = this->announcer();
  for (std::int64_t episode = 1; episode <= 200; ++episode) {
    const SnapshotRef snapshot = train(episode);
    const auto expected = checkpoint::write_archive(assemble_state(task_, counters_of(episode)));
    announcer.offer(snapshot);
    const auto sealed = snapshot->sealed();
    ASSERT_TRUE(std::ranges::equal(sealed, expected));
    ASSERT_EQ(snapshot->task_checksums().size(), 3U);
    ASSERT_EQ(snapshot->digest(), checkpoint::digest_of(expected));
    listener.take();
  }
}

// Sessions in processes of their own; what they say is left in the socket's queue.
class AnnouncingSession : public ToySession {
 protected:
  AnnouncingSession() {
    config.training.episodes = 2;
    config.checkpoints.save_best = false;
    ::setenv("NOTIFY_SOCKET", address_.c_str(), 1);
  }
  ~AnnouncingSession() override { ::unsetenv("NOTIFY_SOCKET"); }

  struct Told {
    std::vector<std::int64_t> snapshots;
    std::vector<std::int64_t> episodes;  // acknowledged, in order
  };
  Told told() {
    Told out;
    for (const Heard& heard : listener_.take()) {
      if (heard.message.snapshot) out.snapshots.push_back(heard.message.snapshot->episode);
      if (heard.message.episode) out.episodes.push_back(*heard.message.episode);
      EXPECT_FALSE(heard.message.snapshot && heard.message.episode != heard.message.snapshot->episode);
      EXPECT_EQ(heard.message.snapshot.has_value(), static_cast<bool>(heard.memory));
    }
    return out;
  }

  std::string address_ = (directory / "notify").string();
  Listener listener_{address_};
};

using Episodes = std::vector<std::int64_t>;

TEST_F(AnnouncingSession, AnnouncesEachEpisodeAndNeverGoesBack) {
  EXPECT_EQ(run().code, 0);
  const Told out = told();
  EXPECT_EQ(out.snapshots, (Episodes{1, 2}));
  EXPECT_EQ(out.episodes, (Episodes{0, 1, 2}));
}

TEST_F(AnnouncingSession, TellsTheEpisodesBetweenTwoSnapshotsAsItDoesWithout) {
  config.snapshots.every = 2;
  EXPECT_EQ(run().code, 0);
  const Told out = told();
  EXPECT_EQ(out.snapshots, (Episodes{2}));
  EXPECT_EQ(out.episodes, (Episodes{0, 1, 2}));
}

TEST_F(AnnouncingSession, AnnouncesNothingWhereThatIsNotWanted) {
  config.snapshots.enabled = false;
  EXPECT_EQ(run().code, 0);
  const Told out = told();
  EXPECT_EQ(out.snapshots, Episodes{});
  EXPECT_EQ(out.episodes.back(), 2);
}

TEST_F(AnnouncingSession, AnnouncesNoStateThatIsTooLargeAndSaysSoOnce) {
  config.snapshots.max_bytes = 100;
  const Outcome outcome = run();
  EXPECT_EQ(outcome.code, 0);
  const Told out = told();
  EXPECT_EQ(out.snapshots, Episodes{});
  EXPECT_EQ(out.episodes.back(), 2);
  const auto at = outcome.output.find("snapshots.max_bytes (100 B)");
  ASSERT_NE(at, std::string::npos) << outcome.output;
  EXPECT_EQ(outcome.output.find("snapshots.max_bytes", at + 1), std::string::npos) << outcome.output;
}

}  // namespace
}  // namespace ts::session
