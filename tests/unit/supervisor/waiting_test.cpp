// supervisorctl wait: what it understands, and when it is there, not yet, or never.
#include "supervisor/ctl/waiting.h"

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

namespace ts::ctl {
namespace {

Awaited judged(const std::string& until, const std::string& status) {
  return judge(*parse_until(until), boost::json::parse(status).as_object());
}

TEST(WaitingFor, UnderstandsFourThings) {
  EXPECT_EQ(*parse_until("running"), (Until{Until::Kind::running, 0}));
  EXPECT_EQ(*parse_until("stopped"), (Until{Until::Kind::stopped, 0}));
  EXPECT_EQ(*parse_until("finished"), (Until{Until::Kind::finished, 0}));
  EXPECT_EQ(*parse_until("episode=200"), (Until{Until::Kind::episode, 200}));
  for (const auto* wrong : {"", "Running", "episode", "episode=", "episode=0", "episode=-1", "episode=2x", "episode= 2",
                            "episode=99999999999999999999", "ep200", "\x1b[2J"}) {
    const auto refused = parse_until(wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.error().message.find('\x1b'), std::string::npos);
  }
}

TEST(WaitingFor, EndsWhenItIsSo) {
  EXPECT_EQ(judged("running", R"({"state":"running"})"), Awaited::there);
  EXPECT_EQ(judged("finished", R"({"state":"finished"})"), Awaited::there);
  EXPECT_EQ(judged("episode=5", R"({"state":"running","episode":5})"), Awaited::there);
  EXPECT_EQ(judged("episode=5", R"({"state":"finished","episode":7})"), Awaited::there);
  for (const auto* state : {"stopped", "finished", "fatal"}) {
    EXPECT_EQ(judged("stopped", std::string(R"({"state":")") + state + "\"}"), Awaited::there);
  }
}

TEST(WaitingFor, GoesOnWhileItCanStillBe) {
  for (const auto* state : {"starting", "stopping", "backoff"}) {
    for (const auto* until : {"running", "finished", "stopped", "episode=5"}) {
      EXPECT_EQ(judged(until, std::string(R"({"state":")") + state + R"(","episode":4})"), Awaited::not_yet);
    }
  }
  // It waits for the cooldown, and tries again.
  EXPECT_EQ(judged("finished", R"({"state":"fatal","deadline_in_s":10.0})"), Awaited::not_yet);
  // Its supervisor is leaving; the next one goes on.
  EXPECT_EQ(judged("finished", R"({"state":"stopped","desired":"up"})"), Awaited::not_yet);
}

TEST(WaitingFor, EndsWhenItCannotBeAnyMore) {
  EXPECT_EQ(judged("finished", R"({"state":"stopped","desired":"down"})"), Awaited::never);
  EXPECT_EQ(judged("finished", R"({"state":"fatal","deadline_in_s":null})"), Awaited::never);
  EXPECT_EQ(judged("running", R"({"state":"finished"})"), Awaited::never);
  EXPECT_EQ(judged("episode=500", R"({"state":"finished","episode":300})"), Awaited::never);
}

}  // namespace
}  // namespace ts::ctl
