#include "common/checkpoint/retention.h"

#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace ts::checkpoint {
namespace {

using Episodes = std::vector<Episode>;

TEST(Pruning, P2_RemovesTheOldestBeyondMaxKeepInNumericOrder) {
  const struct {
    Episodes committed;
    Episode verified;
    RetentionPolicy policy;
    Episodes victims;
  } cases[] = {
      {{}, 0, {5, 0}, {}},
      {{10}, 10, {1, 0}, {}},
      {{10, 20}, 20, {1, 0}, {10}},
      {{9, 10, 100}, 100, {2, 0}, {9}},  // as text: 10, 100, 9
      {{100, 9, 10}, 100, {1, 0}, {9, 10}},
      {{10, 20, 30, 40, 50}, 50, {5, 0}, {}},
      {{10, 20, 30, 40, 50, 60}, 60, {5, 0}, {10}},
      {{10, 20, 30}, 30, {0, 0}, {10, 20}},  // at least one is kept
      {{10, 20, 30}, 30, {-7, 0}, {10, 20}},
      {{10, 20, 30, 40}, 40, {1, 20}, {10, 30}},
      {{0, 10, 100}, 100, {1, 100}, {10}},   // episode 0 is a multiple of everything
      {{10, 20, 30, 40}, 20, {1, 0}, {10}},  // what is newer than the verified one is not proven
      {{10, 20, 30, 40}, 10, {1, 0}, {}},
      {{10, 20, 30}, 25, {1, 0}, {10, 20}},
      {{10, 20, 30}, -1, {1, 0}, {}},
  };
  for (const auto& [committed, verified, policy, victims] : cases) {
    EXPECT_EQ(plan_prune(committed, verified, policy), victims)
        << testing::PrintToString(committed) << " verified " << verified << " max_keep " << policy.max_keep
        << " keep_every " << policy.keep_every;
  }
}

TEST(Pruning, P2_NeverTakesTheVerifiedOneNorANewerNorAMilestoneNorTooMany) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 2000; ++round) {
    Episodes committed;
    for (Episode episode = 0; episode < 60; ++episode) {
      if (random() % 3 == 0) committed.push_back(episode);
    }
    std::shuffle(committed.begin(), committed.end(), random);
    const auto verified = static_cast<Episode>(random() % 60);
    const RetentionPolicy policy{static_cast<int>(random() % 6), static_cast<Episode>(random() % 8)};
    const Episodes victims = plan_prune(committed, verified, policy);
    EXPECT_TRUE(std::is_sorted(victims.begin(), victims.end()));
    for (const Episode victim : victims) {
      EXPECT_LT(victim, verified);
      EXPECT_TRUE(policy.keep_every == 0 || victim % policy.keep_every != 0);
      EXPECT_TRUE(std::find(committed.begin(), committed.end(), victim) != committed.end());
      const auto newer = std::count_if(committed.begin(), committed.end(), [&](Episode e) { return e > victim; });
      EXPECT_GE(newer, std::max(1, policy.max_keep));
    }
  }
}

TEST(Pruning, P2_NeverTakesAPinnedOneAndGivesItNoPlaceAmongTheNewest) {
  const struct {
    Episodes committed;
    std::set<Episode> pinned;
    RetentionPolicy policy;
    Episodes victims;
  } cases[] = {
      {{10, 20, 30, 40}, {10}, {2, 0}, {20}},
      {{10, 20, 30, 40}, {30}, {2, 0}, {10}},  // 40 and 20 are the two newest that are not pinned
      {{10, 20, 30, 40}, {30, 40}, {2, 0}, {}},
      {{10, 20, 30, 40}, {10, 20, 30}, {1, 0}, {}},
      {{10, 20, 30, 40}, {7, 50}, {1, 0}, {10, 20, 30}},  // pins of others
      {{10, 20, 30, 40}, {30}, {1, 20}, {10}},
  };
  for (const auto& [committed, pinned, policy, victims] : cases) {
    EXPECT_EQ(plan_prune(committed, 40, policy, pinned), victims)
        << testing::PrintToString(committed) << " pinned " << testing::PrintToString(pinned);
  }
}

TEST(Pruning, P2_PassesOverOtherRunsAndAsksOnlyAboutThoseThatDecide) {
  Episodes asked;
  const auto of_this_run = [&](Episode episode) {
    asked.push_back(episode);
    return episode != 60 && episode != 20;  // another run's
  };
  const Episodes victims = plan_prune({10, 20, 30, 40, 50, 60, 70, 80}, 80, {2, 40}, {80, 30}, of_this_run);
  EXPECT_EQ(victims, Episodes{10});
  // 80 and 30 are pinned, 40 is a milestone: none of them needs an answer.
  EXPECT_EQ(asked, (Episodes{70, 60, 50, 20, 10}));
}

}  // namespace
}  // namespace ts::checkpoint
