// The beats of the training loop, as they arrive at a real socket.
#include <sstream>

#include "tests/unit/session/listener.h"
#include "tests/unit/session/toy_session.h"

namespace ts::session {
namespace {

using protocol::NotifyMessage;

class Beats : public testing::Test {
 protected:
  Heartbeat heartbeat(std::chrono::milliseconds interval) {
    return Heartbeat(protocol::NotifySender(address_.c_str()), interval);
  }
  NotifyMessage only() {
    const auto heard = listener_.take();
    EXPECT_EQ(heard.size(), 1U);
    return heard.empty() ? NotifyMessage{} : heard.front().message;
  }

  TempDirectory directory_;
  std::string address_ = (directory_ / "notify").string();
  Listener listener_{address_};
};

TEST_F(Beats, AreRateLimitedWhereTheyAreMade) {
  Heartbeat often = heartbeat(std::chrono::hours{1});
  for (int step = 0; step < 100'000; ++step) ASSERT_TRUE(often.step(step));
  const NotifyMessage first = only();
  EXPECT_TRUE(first.watchdog);
  EXPECT_EQ(first.step, 0);
  Heartbeat always = heartbeat(std::chrono::milliseconds{0});
  for (int step = 0; step < 5; ++step) always.step(step);
  EXPECT_EQ(listener_.take().size(), 5U);
}

TEST_F(Beats, SayWhatWasResumedAndThatTrainingBegins) {
  heartbeat(std::chrono::seconds{1}).ready(250, 300);
  const NotifyMessage message = only();
  EXPECT_TRUE(message.ready);
  EXPECT_EQ(message.resumed, 250);
  EXPECT_EQ(message.episode, 250);
  EXPECT_EQ(message.total, 300);
  EXPECT_EQ(message.phase, protocol::Phase::train);
}

TEST_F(Beats, TellEpisodesButNotEveryOneOfThousands) {
  Heartbeat beats = heartbeat(std::chrono::seconds{1});
  std::vector<NotifyMessage> messages;
  for (std::int64_t episode = 1; episode <= 1000; ++episode) {
    beats.episode_done(episode, 1000, {{"profit", 1.5}});
    for (const Heard& heard : listener_.take()) messages.push_back(heard.message);
  }
  ASSERT_GE(messages.size(), 2U);
  EXPECT_LT(messages.size(), 500U);
  EXPECT_EQ(messages.front().episode, 1);
  EXPECT_EQ(messages.back().episode, 1000);  // the last one always
  EXPECT_EQ(messages.back().metrics, (protocol::Metrics{{"profit", 1.5}}));
  EXPECT_TRUE(messages.back().watchdog);
}

TEST_F(Beats, LeaveAnEpisodeToItsAnnouncementAndSayNoEarlierOneAfterIt) {
  Heartbeat beats = heartbeat(std::chrono::milliseconds{0});
  beats.episode_done(1, 10, {});
  beats.episode_done(2, 10, {});  // held back by the rate
  EXPECT_EQ(only().episode, 1);
  beats.episode_announced();
  const NotifyMessage beat = only();
  EXPECT_TRUE(beat.watchdog);
  EXPECT_FALSE(beat.episode);
  beats.step(7);
  EXPECT_FALSE(only().episode);
}

TEST_F(Beats, SayEverythingElseAtOnce) {
  Heartbeat beats = heartbeat(std::chrono::hours{1});
  beats.stopping();
  EXPECT_TRUE(only().stopping);
  beats.expect_silence(std::chrono::seconds{120});
  EXPECT_EQ(only().extend_timeout, std::chrono::microseconds{120'000'000});
  beats.enter(protocol::Phase::save);
  const NotifyMessage entered = only();
  beats.episode_saved(10, 20);
  const NotifyMessage saved = only();
  EXPECT_EQ(saved.episode, 10);
  EXPECT_EQ(saved.total, 20);
  EXPECT_EQ(entered.phase, protocol::Phase::save);
  EXPECT_TRUE(entered.watchdog);
}

TEST_F(Beats, HarmNobodyWhenNobodyListens) {
  Heartbeat unheard(protocol::NotifySender((directory_ / "nobody").c_str()), std::chrono::milliseconds{0});
  EXPECT_TRUE(unheard.step(1));
  unheard.ready(0, 1);
  Heartbeat unsupervised(protocol::NotifySender(nullptr), std::chrono::milliseconds{0});
  EXPECT_TRUE(unsupervised.step(1));
  unsupervised.enter(protocol::Phase::load);
}

// The session's process writes down what it hears itself say, since nobody else is there to take it.
class BeatsOfASession : public ToySession {};

TEST_F(BeatsOfASession, TellItsWholeStory) {
  const auto address = directory / "notify";
  const auto heard = directory / "heard";
  Listener listener(address);
  task.on_episode = [&](std::int64_t) {
    std::ofstream out(heard, std::ios::binary | std::ios::app);
    for (const Heard& message : listener.take()) out << message.text << '\0';
  };
  ::setenv("NOTIFY_SOCKET", address.c_str(), 1);
  EXPECT_EQ(run().code, 0);
  ::unsetenv("NOTIFY_SOCKET");
  std::vector<NotifyMessage> messages;
  std::istringstream texts(read_text(heard));
  for (std::string text; std::getline(texts, text, '\0');) messages.push_back(protocol::decode(text).value());
  for (const Heard& last_words : listener.take()) messages.push_back(last_words.message);
  ASSERT_GT(messages.size(), 1U);
  EXPECT_TRUE(messages.front().extend_timeout) << "loading may take its time";
  EXPECT_TRUE(messages[1].ready);
  std::vector<std::string> saved;
  std::int64_t last = 0;
  bool extended = false;
  bool stopping = false;
  for (const NotifyMessage& message : messages) {
    if (message.checkpoint) saved.push_back(std::filesystem::path(*message.checkpoint).filename());
    if (message.episode) last = *message.episode;
    extended = extended || message.extend_timeout.has_value();
    stopping = stopping || message.stopping;
    // The saver's thread must not vouch for the training thread's life.
    EXPECT_FALSE(message.checkpoint && (message.watchdog || message.episode || message.step || message.ready));
  }
  EXPECT_TRUE(stopping);
  EXPECT_EQ(last, 10);
  EXPECT_TRUE(extended);
  EXPECT_NE(std::find(saved.begin(), saved.end(), "model_ep10.pt"), saved.end());
  EXPECT_NE(std::find(saved.begin(), saved.end(), "best_model.pt"), saved.end());
}

}  // namespace
}  // namespace ts::session
