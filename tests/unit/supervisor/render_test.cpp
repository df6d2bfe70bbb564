// JSON to the text at a terminal, whatever the JSON is: it comes over a socket (P7).
#include "supervisor/ctl/render.h"

#include <limits>

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include "supervisor/ctl/documents.h"

namespace ts::ctl {
namespace {

std::string rendered(const std::string& text) {
  return render_status(boost::json::parse(text).as_object());
}
bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(TheStatus, FitsTheTerminalAndIsColouredOnlyThere) {
  const auto status = boost::json::parse(R"({"state":"fatal","state_for_s":1.0,"run_id":"0123456789abcdef",
      "reason":"gave up after ten attempts without a new episode, the last one ended with SIGSEGV"})")
                          .as_object();
  const std::string narrow = render_status(status, {40, false});
  for (std::size_t at = 0; at < narrow.size();) {
    const std::size_t end = narrow.find('\n', at);
    EXPECT_LE(end - at, 40U) << narrow.substr(at, end - at);
    at = end + 1;
  }
  EXPECT_EQ(render_status(status, {0, false}).find('\x1b'), std::string::npos);
  EXPECT_TRUE(render_status(status, {0, true}).starts_with("\033[1;31mfatal\033[0m for 1s: gave up"));
  // Narrower than any text: as it is, rather than a letter a line.
  EXPECT_NE(render_status(status, {5, false}).find("gave up after ten attempts"), std::string::npos);
}

TEST(TheStatus, ReadsAsAPersonWouldSayIt) {
  const std::string text = rendered(R"({"state":"running","state_for_s":65.0,"reason":"attempt 3 is training",
      "episode":251,"total_episodes":300,"episodes_per_s":12.34,"eta_s":4.0,
      "worker":{"pid":4711,"attempt":3,"uptime_s":61.0,"heartbeat_age_s":0.4,"heartbeat_limit_s":30.0,"progress_age_s":2.0,"progress_limit_s":300.0,
                "resumed_from":{"episode":250,"path":"models/model_ep250.pt","why":"crash of attempt 2"}},
      "metrics":{"profit":12.4,"sharpe":0.85},
      "checkpoint":{"episode":250,"path":"models/model_ep250.pt","age_s":3.0,"stall_ms":0.2,"durable_ms":4.1},
      "best":{"episode":240,"metric":"profit","value":13.5,"path":"models/best_model.pt"},
      "at_risk":{"memory":1,"disk":1},"restarts":{"crash":2,"interrupted":1},"exact":true,"last_incident":{"cause":"crash","lost_episodes":1,"detect_s":0.0,"relaunch_s":0.014,"first_step_s":null},
      "run_id":"0123abcd","supervisor_pid":99})");
  for (const auto* part :
       {"running for 1m 05s: attempt 3 is training", "251/300, 12.3 a second, ETA 4s",
        "process 4711, attempt 3, up 1m 01s\n", "from episode 250 (models/model_ep250.pt); crash of attempt 2\n",
        "last heartbeat 400ms ago (at most 30s), progress 2s ago (at most 5m 00s)\n",
        "crash: 1 episode lost, noticed in 0ms, relaunched in 14ms\n", "profit 12.400, sharpe 0.850",
        "models/model_ep250.pt (episode 250, 3s ago; training waited 0.2 ms, durable in 4.1 ms)",
        "models/best_model.pt (episode 240, profit 13.500)", "1 episode if the worker dies, 1 if the power goes",
        "3 (crash 2, interrupted 1)", "every resume so far was bit-exact", "0123abcd, supervisor process 99"}) {
    EXPECT_TRUE(contains(text, part)) << part << "\nis not in\n" << text;
  }
}

TEST(TheStatus, P11_QuotesTheWorkerWhereItSaysSomething) {
  const std::string text = rendered(R"({"worker":{"pid":1,"says":"episode 5 was not saved: no space\u001b[2J"}})");
  EXPECT_TRUE(contains(text, "it says        episode 5 was not saved: no space\\x1b[2J\n")) << text;
  for (const auto* silent : {R"({"worker":{"pid":1,"says":null}})", R"({"worker":{"pid":1}})", R"({"worker":null})"}) {
    EXPECT_FALSE(contains(rendered(silent), "it says")) << silent;
  }
}

TEST(TheStatus, SaysWhatComesNextAndWhen) {
  const auto next = [](const std::string& state, const std::string& left) {
    const std::string out = rendered(R"({"state":")" + state + R"(","deadline_in_s":)" + left + "}");
    const std::size_t at = out.find("  next ");
    return at == std::string::npos ? std::string() : out.substr(at, out.find('\n', at) - at);
  };
  EXPECT_TRUE(contains(next("backoff", "6.3"), "the next launch in 6.3s"));
  EXPECT_TRUE(contains(next("starting", "118.0"), "has 1m 58s left to get ready"));
  EXPECT_TRUE(contains(next("stopping", "50.0"), "has 50s left to end"));
  EXPECT_TRUE(contains(next("fatal", "899.0"), "tries again in 14m 59s, or at once with supervisorctl start"));
  EXPECT_TRUE(contains(next("fatal", "null"), "mend what the reason names, then supervisorctl start"));
  EXPECT_EQ(next("running", "29.0"), "") << "its clocks have a row of their own";
  EXPECT_EQ(next("stopped", "null"), "");
}

TEST(TheStatus, P9_TellsNoPaceOfAWorkerThatIsSilent) {
  const auto with_beat = [](const std::string& age, const std::string& limit) {
    return rendered(
        R"({"state":"running","episode":5,"total_episodes":9,"episodes_per_s":2.0,"eta_s":2.0,"worker":{"pid":1,
        "heartbeat_age_s":)" +
        age + R"(,"heartbeat_limit_s":)" + limit + "}}");
  };
  EXPECT_TRUE(contains(with_beat("1.0", "30.0"), "5/9, 2.0 a second, ETA 2s\n"));
  EXPECT_TRUE(contains(with_beat("12.0", "30.0"), "5/9\n"));
  EXPECT_TRUE(contains(with_beat("12.0", "30.0"), "signs of life  last heartbeat 12s ago (at most 30s)"));
  EXPECT_TRUE(contains(with_beat("12.0", "600.0"), "a second")) << "one that may be silent for long";
  EXPECT_TRUE(contains(with_beat("null", "null"), "a second")) << "one that sends no beats";
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

TEST(TheListOfCheckpoints, MarksThePinnedOnes) {
  checkpoint::Sidecar sidecar;
  sidecar.reason = checkpoint::SaveReason::schedule;
  const std::string out = render_checkpoints(
      {{"ep20", sidecar, "", true}, {"ep10", sidecar, ""}, {"ep5", {}, "it is cut short.", true}}, "profit");
  EXPECT_TRUE(contains(out, "schedule, pinned\nep10"));
  EXPECT_TRUE(contains(out, "schedule\nep5       pinned, but not usable: it is cut short."));
}

checkpoint::Sidecar sidecar_of(checkpoint::Episode episode, double profit) {
  checkpoint::Sidecar sidecar;
  sidecar.episode = episode;
  sidecar.total_episodes = 300;
  sidecar.run_id = "0123abcd";
  sidecar.bytes = 3 * 1024;
  sidecar.digest = "xxh3-128:0123";
  sidecar.metrics["profit"] = profit;
  sidecar.config["learning_rate"] = 0.001;
  sidecar.exactness["threads"] = 1;
  return sidecar;
}

ReadCheckpoint read_of(checkpoint::Episode episode, double profit) {
  const std::string name = "ep" + std::to_string(episode);
  return {name, "models/model_" + name + ".pt", sidecar_of(episode, profit), false, false};
}

// A weight that moved, a bias that changed its type, and one tensor more on either side.
checkpoint::Comparison a_comparison() {
  using checkpoint::DType;
  using Kind = checkpoint::TensorDifference::Kind;
  checkpoint::Comparison out;
  out.tensors = 9;
  out.differences = {{"model.0.weight", Kind::values, {{DType::float32, {32, 23}}}, {{DType::float32, {32, 23}}}, {}},
                     {"model.0.bias", Kind::layout, {{DType::float32, {32}}}, {{DType::float64, {32}}}, {}},
                     {"old", Kind::only_in_a, {{DType::int64, {}}}, {}, {}},
                     {"new", Kind::only_in_b, {}, {{DType::int8, {2, 2}}}, {}}};
  out.differences[0].elements = {736, 700, 3, 0.25, 0.125, 0.5};
  return out;
}

TEST(TheDifference, SaysFirstWhetherThereIsOneAndThenWhere) {
  const auto document = diff_document(read_of(10, 1.5), read_of(20, 2.5), a_comparison());
  EXPECT_EQ(document.at("format").as_int64(), 1);
  EXPECT_FALSE(document.at("identical").as_bool());
  EXPECT_EQ(document.at("tensors").as_int64(), 9);
  const auto& first = document.at("differences").as_array().at(0).as_object();
  EXPECT_EQ(first.at("differing").as_int64(), 700);
  EXPECT_EQ(first.at("max_abs").as_double(), 0.25);
  EXPECT_EQ(document.at("differences").as_array().at(2).as_object().at("b"), nullptr);
  EXPECT_EQ(document.at("metrics").at("profit").at("b").as_double(), 2.5);
  EXPECT_TRUE(document.at("config").as_object().empty());

  const std::string out = render_difference(document);
  EXPECT_TRUE(out.starts_with("different: 4 of 9 tensors\n")) << out;
  for (const auto* part :
       {"model.0.weight  float32 [32, 23]  700 of 736  0.25     0.125  50%       3 of them NaN or infinite",
        "model.0.bias: float32 [32] in ep10, float64 [32] in ep20", "old: only in ep10 (int64 number)",
        "new: only in ep20 (int8 [2, 2])", "episode         10                    20",
        "profit          1.5                   2.5", "config: the same", "exactness: the same"}) {
    EXPECT_TRUE(contains(out, part)) << part << "\nis not in\n" << out;
  }
}

TEST(TheDifference, OfEqualsIsTheWordIdentical) {
  checkpoint::Comparison comparison;
  comparison.tensors = 7;
  ReadCheckpoint other = read_of(20, 1.5);
  other.sidecar.config["learning_rate"] = 0.01;
  other.sidecar.exactness["isa"] = "avx2";
  const auto document = diff_document(read_of(10, 1.5), other, comparison);
  const std::string out = render_difference(document);
  EXPECT_TRUE(out.starts_with("identical: all 7 tensors are equal to the bit\n")) << out;
  EXPECT_TRUE(contains(out, "config learning_rate  0.001")) << out;
  EXPECT_TRUE(contains(out, "exactness isa         -")) << out;
  EXPECT_FALSE(contains(out, "exactness threads")) << "those that are the same are left out";
  EXPECT_FALSE(contains(out, "the same"));
}

TEST(TheDifference, OfAForeignFileHasNothingToSayOfASidecar) {
  ReadCheckpoint foreign{"x.pt", "x.pt", {}, true, false};
  const auto document = diff_document(foreign, read_of(20, 1.5), {});
  EXPECT_EQ(document.at("a").at("sidecar"), nullptr);
  EXPECT_EQ(document.at("facts").at("episode").at("a"), nullptr);
  EXPECT_TRUE(contains(render_difference(document), "episode               -     20\n")) << render_difference(document);
}

TEST(TheCheckpointShown, NamesWhatItHolds) {
  const std::int64_t steps = 7;
  const std::vector<float> weight = {1.0F};
  const auto document = show_document(read_of(250, 1.5), {{"model.weight", view_of(checkpoint::DType::float32, weight)},
                                                          {"steps", checkpoint::view_of(steps)}});
  const std::string out = render_checkpoint(document);
  for (const auto* part : {"models/model_ep250.pt: valid", "250 of 300", "profit 1.5", "3.0 KiB", "pinned     no",
                           "tensors    2", "model.weight  float32 [1]", "steps         int64 number"}) {
    EXPECT_TRUE(contains(out, part)) << part << "\nis not in\n" << out;
  }
  EXPECT_TRUE(contains(render_checkpoint(show_document({"x.pt", "x.pt", {}, true, false}, {})), "no sidecar of ours"));
}

TEST(ACheckpointOfAnotherProgram, IsShownByItsSidecarAndComparedByItsBytes) {
  const std::string why = "x.pt does not end in a zip directory.";
  const auto shown = show_unread_document(read_of(250, 1.5), why);
  EXPECT_TRUE(shown.at("tensors").is_null());
  const std::string out = render_checkpoint(shown);
  EXPECT_TRUE(contains(out, "250 of 300")) << out;
  EXPECT_TRUE(contains(out, "content    another program's affair, and not looked into: " + why)) << out;
  EXPECT_FALSE(contains(out, "tensors")) << out;
  ReadCheckpoint other = read_of(20, 2.5);
  EXPECT_TRUE(
      render_difference(diff_unread_document(read_of(10, 1.5), other, why)).starts_with("identical, byte by byte; "));
  other.sidecar.digest = "xxh3-128:4567";
  const std::string different = render_difference(diff_unread_document(read_of(10, 1.5), other, why));
  EXPECT_TRUE(different.starts_with("different; what they hold cannot be compared: " + why)) << different;
  EXPECT_TRUE(contains(different, "profit          1.5")) << different;
}

TEST(TheRelease, TellsWhyItHadBeenSetAsideWhereThatIsKnown) {
  checkpoint::Sidecar sidecar;
  sidecar.episode = 20;
  sidecar.file = "model_ep20.pt";
  const auto known = release_document("models", sidecar, "models/quarantine/x", "it \x1b[2J died.", true);
  EXPECT_EQ(render_release(known),
            "ep20 is back: models/model_ep20.pt, pinned as before\n"
            "It had been set aside because: it \\x1b[2J died.\n"
            "To go on from it: supervisorctl restart --from ep20\n");
  const auto unknown = release_document("models", sidecar, "models/quarantine/x", "", false);
  EXPECT_TRUE(unknown.at("why").is_null());
  EXPECT_TRUE(contains(render_release(unknown), "Nobody wrote down why")) << render_release(unknown);
}

TEST(TheVerification, SaysItOfEachAndOfAll) {
  const auto damaged = verify_document("models", {{"ep20", ""}, {"ep10", "it is cut short."}});
  EXPECT_FALSE(damaged.at("valid").as_bool());
  EXPECT_EQ(render_verification(damaged), "ep20: valid\nep10: NOT valid: it is cut short.\n");
  EXPECT_TRUE(verify_document("models", {{"ep20", ""}}).at("valid").as_bool());
}

TEST(AHostileCheckpoint, CannotDriveTheTerminalNorBreakTheJson) {
  const std::string evil = "\x1b[2J\xff\n";
  checkpoint::Comparison comparison = a_comparison();
  for (auto& difference : comparison.differences) difference.name = evil;
  ReadCheckpoint checkpoint{evil, evil, sidecar_of(1, 1.0), false, true};
  checkpoint.sidecar.run_id = checkpoint.sidecar.created = "\x1b[2J";
  checkpoint.sidecar.metrics["\x1b]0;x"] = "\x1b";
  checkpoint.sidecar.config["\x7f"] = boost::json::object{{"\x1b", "\x9b"}};
  const std::int64_t number = 1;
  for (const std::string& out : {render_difference(diff_document(checkpoint, read_of(2, 1.0), comparison)),
                                 render_checkpoint(show_document(checkpoint, {{evil, checkpoint::view_of(number)}})),
                                 render_verification(verify_document(evil, {{evil, ""}}))}) {
    EXPECT_EQ(out.find_first_of("\x1b\x7f\x9b\xff"), std::string::npos) << out;
  }
  for (const std::string text :
       {"{}", R"({"a":1,"b":[],"differences":[1,{},{"kind":"values"},{"kind":"layout","a":{"shape":7}}],
                                      "metrics":{"x":1},"tensors":"y","sidecar":{},"checkpoints":[[],{}]})"}) {
    const auto document = boost::json::parse(text).as_object();
    EXPECT_FALSE(render_difference(document).empty());
    EXPECT_FALSE(render_checkpoint(document).empty());
    (void)render_verification(document);
  }
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
