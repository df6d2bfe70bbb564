// JSON to the text at a terminal, whatever the JSON is: it comes over a socket (P7).
#include "supervisor/ctl/render.h"

#include <limits>

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

namespace ts::ctl {
namespace {

std::string rendered(const std::string& text) {
  return render_status(boost::json::parse(text).as_object());
}
bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(TheStatus, ReadsAsAPersonWouldSayIt) {
  const std::string text = rendered(R"({"state":"running","state_for_s":65.0,"reason":"attempt 3 is training",
      "episode":251,"total_episodes":300,"episodes_per_s":12.34,"eta_s":4.0,
      "worker":{"pid":4711,"attempt":3,"uptime_s":61.0,"heartbeat_age_s":0.4,
                "resumed_from":{"episode":250,"path":"models/model_ep250.pt"}},
      "metrics":{"profit":12.4,"sharpe":0.85},
      "checkpoint":{"episode":250,"path":"models/model_ep250.pt","age_s":3.0},
      "best":{"episode":240,"metric":"profit","value":13.5,"path":"models/best_model.pt"},
      "at_risk":{"memory":1,"disk":1},"restarts":{"crash":2,"interrupted":1},"exact":true,
      "run_id":"0123abcd","supervisor_pid":99})");
  for (const auto* part :
       {"running for 1m 05s: attempt 3 is training", "251/300, 12.3 a second, ready in 4s",
        "process 4711, attempt 3, up 1m 01s, resumed from episode 250 (models/model_ep250.pt)",
        "last heartbeat 400ms ago", "profit 12.400, sharpe 0.850", "models/model_ep250.pt (episode 250, 3s ago)",
        "models/best_model.pt (episode 240, profit 13.500)", "1 episode if the worker dies, 1 if the power goes",
        "3 (crash 2, interrupted 1)", "every resume so far was bit-exact", "0123abcd, supervisor process 99"}) {
    EXPECT_TRUE(contains(text, part)) << part << "\nis not in\n" << text;
  }
}

TEST(AStatusWithoutMembers, IsRenderedAllTheSame) {
  for (const auto* text : {"{}", R"({"state":null,"worker":null,"checkpoint":null,"best":null,"exact":null})",
                           R"({"state":7,"reason":[],"worker":{},"metrics":{},"checkpoint":{},"best":{},"at_risk":{},
                               "restarts":{},"episode":"x","eta_s":"soon","state_for_s":true})",
                           R"({"worker":{"resumed_from":{}},"metrics":{"a":null,"b":"c"},"restarts":{"crash":1.5}})"}) {
    const std::string out = rendered(text);
    EXPECT_TRUE(contains(out, "episode")) << out;
    EXPECT_TRUE(out.ends_with("\n"));
  }
}

TEST(AHostileStatus, CannotDriveTheTerminal) {
  const std::string text = rendered(R"({"state":"\u001b[2Jx","reason":"a\nb\u0007","run_id":"\u009b",
      "metrics":{"\u001b]0;x":1.0},"restarts":{"\u001b[1m":2},"worker":{"resumed_from":{"path":"\u001bc"}},
      "checkpoint":{"path":"\r\u001b[A"},"best":{"path":"\u0000","metric":"\t"}})");
  for (const char byte : text) {
    EXPECT_TRUE(byte == '\n' || static_cast<unsigned char>(byte) >= 0x20) << static_cast<int>(byte);
  }
  EXPECT_TRUE(contains(text, "a\\x0ab"));
}

TEST(NumbersBeyondAllBounds, AreRenderedSomehow) {
  for (const auto* number : {"1e300", "-1e300", "9223372036854775807", "-9223372036854775808"}) {
    const std::string value(number);
    const std::string out = rendered(R"({"state_for_s":)" + value + R"(,"eta_s":)" + value + R"(,"episode":)" + value +
                                     R"(,"metrics":{"x":)" + value + R"(},"worker":{"uptime_s":)" + value +
                                     R"(,"heartbeat_age_s":)" + value + R"(},"restarts":{"crash":)" + value +
                                     R"(,"other":)" + value + R"(},"at_risk":{"memory":)" + value + "}}");
    EXPECT_TRUE(contains(out, "episode")) << out;
  }
}

TEST(TheListOfCheckpoints, HasARowForEachAndAReasonForTheUnusable) {
  checkpoint::Sidecar sidecar;
  sidecar.episode = 250;
  sidecar.created = "2026-01-31T12:34:56.789Z";
  sidecar.bytes = 3 * 1024;
  sidecar.metrics["profit"] = 12.5;
  sidecar.reason = checkpoint::SaveReason::schedule;
  const std::string out =
      render_checkpoints({{"ep250", sidecar, ""}, {"ep240", {}, "its .pt file is missing"}}, "profit");
  EXPECT_TRUE(contains(out, "NAME      EPISODE"));
  EXPECT_TRUE(contains(out, "ep250     250      2026-01-31T12:34:56.789Z"));
  EXPECT_TRUE(contains(out, "3.0 KiB"));
  EXPECT_TRUE(contains(out, "12.500"));
  EXPECT_TRUE(contains(out, "schedule"));
  EXPECT_TRUE(contains(out, "ep240     not usable: its .pt file is missing"));
  EXPECT_TRUE(contains(render_checkpoints({{"ep250", sidecar, ""}}, "accuracy"), " -  "));
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 3);
}

TEST(AHostileSidecar, CannotDriveTheTerminal) {
  checkpoint::Sidecar sidecar;
  sidecar.created = "\x1b[2J\n";
  const std::string out = render_checkpoints({{"ep1", sidecar, ""}}, "\x1b[1m");
  EXPECT_EQ(out.find('\x1b'), std::string::npos);
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 2);
}

}  // namespace
}  // namespace ts::ctl
