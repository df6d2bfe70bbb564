// Long random histories: 200,000 steps in which anything may happen, and the invariants after each of them. The seeds
// are fixed and printed with a failure, so that it can be run again.
#include <cstdint>

#include <gtest/gtest.h>

#include "tests/unit/core/world.h"

namespace ts::core {
namespace {

constexpr std::uint32_t kSeeds = 40;
constexpr std::int64_t kStepsEach = 5000;

Policy policy_of(std::uint32_t seed) {
  Policy policy;
  if (seed % 5 == 1) policy.heartbeat_timeout = Duration::zero();
  if (seed % 3 == 1) policy.max_attempts_without_progress = 1 + seed % 4;
  if (seed % 4 == 1) policy.backoff_initial = policy.backoff_max = Duration::zero();
  return policy;
}

TEST(ARandomHistory, NeverBreaksAnInvariant) {
  std::int64_t spawned = 0;
  std::int64_t rescues = 0;
  std::int64_t looks = 0;
  std::int64_t condemned = 0;
  std::int64_t incidents = 0;
  for (std::uint32_t seed = 1; seed <= kSeeds; ++seed) {
    World world(seed, policy_of(seed));
    world.post(StartRequested{true});
    while (world.steps() < kStepsEach) {
      world.tick();
      ASSERT_EQ(world.trouble(), "") << "seed " << seed << ", step " << world.steps();
    }
    spawned += world.spawned();
    rescues += world.rescues();
    looks += world.looks();
    condemned += world.condemned();
    incidents += world.incidents();
  }
  // The histories were eventful.
  EXPECT_GT(spawned, 5000);
  EXPECT_GT(rescues, 500);
  EXPECT_GT(looks, 500);
  EXPECT_GT(condemned, 20);
  EXPECT_GT(incidents, 1000);
}

// P10: no loop is endless, none needs a person.
TEST(ACrashLoopAfterAnyHistory, IsGivenUpWithinTheBudget) {
  for (std::uint32_t seed = 1; seed <= kSeeds; ++seed) {
    const Policy policy = policy_of(seed);
    World world(seed, policy);
    world.post(StartRequested{true});
    for (int i = 0; i < 500; ++i) world.tick();
    world.temper = World::Temper::crashing;
    world.operator_is_busy = false;
    world.post(RestartRequested{});
    const std::int64_t before = world.spawned() - world.supervisors();  // each of those may launch once more
    for (int i = 0; i < 20'000 && world.state().phase != Phase::fatal; ++i) {
      world.tick();
      // Its last worker may have finished before it turned bad.
      if (world.state().phase == Phase::finished) world.post(RestartRequested{});
    }
    ASSERT_EQ(world.trouble(), "") << "seed " << seed;
    ASSERT_EQ(world.state().phase, Phase::fatal) << "seed " << seed;
    EXPECT_LE(world.spawned() - world.supervisors() - before, policy.max_attempts_without_progress + 1)
        << "seed " << seed;
  }
}

TEST(ACooperativeWorkerAfterAnyHistory, TrainsAgain) {
  for (std::uint32_t seed = 1; seed <= kSeeds; ++seed) {
    World world(seed, policy_of(seed));
    world.post(StartRequested{true});
    for (int i = 0; i < 1000; ++i) world.tick();
    world.temper = World::Temper::cooperative;
    world.operator_is_busy = false;
    world.post(RestartRequested{});
    const std::int64_t attempt = world.state().attempt;
    const auto trains = [&] {
      const State& state = world.state();
      return state.attempt > attempt && state.phase == Phase::running && state.progress.episode > state.resume.episode;
    };
    for (int i = 0; i < 20'000 && !trains(); ++i) {
      world.tick();
      // Its last worker may have finished before anything was asked for.
      if (world.state().phase == Phase::finished) world.post(RestartRequested{});
    }
    ASSERT_EQ(world.trouble(), "") << "seed " << seed;
    EXPECT_TRUE(trains()) << "seed " << seed << ": " << world.state().reason;
    const std::int64_t workers = world.spawned();
    for (int i = 0; i < 2000; ++i) world.tick();
    EXPECT_EQ(world.spawned(), workers) << "seed " << seed << ": one that works was replaced (P9)";
  }
}

// A crash loop is found out again after every cooldown, and each round costs no more than the one before.
TEST(ACrashLoopWithoutEnd, CostsABoundedNumberOfLaunchesForEachCooldown) {
  Policy policy;
  World world(7, policy);
  world.temper = World::Temper::crashing;
  world.operator_is_busy = false;
  world.post(StartRequested{true});
  const Instant begun = world.now();
  while (world.steps() < 20'000) world.tick();
  ASSERT_EQ(world.trouble(), "");
  const auto rounds = (world.now() - begun) / policy.cooldown + 1;
  EXPECT_GT(rounds, 10);
  EXPECT_LE(world.spawned() - world.supervisors(), rounds * policy.max_attempts_without_progress);
}

}  // namespace
}  // namespace ts::core
