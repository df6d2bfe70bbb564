// Workers that outlived their supervisor, recorded or not, and what their end means (P4, P6).
#include <gtest/gtest.h>

#include "tests/unit/core/scenario.h"

namespace ts::core {
namespace {

TEST(AnAdoptedWorker, RunsAndIsWatchedAsIfItHadBeenSpawnedHere) {
  Scenario s;
  s.state.attempt = 7;  // remembered
  s.feed(WorkerAdopted{4711});
  EXPECT_EQ(s.state.phase, Phase::running);
  EXPECT_EQ(s.state.desired, Desired::up);
  EXPECT_TRUE(
      s.says("adopted worker 4711, which trained on when the supervisor before this one was killed or crashed"));
  // It may be in the middle of a load or a save, which it told the one before.
  EXPECT_EQ(s.wait(), s.policy.startup_timeout);
  s.beat();
  EXPECT_EQ(s.wait(), s.policy.heartbeat_timeout);
  s.completes(12);
  EXPECT_EQ(s.state.progress.episode, 12);
  s.feed(WorkerExited{7, {}, ""});
  EXPECT_EQ(s.state.last_cause, Cause::unknown);
  EXPECT_EQ(s.state.attempt, 8);
}

// Beats each second until it is looked at, or for an hour.
Instant beats_on(Scenario& s) {
  const Instant begun = s.now;
  while (s.now - begun < hours{1} && !s.is_looked_at()) {
    s.after(seconds{1});
    if (s.state.deadline && s.now >= *s.state.deadline) s.feed(DeadlinePassed{});
    if (!s.is_looked_at()) s.beat();
  }
  return s.now - begun;
}

// Adopted with what a supervisor remembers of the one before it.
Scenario adopted_from(const Scenario& before, std::optional<Duration> progress_timeout) {
  Scenario s;
  s.policy.progress_timeout = progress_timeout;
  s.state.attempt = before.state.attempt;
  s.state.progress.episode = before.state.progress.episode;
  s.state.learned = before.state.learned;
  s.state.tells_progress = before.state.tells_progress;
  return s.feed(WorkerAdopted{4711});
}

// P6: where nothing could be written down before it ran, the launch before it is remembered.
TEST(AnUnrecordedWorker, IsNotJudgedByWhereTheLaunchBeforeItResumed) {
  Scenario s;
  s.state.attempt = 6;
  s.state.resume = {250, "models/model_ep250.pt"};
  s.feed(WorkerAdopted{4711, 7}).says_it_resumed(259);
  EXPECT_EQ(s.state.phase, Phase::running);
  EXPECT_EQ(s.state.progress.episode, 259);
}

// A relaunch waits for no save; but what was asked for is durable first.
TEST(ARelaunch, IsWrittenDownWhenItsWorkerIsOnItsWay) {
  Scenario s;
  s.trains(250).completes(251).dies_of(11);
  EXPECT_EQ(s.the<SaveState>().when, SaveState::When::soon);
  s.prepared(250);
  EXPECT_FALSE(s.did<SaveState>());
  s.spawned();
  EXPECT_EQ(s.the<SaveState>().when, SaveState::When::written);
  s.restart_from("ep200");
  EXPECT_EQ(s.the<SaveState>().when, SaveState::When::durable);
  s.exits(75);
  EXPECT_EQ(s.the<SaveState>().when, SaveState::When::durable);
  s.prepared(200);
  EXPECT_EQ(s.the<SaveState>().when, SaveState::When::durable);
}

// P9: what it will never say again cannot start the clock.
TEST(AnAdoptedWorkerThatBeatsAndGetsNowhere, IsFoundWhereItHadToldHowFarItWas) {
  Scenario before;
  before.trains().completes(10);
  Scenario s = adopted_from(before, seconds{300});
  EXPECT_EQ(beats_on(s), seconds{300});
  EXPECT_TRUE(s.noted("beats, but its training has not moved for 5m 00s"));
  s.seen_hanging();
  EXPECT_EQ(s.state.stop_cause, Cause::no_progress);
  Scenario repeats = adopted_from(before, seconds{300});
  for (int i = 0; i < 30 && !repeats.is_looked_at(); ++i) {
    repeats.after(seconds{10});
    i < 29 ? repeats.completes(10) : repeats.overdue();
  }
  EXPECT_EQ(repeats.state.clocks.suspected, Cause::no_progress);
  Scenario loads = adopted_from(before, seconds{60});  // it may have asked the one before for more
  EXPECT_EQ(beats_on(loads), loads.policy.startup_timeout);
}

TEST(AnAdoptedWorkerThatBeatsAndGetsNowhere, HasTheTimeOfAllPhasesWhereTheLimitIsLearned) {
  Scenario before;
  before.trains().takes_step(1);
  for (std::int64_t step = 2; step < 10; ++step) before.after(seconds{1}).takes_step(step);
  Scenario s = adopted_from(before, std::nullopt);
  EXPECT_EQ(beats_on(s), s.policy.progress_floor + 3 * s.policy.progress_unlearned);
}

TEST(AnAdoptedWorkerThatGetsOn, IsHeldToWhatOthersAreAndTeachesNothingOfATimeThatNobodySaw) {
  Scenario before;
  before.trains().completes(10);
  Scenario s = adopted_from(before, seconds{300});
  const LearnedGaps remembered = s.state.learned;
  for (std::int64_t episode = 11; episode < 20; ++episode) {
    s.after(seconds{200}).completes(episode);
    EXPECT_FALSE(s.is_looked_at());
    if (episode == 11) {
      EXPECT_EQ(s.state.learned, remembered);
    }
  }
  EXPECT_EQ(s.state.learned.at(protocol::Phase::train).longest, seconds{200});
  EXPECT_EQ(beats_on(s), seconds{300});
}

TEST(AnAdoptedWorkerThatNeverToldHowFarItWas, IsNotHeldToIt) {
  protocol::NotifyMessage ready;
  ready.ready = true;
  Scenario before;
  before.start().launched().hear(ready);
  Scenario s = adopted_from(before, seconds{300});
  EXPECT_EQ(beats_on(s), hours{1});
  Scenario other;  // what is remembered is of another launch than the one that was found
  other.policy.progress_timeout = seconds{300};
  other.state.tells_progress = true;
  other.state.attempt = 2;
  other.feed(WorkerAdopted{4711, 1});
  EXPECT_EQ(beats_on(other), hours{1});
}

TEST(WhetherAWorkerTellsItsProgress, IsWrittenDownOnceForEachLaunch) {
  protocol::NotifyMessage ready;
  ready.ready = true;
  Scenario s;
  s.start().launched().hear(ready).takes_step(1);
  EXPECT_TRUE(s.did<SaveState>());
  EXPECT_TRUE(s.state.tells_progress);
  EXPECT_FALSE(s.takes_step(2).did<SaveState>());
  s.dies_of(11);
  EXPECT_FALSE(s.state.tells_progress);
}

// P6. The finish of a worker counts for the goal that it was launched for, not for the one of the configuration by now.
TEST(AnAdoptedWorkerThatFinishes, GoesOnToAGoalThatWasRaisedMeanwhileAndThatIsNoIncident) {
  Scenario before;
  before.trains();
  EXPECT_EQ(before.state.goal, 300);
  Scenario s;
  s.policy.total_episodes = 400;
  s.state.attempt = 1;
  s.state.goal = before.state.goal;  // what outlives a supervisor
  s.feed(WorkerAdopted{4711});
  EXPECT_TRUE(s.says("launched for 300 episodes, the rest to 400"));
  s.completes(300).exits(0);
  EXPECT_EQ(s.state.phase, Phase::starting);
  EXPECT_EQ(s.preparing_from(), LaunchFrom{});
  EXPECT_EQ(s.state.finished_total, 300);
  EXPECT_TRUE(s.says("300 episodes that it was launched for are done, and 400 are asked for now"));
  EXPECT_TRUE(s.state.restarts.empty());
  EXPECT_EQ(s.state.incidents, 0);
  s.launched(300);
  EXPECT_EQ(s.state.goal, 400);
  s.ready().completes(400).exits(0);
  EXPECT_EQ(s.state.phase, Phase::finished);
  EXPECT_EQ(s.state.finished_total, 400);
}

TEST(AnAdoptedWorkerThatFinishes, IsFinishedWhenTheGoalIsTheSameOrLower) {
  for (const std::int64_t now : {300, 200}) {
    Scenario s;
    s.policy.total_episodes = now;
    s.state.goal = 300;
    s.feed(WorkerAdopted{4711}).exits(0);
    EXPECT_EQ(s.state.phase, Phase::finished);
    EXPECT_EQ(s.state.finished_total, 300);
  }
}

// Its exit status is lost to everybody but its parent, which is dead.
TEST(AnAdoptedWorkerThatEnds, IsNoIncidentWhereItHadReachedItsGoalAndOneWhereItHadNot) {
  for (const std::int64_t episode : {299, 300}) {
    Scenario s;
    s.policy.total_episodes = 400;
    s.state.attempt = 1;
    s.state.goal = 300;
    s.feed(WorkerAdopted{4711}).completes(episode).feed(WorkerExited{1, {}, ""});
    EXPECT_EQ(s.state.phase, Phase::starting);
    EXPECT_EQ(s.state.finished_total, 0);  // whether the last episode is saved is for the next one to see
    EXPECT_EQ(s.state.restarts.count(Cause::unknown), episode == 300 ? 0U : 1U) << episode;
  }
}

TEST(AnAdoptedWorkerThatFinishes, IsBelievedWhenItsGoalIsNotKnown) {
  protocol::NotifyMessage told;
  told.total = 300;
  for (const bool tells : {true, false}) {  // as for a state file of an earlier version
    Scenario s;
    s.policy.total_episodes = 400;
    s.feed(WorkerAdopted{4711});
    if (tells) s.hear(told);
    s.exits(0);
    EXPECT_EQ(s.state.phase, tells ? Phase::starting : Phase::finished);
    EXPECT_EQ(s.state.finished_total, tells ? 300 : 400);
  }
  Scenario other;  // the goal that is remembered is of another launch than the one that was found
  other.state.attempt = 2;
  other.state.goal = 400;
  other.policy.total_episodes = 400;
  other.feed(WorkerAdopted{4711, 1}).hear(told).exits(0);
  EXPECT_EQ(other.state.phase, Phase::starting);
}

TEST(AnAdoptedWorkerThatFinishes, StaysDownWhenThatIsAskedFor) {
  for (const bool leaving : {false, true}) {
    Scenario s;
    s.policy.total_episodes = 400;
    s.state.goal = 300;
    s.feed(WorkerAdopted{4711});
    leaving ? s.shut_down() : s.stop();
    s.exits(0);
    EXPECT_EQ(s.state.phase, Phase::stopped);
    EXPECT_EQ(s.did<LeaveDaemon>(), leaving);
    EXPECT_FALSE(s.did<PrepareLaunch>());
  }
}

TEST(AWorkerOfALowerGoal, SaysNothingAboutTheNextOnes) {
  protocol::NotifyMessage told;
  told.total = 600;
  Scenario s;  // adopted with a higher goal than the configuration has by now, and dead before it was reached
  s.state.goal = 600;
  s.feed(WorkerAdopted{4711}).hear(told).dies_of(11).launched(100).ready().exits(0);
  EXPECT_EQ(s.state.finished_total, 300);
}

// P6: found by its marks when a launch was being prepared.
TEST(AnUnrecordedWorker, IsAdoptedInsteadOfALaunchAndWrittenDownAtOnce) {
  Scenario s;
  s.state.attempt = 6;
  s.start().feed(WorkerAdopted{4711, 6, "there was nobody", {250, "models/model_ep250.pt"}});
  EXPECT_EQ(s.state.resume.episode, 250);
  EXPECT_EQ(s.state.phase, Phase::running);
  EXPECT_EQ(s.state.pid, 4711);
  EXPECT_EQ(s.state.attempt, 6);  // the seventh has not happened
  EXPECT_TRUE(s.did<SaveState>());
  EXPECT_EQ(s.state.incidents, 0);
  s.prepared();  // an answer that was under way
  EXPECT_FALSE(s.did<SpawnWorker>());

  Scenario forgotten;  // the state file is older than its launch: the next attempt must not have its number
  forgotten.feed(WorkerAdopted{4711, 6});
  EXPECT_EQ(forgotten.dies_of(11).state.attempt, 7);
}

TEST(AnUnrecordedWorker, IsWrittenDownAndEndedWhenAnotherStartIsWished) {
  Scenario s;
  s.restart_from("ep200").feed(WorkerAdopted{4711, 1});
  EXPECT_TRUE(s.did<SaveState>());
  EXPECT_TRUE(s.signalled(Signal::terminate));
  EXPECT_EQ(s.exits(75).preparing_from(), (LaunchFrom{LaunchFrom::Kind::selector, "ep200"}));
}

TEST(NobodyIsAdopted, BesideALivingWorker) {
  Scenario s;
  s.trains();
  const State before = s.state;
  s.feed(WorkerAdopted{4711});
  EXPECT_EQ(s.state, before);
}

}  // namespace
}  // namespace ts::core
