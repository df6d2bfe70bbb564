// Whether the kernel ran out of memory: its counters and where they are found.
#include "supervisor/shell/oom.h"

#include <gtest/gtest.h>

namespace ts::shell {
namespace {

TEST(TheKillsOfTheKernel, AreReadFromEachOfItsFiles) {
  EXPECT_EQ(oom_kills_in("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 9\n"), 2U);  // memory.events
  EXPECT_EQ(oom_kills_in("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"), 5U);                 // memory.oom_control
  EXPECT_EQ(oom_kills_in("nr_free_pages 1\noom_kill 13\ndrop_pagecache 0"), 13U);               // vmstat
  EXPECT_EQ(oom_kills_in("oom_kill 0"), 0U);
  for (const auto* text : {"", "oom 3\n", "oom_kill_disable 1\n", "oom_kill \n", "oom_kill -1\n", "oom_kill many\n",
                           "xoom_kill 3\n", "oom_kill 99999999999999999999999\n"}) {
    EXPECT_EQ(oom_kills_in(text), std::nullopt) << text;
  }
}

constexpr const char* kV1 =
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
constexpr const char* kV2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char* kV2OfAContainer = "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";

TEST(TheCounterOfAGroup, IsFoundWhereItsHierarchyIsMounted) {
  EXPECT_EQ(oom_counter_file("9:name=systemd:/\n4:cpu,memory:/a b/c\n0::/x\n", kV1),
            "/sys/fs/cgroup/memory/a b/c/memory.oom_control");
  EXPECT_EQ(oom_counter_file("0::/system.slice/t.service\n", kV2),
            "/sys/fs/cgroup/system.slice/t.service/memory.events");
  EXPECT_EQ(oom_counter_file("0::/\n", kV2), "/sys/fs/cgroup/memory.events");
  EXPECT_EQ(oom_counter_file("0::/docker/abc/inner\n", kV2OfAContainer), "/sys/fs/cgroup/inner/memory.events");
  EXPECT_EQ(oom_counter_file("0::/docker/abcd\n", kV2OfAContainer), "") << "another group's name";
  EXPECT_EQ(oom_counter_file("0::/elsewhere\n", kV2OfAContainer), "");
  EXPECT_EQ(oom_counter_file("4:memory:/a\n", kV2), "") << "not mounted";
  for (const auto* text : {"", "x", ":", "::", "\n\n", "4:memory\n", "0:"}) {
    const auto file = oom_counter_file(text, kV2);
    EXPECT_TRUE(file.empty() || file == "/sys/fs/cgroup/memory.events") << text;
  }
  for (const auto* mounts : {"", "-", " - ", "1 2 3 - cgroup2\n", "30 23 0:26 / - cgroup2 cgroup2 rw\n"}) {
    EXPECT_EQ(oom_counter_file("0::/a\n", mounts), "") << mounts;
  }
}

}  // namespace
}  // namespace ts::shell
