// P9: a worker that makes no progress is found and replaced, and one that is merely slow, starved or saving is not.
//
// Liveness and progress, and the look before a worker is judged. Durability, which ends nobody, is in durability_test.
#include <gtest/gtest.h>

#include "tests/unit/core/scenario.h"

namespace ts::core {
namespace {

using protocol::NotifyMessage;
using enum protocol::Phase;

// Beats each second, and says nothing else, until it is looked at or `limit` has passed. How long that took.
Instant beats_on(Scenario& s, Instant limit) {
  const Instant begun = s.now;
  while (s.now - begun < limit && !s.is_looked_at()) {
    s.after(seconds{1});
    if (s.state.deadline && s.now >= *s.state.deadline) s.feed(DeadlinePassed{});
    if (!s.is_looked_at()) s.beat();
  }
  return s.now - begun;
}

Scenario with_progress_timeout(Duration timeout) {
  Policy policy;
  policy.progress_timeout = timeout;
  return Scenario(policy);
}

TEST(ASilentWorker, IsLookedAtAtItsLimitAndNoSooner) {
  Scenario s;
  s.trains(10).after(s.policy.heartbeat_timeout - milliseconds{1}).feed(DeadlinePassed{});
  EXPECT_FALSE(s.is_looked_at());
  s.overdue();
  EXPECT_EQ(s.state.clocks.suspected, Cause::heartbeat_lost);
  EXPECT_EQ(s.the<InspectWorker>().attempt, 1);
  EXPECT_EQ(s.state.phase, Phase::running);
  EXPECT_EQ(s.wait(), s.policy.inspection);
  EXPECT_TRUE(s.noted("sent no heartbeat for 30s; looking at it"));
}

TEST(ASilentWorker, IsEndedWhenTheLookFindsNoExcuse) {
  Scenario s;
  s.trains(10).overdue().seen({false, false, "it sleeps"});
  EXPECT_EQ(s.state.phase, Phase::stopping);
  EXPECT_EQ(s.state.stop_cause, Cause::heartbeat_lost);
  EXPECT_EQ(s.the<GatherEvidence>().cause, Cause::heartbeat_lost);
  EXPECT_TRUE(s.says("sent no heartbeat for 30s, and it sleeps; ending it"));
}

TEST(ALookThatNeverComesBack, DoesNotKeepAHangingWorkerAlive) {
  Scenario s;
  s.trains(10).overdue().overdue();
  EXPECT_EQ(s.state.phase, Phase::stopping);
  EXPECT_TRUE(s.says("it could not be looked at"));
  const State before = s.state;
  s.seen_starved();  // too late
  EXPECT_EQ(s.state, before);
}

TEST(ALookAtTheAttemptBefore, SaysNothingAboutThisOne) {
  Scenario s;
  s.trains(10).overdue().dies_of(9).launched(10).ready().overdue();
  const State before = s.state;
  s.feed(WorkerInspected{1, {false, false, "it sleeps"}});
  EXPECT_EQ(s.state, before);
}

TEST(ABeatWhileItIsLookedAt, ClearsTheWorker) {
  Scenario s;
  s.trains(10).overdue().after(seconds{1}).beat();
  EXPECT_FALSE(s.is_looked_at());
  EXPECT_TRUE(s.noted("beats again"));
  EXPECT_EQ(s.wait(), s.policy.heartbeat_timeout);
  const State before = s.state;
  s.seen_hanging();  // what was seen a moment ago is no longer so
  EXPECT_EQ(s.state, before);
}

TEST(AStarvedWorker, GetsOneExtensionForEachSilenceAndNoSecond) {
  Scenario s;
  s.trains(10);
  for (int i = 0; i < 5; ++i) {
    s.overdue().seen_starved();
    EXPECT_EQ(s.state.phase, Phase::running);
    EXPECT_EQ(s.wait(), s.policy.heartbeat_timeout);
    EXPECT_TRUE(s.noted("but the machine is overloaded: giving it 30s more, once"));
    s.after(seconds{29}).beat();  // a sign of life: its next silence is another one
  }
  s.overdue().seen_starved().overdue().seen_starved();
  EXPECT_EQ(s.state.phase, Phase::stopping);
  EXPECT_TRUE(s.says("it has had its extension: the machine is overloaded"));
}

TEST(AStarvedStart, GetsOneExtensionToo) {
  Scenario s;
  s.start().launched(10).overdue();
  EXPECT_EQ(s.state.clocks.suspected, Cause::start_timeout);
  EXPECT_EQ(s.state.phase, Phase::starting);
  s.seen_starved();
  EXPECT_EQ(s.wait(), s.policy.startup_timeout);
  s.overdue().seen_starved();
  EXPECT_EQ(s.state.stop_cause, Cause::start_timeout);
  EXPECT_EQ(s.state.phase, Phase::stopping);
}

TEST(AStart, ThatBecomesReadyWhileItIsLookedAtIsReady) {
  Scenario s;
  s.start().launched(10).overdue().ready();
  EXPECT_EQ(s.state.phase, Phase::running);
  EXPECT_FALSE(s.is_looked_at());
  EXPECT_EQ(s.wait(), s.policy.heartbeat_timeout);
  Scenario mute;
  mute.start().launched(10).overdue().overdue();  // and one that nobody could look at is ended
  EXPECT_EQ(mute.state.stop_cause, Cause::start_timeout);
}

TEST(AnExtension, AskedForWhileItIsLookedAtIsGranted) {
  Scenario s;
  s.trains(10).overdue().asks_for(seconds{200});
  EXPECT_FALSE(s.is_looked_at());
  EXPECT_EQ(s.wait(), seconds{200});
  Scenario starting;
  starting.start().launched(10).overdue().asks_for(seconds{200});
  EXPECT_FALSE(starting.is_looked_at());
  EXPECT_EQ(starting.wait(), seconds{200});
}

TEST(AnExtension, HoldsForProgressAsWellAsForBeats) {
  Scenario s = with_progress_timeout(seconds{60});
  s.trains(10).asks_for(seconds{400});
  EXPECT_GE(beats_on(s, hours{1}), seconds{400});
  EXPECT_EQ(s.state.clocks.suspected, Cause::no_progress);
}

// Found by writing the tests: the look came back and the escalation began anew.
TEST(AWorkerThatIsBeingKilled, IsNotJudgedAnyMore) {
  Scenario s;
  s.trains(10).overdue().shut_down(true);
  ASSERT_TRUE(s.signalled(Signal::kill));
  const State before = s.state;
  s.seen_hanging();
  EXPECT_EQ(s.state, before);
  EXPECT_TRUE(s.actions.empty());
}

TEST(WordsAndSnapshots, AreNoBeats) {
  NotifyMessage words;
  words.status = "thinking";
  NotifyMessage snapshot;  // announced by a thread that lives on when training hangs
  snapshot.episode = 11;
  snapshot.snapshot = protocol::SnapshotNotice{11, 1, "xxh3-128:00", "{}"};
  for (const auto& message : {words, snapshot}) {
    Scenario s;
    s.trains(10).after(seconds{20}).hear(message).after(seconds{10}).feed(DeadlinePassed{});
    EXPECT_EQ(s.state.clocks.suspected, Cause::heartbeat_lost);
    EXPECT_TRUE(s.noted("no heartbeat for 30s")) << s.note;  // counted from the beat, not from the words
    s.hear(message);
    EXPECT_TRUE(s.is_looked_at());
  }
}

TEST(ASnapshot, IsProgress) {
  Scenario s = with_progress_timeout(seconds{60});
  s.trains(10).after(seconds{25}).beat().after(seconds{25}).beat().announces(11);
  EXPECT_EQ(s.state.clocks.progressed, s.now);
  EXPECT_EQ(beats_on(s, hours{1}), seconds{60});
}

TEST(AWorkerThatBeatsAndGetsNowhere, IsFoundAtTheConfiguredTime) {
  Scenario s = with_progress_timeout(seconds{90});
  s.trains(10).completes(11);
  EXPECT_EQ(beats_on(s, hours{1}), seconds{90});
  EXPECT_EQ(s.state.clocks.suspected, Cause::no_progress);
  EXPECT_TRUE(s.noted("beats, but its training has not moved for 1m 30s")) << s.note;
  s.beat();  // that is not what is missing
  EXPECT_TRUE(s.is_looked_at());
  s.seen_hanging();
  EXPECT_EQ(s.state.stop_cause, Cause::no_progress);
  EXPECT_EQ(s.evidence().dies_of(15).state.restarts.at(Cause::no_progress), 1);
}

TEST(AWorkerThatBeatsAndGetsNowhere, IsFoundWhereTheLimitIsLearned) {
  Scenario s;
  s.trains(10);
  EXPECT_EQ(beats_on(s, hours{1}), s.policy.progress_unlearned);  // nothing is known of it yet
  s.seen_starved().takes_step(1);
  for (std::int64_t step = 2; step < 10; ++step) s.after(seconds{20}).takes_step(step);
  EXPECT_EQ(beats_on(s, hours{1}), seconds{100});  // five times what was seen
}

TEST(TheSameStepAgain, IsNoProgress) {
  Scenario s = with_progress_timeout(seconds{60});
  s.trains(10).takes_step(7);
  for (int i = 0; i < 6 && !s.is_looked_at(); ++i) {
    s.after(seconds{10});
    i < 5 ? s.takes_step(7).completes(10) : s.overdue();
  }
  EXPECT_EQ(s.state.clocks.suspected, Cause::no_progress);
}

TEST(ProgressWhileItIsLookedAt, ClearsTheWorker) {
  Scenario s = with_progress_timeout(seconds{60});
  s.trains(10).takes_step(7);
  beats_on(s, hours{1});
  ASSERT_TRUE(s.is_looked_at());
  s.takes_step(8);
  EXPECT_FALSE(s.is_looked_at());
  EXPECT_TRUE(s.noted("makes progress again"));
  EXPECT_EQ(beats_on(s, hours{1}), seconds{60});
}

TEST(AStarvedTraining, GetsOneExtensionOfItsOwnLimit) {
  Scenario s = with_progress_timeout(seconds{60});
  s.trains(10).takes_step(7);
  beats_on(s, hours{1});
  s.seen_starved();
  EXPECT_EQ(s.state.phase, Phase::running);
  EXPECT_EQ(beats_on(s, hours{1}), seconds{60});
  s.seen_starved();
  EXPECT_EQ(s.state.stop_cause, Cause::no_progress);
}

TEST(AWorkerThatNeverTellsItsProgress, IsNotHeldToIt) {
  for (const auto timeout : {std::optional<Duration>{}, std::optional<Duration>{seconds{60}}}) {
    Scenario s;
    s.policy.progress_timeout = timeout;
    NotifyMessage ready;
    ready.ready = true;
    s.start().launched().hear(ready).enters(evaluate).enters(train);
    EXPECT_EQ(beats_on(s, hours{20}), hours{20});
  }
}

TEST(AProgressTimeoutOfZero, IsOff) {
  Scenario s = with_progress_timeout(Duration::zero());
  s.trains(10).completes(11).takes_step(7);
  EXPECT_EQ(beats_on(s, hours{20}), hours{20});
}

TEST(AWorkerThatDoesNotBeat, IsWatchedForItsProgress) {
  Scenario s = with_progress_timeout(seconds{60});
  s.policy.heartbeat_timeout = Duration::zero();
  s.start().launched();
  EXPECT_FALSE(s.state.deadline.has_value());
  s.completes(1);
  EXPECT_EQ(s.wait(), seconds{60});
  s.overdue().seen_hanging();
  EXPECT_EQ(s.state.stop_cause, Cause::no_progress);
}

// ---- phases ----

Scenario that_has_learned() {
  Scenario s;
  s.trains(10);
  std::int64_t step = 0;
  for (int i = 0; i < 10; ++i) {
    for (int each = 0; each < 5; ++each) s.after(seconds{1}).takes_step(++step);
    s.enters(evaluate);
    for (int each = 0; each < 20; ++each) s.after(seconds{10}).beat();
    s.enters(train).completes(11 + i);
  }
  return s;
}

TEST(ALongEvaluation, IsGivenWhatEvaluationsTake) {
  Scenario s = that_has_learned();
  Scenario training = s;
  EXPECT_EQ(beats_on(training, hours{1}), s.policy.progress_floor);
  s.enters(evaluate);
  EXPECT_EQ(beats_on(s, hours{1}), seconds{1000});
}

TEST(AWorkerThatFlipsItsPhasesForEver, IsFoundAllTheSame) {
  for (const bool configured : {false, true}) {
    Scenario s = that_has_learned();
    if (configured) s.policy.progress_timeout = seconds{90};
    s.takes_step(999);
    const Instant begun = s.now;
    for (int i = 0; i < 1000 && !s.is_looked_at(); ++i) {
      s.after(seconds{20}).enters(i % 2 == 0 ? evaluate : train);
      if (s.state.deadline && s.now >= *s.state.deadline) s.feed(DeadlinePassed{});
    }
    EXPECT_EQ(s.state.clocks.suspected, Cause::no_progress);
    // 60 s to train, 1000 s to evaluate, 600 s each for the phases of which nothing is known.
    const Instant limit = configured ? Instant{seconds{90}} : Instant{seconds{60 + 1000 + 600 + 600}};
    EXPECT_LE(s.now - begun, limit + seconds{20});
    EXPECT_GE(s.now - begun, limit - seconds{configured ? 0 : 100});  // the flips teach, too
  }
}

TEST(AWorkerThatEntersAnotherPhaseWhileItIsLookedAt, IsNotEndedForThePhaseBefore) {
  Scenario s = that_has_learned();
  beats_on(s, hours{1});
  ASSERT_TRUE(s.is_looked_at());
  s.enters(evaluate);
  EXPECT_FALSE(s.is_looked_at());
  EXPECT_TRUE(s.noted("goes on: evaluate")) << s.note;
  Scenario configured = with_progress_timeout(seconds{60});  // for all phases together
  configured.trains(10).takes_step(7);
  beats_on(configured, hours{1});
  configured.enters(evaluate);
  EXPECT_TRUE(configured.is_looked_at());
}

TEST(AWorkerThatWasGivenMoreTime, KeepsItInTheNextPhase) {
  Scenario s = with_progress_timeout(seconds{60});
  s.trains(10).takes_step(7);
  beats_on(s, hours{1});
  s.seen_starved().after(seconds{5}).enters(evaluate);
  EXPECT_GE(s.state.clocks.progress.due, s.now + seconds{50});
  EXPECT_TRUE(s.state.clocks.progress.extended);
}

// ---- where progress begins ----

// The number of steps is that of the whole run; whoever resumes further back takes some of them again.
TEST(StepsOfTheAttemptBefore, AreNotHeldAgainstThisOne) {
  Scenario s = with_progress_timeout(seconds{60});
  s.trains(10).takes_step(5000).enters(evaluate).dies_of(9).launched(10).ready();
  EXPECT_EQ(s.state.progress.phase, std::nullopt);
  for (std::int64_t step = 4000; step < 4020; ++step) {
    s.after(seconds{20}).takes_step(step);
    ASSERT_FALSE(s.is_looked_at());
    ASSERT_EQ(s.state.clocks.progressed, s.now);
  }
}

TEST(WhereAWorkerResumedByItself, IsNoProgressHoweverOftenItSaysSo) {
  Scenario s = with_progress_timeout(seconds{60});
  s.start().launched().says_it_resumed(250).completes(251);
  const Instant progressed = s.now;
  NotifyMessage again;
  again.watchdog = true;
  again.resumed = 250;
  again.episode = 251;
  for (int i = 0; i < 5; ++i) s.after(seconds{10}).hear(again);
  EXPECT_EQ(s.state.clocks.progressed, progressed);
  EXPECT_EQ(s.state.progress.episode, 251);
}

TEST(AnAdoptedWorker, IsHeldToItsProgressFromItsFirstWordOn) {
  Scenario s = with_progress_timeout(seconds{60});
  s.feed(WorkerAdopted{77});
  EXPECT_EQ(beats_on(s, hours{1}), hours{1});
  s.completes(12);
  EXPECT_EQ(beats_on(s, hours{1}), seconds{60});
}

}  // namespace
}  // namespace ts::core
