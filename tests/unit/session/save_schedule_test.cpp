// When to save, with neither a clock nor a disk.
#include "worker/session/save_schedule.h"

#include <gtest/gtest.h>

namespace ts::session {
namespace {

using checkpoint::SaveReason;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr SaveSchedule::Time kStart = SaveSchedule::Time(seconds{1000});

SaveSchedule schedule(milliseconds interval = milliseconds{0}, checkpoint::Episode durable = 0) {
  return {{10, interval, 95}, durable, kStart};
}

TEST(ASave, IsDueAtEachMultipleOfTheFrequencyAndAtTheEnd) {
  SaveSchedule saves = schedule();
  for (checkpoint::Episode episode = 1; episode <= 95; ++episode) {
    const auto due = saves.due(episode, kStart);
    EXPECT_EQ(due.has_value(), episode % 10 == 0 || episode == 95) << episode;
    if (!due) continue;
    EXPECT_EQ(*due, episode == 95 ? SaveReason::final : SaveReason::schedule);
    saves.saved(episode, kStart);
    EXPECT_FALSE(saves.due(episode, kStart));
  }
}

TEST(ASave, ThatWasMissedIsDueUntilItIsMade) {
  SaveSchedule saves = schedule();
  EXPECT_EQ(saves.due(13, kStart), SaveReason::schedule);
  saves.saved(13, kStart);
  EXPECT_FALSE(saves.due(19, kStart));
  EXPECT_TRUE(saves.due(20, kStart));
}

TEST(ASave, AfterAResumeOffTheScheduleComesAtTheNextMultiple) {
  const SaveSchedule saves = schedule(milliseconds{0}, 7);
  EXPECT_FALSE(saves.due(9, kStart));
  EXPECT_TRUE(saves.due(10, kStart));
}

TEST(ASave, IsDueWhenTheLastDurableOneIsOldEnough) {
  SaveSchedule saves = schedule(seconds{60});
  EXPECT_FALSE(saves.due(1, kStart + seconds{59}));
  EXPECT_EQ(saves.next_change(1), kStart + seconds{60});
  EXPECT_EQ(saves.due(1, kStart + seconds{60}), SaveReason::interval);
  EXPECT_FALSE(saves.next_change(0)) << "nothing new, nothing to wait for";
  saves.saved(1, kStart + seconds{61});
  EXPECT_FALSE(saves.due(2, kStart + seconds{120}));
  EXPECT_TRUE(saves.due(2, kStart + seconds{121}));
}

TEST(ARequest, IsForWhatIsNewestThen) {
  SaveSchedule saves = schedule();
  saves.request(3);
  EXPECT_EQ(saves.due(3, kStart), SaveReason::request);
  saves.saved(3, kStart);
  EXPECT_FALSE(saves.due(4, kStart));
}

TEST(ARequest, ForALaterEpisodeThanTheOneJustSavedStands) {
  SaveSchedule saves = schedule();
  saves.request(12);
  saves.saved(10, kStart);
  EXPECT_EQ(saves.due(12, kStart), SaveReason::request);
}

TEST(ARefusedSave, IsTriedAgainAfterAPauseThatDoublesUpToAMinute) {
  SaveSchedule saves = schedule();
  auto now = kStart;
  for (const int pause : {1, 2, 4, 8, 16, 32, 60, 60}) {
    ASSERT_TRUE(saves.due(10, now));
    saves.refused(10, now);
    EXPECT_TRUE(saves.is_overdue());
    EXPECT_FALSE(saves.due(10, now + seconds{pause} - milliseconds{1}));
    EXPECT_EQ(saves.next_change(10), now + seconds{pause});
    now += seconds{pause};
  }
  EXPECT_TRUE(saves.due(11, now)) << "of whatever is newest then";
  saves.saved(11, now);
  EXPECT_FALSE(saves.is_overdue());
  saves.refused(20, now);
  EXPECT_EQ(saves.next_change(20), now + seconds{1}) << "after a success the pauses begin anew";
}

TEST(ARefusedSave, IsTriedAgainWhenTheNextOneIsDue) {
  SaveSchedule saves = schedule();
  for (int i = 0; i < 5; ++i) saves.refused(10, kStart);
  EXPECT_FALSE(saves.due(19, kStart));
  EXPECT_TRUE(saves.due(20, kStart));
  saves.refused(20, kStart);
  EXPECT_FALSE(saves.due(20, kStart));
  EXPECT_EQ(saves.due(95, kStart), SaveReason::final);
}

TEST(ARefusedSave, IsTriedAgainWhenSomebodyAsks) {
  SaveSchedule saves = schedule();
  saves.refused(10, kStart);
  saves.request(11);
  EXPECT_EQ(saves.due(11, kStart), SaveReason::request);
  saves.refused(11, kStart);
  EXPECT_FALSE(saves.due(11, kStart)) << "asked once, tried once";
}

TEST(ASave, UnderWayLeavesOnlyLaterOnesDue) {
  SaveSchedule saves = schedule(seconds{60});
  saves.take_up(10);
  EXPECT_FALSE(saves.due(11, kStart + seconds{90})) << "not because of time either: one is under way";
  EXPECT_FALSE(saves.next_change(11));
  EXPECT_TRUE(saves.due(20, kStart));
  saves.take_up(20);  // waits its turn
  saves.saved(10, kStart);
  EXPECT_FALSE(saves.due(21, kStart));
  saves.request(21);
  EXPECT_EQ(saves.due(21, kStart), SaveReason::request);
  saves.saved(20, kStart);
  EXPECT_EQ(saves.due(21, kStart), SaveReason::request);
  saves.saved(21, kStart);
  EXPECT_TRUE(saves.due(30, kStart));
}

TEST(ARefusedSave, LeavesTheOneThatWaitsItsTurn) {
  SaveSchedule saves = schedule();
  saves.take_up(10);
  saves.take_up(20);
  saves.refused(10, kStart);
  EXPECT_FALSE(saves.due(21, kStart + seconds{5})) << "20 is next";
  saves.refused(20, kStart);
  EXPECT_FALSE(saves.due(21, kStart));
  EXPECT_TRUE(saves.due(21, kStart + seconds{2}));
}

TEST(ARefusedBestModel, LeavesTheCheckpointsOnSchedule) {
  SaveSchedule saves = schedule();
  saves.refused(std::nullopt, kStart);
  EXPECT_FALSE(saves.may_retry(kStart));
  EXPECT_TRUE(saves.may_retry(kStart + seconds{1}));
  EXPECT_TRUE(saves.due(10, kStart));
  EXPECT_FALSE(saves.is_overdue());
}

}  // namespace
}  // namespace ts::session
