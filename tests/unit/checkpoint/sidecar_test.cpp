#include "common/checkpoint/sidecar.h"

#include <iostream>
#include <limits>
#include <random>
#include <string>
#include <string_view>

#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include "common/base/json.h"
#include "tests/unit/checkpoint/support.h"

namespace ts::checkpoint {
namespace {

namespace json = boost::json;

Sidecar full() {
  Sidecar sidecar = sidecar_for(250, 12.4);
  sidecar.metrics["sharpe"] = -0.75;
  sidecar.reason = SaveReason::rescue;
  sidecar.epsilon = 0.1 + 0.2;
  sidecar.best = {{"episode", 200}, {"metric", "profit"}, {"value", 15.5}};
  sidecar.file = "model_ep250.pt";
  sidecar.bytes = 123456;
  sidecar.digest = "xxh3-128:0123456789abcdef0123456789abcdef";
  sidecar.exactness = {{"threads", 1}, {"isa", "avx2"}};
  sidecar.config = {{"dqn", {{"hidden", {64, 64}}}}};
  sidecar.stall_ms = 1.5;
  sidecar.durable_ms = 42.25;
  return sidecar;
}

json::object full_object() {
  return parse_json(to_json(full()), "f", kSidecarBytesMax)->as_object();
}

Result<Sidecar> parse(const std::string& text) {
  return parse_sidecar(text, "models/model_ep250.json", "model_ep250.pt");
}

std::string refusal_of(const json::object& object) {
  const auto parsed = parse(json::serialize(object));
  if (parsed) return "";
  EXPECT_EQ(parsed.error().kind, ErrorKind::checkpoint);
  EXPECT_TRUE(contains(parsed.error().message, "models/model_ep250.json")) << parsed.error().message;
  EXPECT_TRUE(parsed.error().message.ends_with('.'));
  return parsed.error().message;
}

TEST(ASidecar, IsReadBackAsItWasWritten) {
  const auto parsed = parse(to_json(full()));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(to_json(*parsed), to_json(full()));
  EXPECT_EQ(parsed->episode, 250);
  EXPECT_EQ(parsed->total_episodes, 300);
  EXPECT_EQ(parsed->run_id, kRun);
  EXPECT_EQ(parsed->attempt, 1);
  EXPECT_EQ(parsed->reason, SaveReason::rescue);
  EXPECT_EQ(parsed->epsilon, 0.1 + 0.2);
  EXPECT_EQ(parsed->metrics, full().metrics);
  EXPECT_EQ(parsed->best, full().best);
  EXPECT_EQ(parsed->bytes, 123456U);
  EXPECT_EQ(parsed->config, full().config);
  EXPECT_EQ(parsed->durable_ms, 42.25);
  EXPECT_TRUE(parsed->unknown.empty());
}

TEST(ASidecar, IsWhatAPersonCanRead) {
  const std::string text = to_json(full());
  EXPECT_TRUE(contains(text, "\"profit\": 12.4")) << text;
  EXPECT_TRUE(contains(text, "\n  \"episode\": 250,\n")) << text;
  EXPECT_TRUE(text.ends_with("}\n"));
}

TEST(ASidecar, OfALaterMinorVersionKeepsItsUnknownKeys) {
  json::object object = full_object();
  object["notes"] = {{"by", "a later version"}};
  const auto parsed = parse(json::serialize(object));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->unknown.size(), 1U);
  EXPECT_TRUE(contains(to_json(*parsed), "a later version"));
  EXPECT_EQ(to_json(*parse(to_json(*parsed))), to_json(*parsed));
}

TEST(ASidecar, OfAHigherFormatIsRefusedWithWhatToDoAndIsNoDamage) {
  json::object object = full_object();
  object["format"] = 2;
  EXPECT_EQ(refusal_of(object),
            "models/model_ep250.json is no usable sidecar: it is of format 2, this program reads up to format 1; use a "
            "newer trainer-supervisor for it.");
  EXPECT_TRUE(is_of_newer_format(json::serialize(object)));
  EXPECT_FALSE(is_of_newer_format(to_json(full())));
  for (const std::string_view text :
       {"", "{", "[]", "{}", "{\"format\": \"2\"}", "{\"format\": 2.5}", "{\"format\": 0}"}) {
    EXPECT_FALSE(is_of_newer_format(text)) << text;
  }
}

TEST(ASidecar, WithoutARequiredKeyOrWithOneOfAnotherTypeIsRefused) {
  for (const std::string_view key : {"format", "episode", "run_id", "file", "bytes", "digest"}) {
    json::object without = full_object();
    without.erase(key);
    EXPECT_TRUE(contains(refusal_of(without), "\"" + std::string(key) + "\"")) << key;
    for (const json::value& wrong : {json::value(nullptr), json::value(true), json::value(json::array{}),
                                     json::value(json::object{}), json::value(3.7), json::value("")}) {
      json::object mistyped = full_object();
      mistyped[key] = wrong;
      EXPECT_TRUE(contains(refusal_of(mistyped), "\"" + std::string(key) + "\"")) << key << " " << wrong;
    }
  }
}

TEST(ASidecar, WithANumberOutOfRangeIsRefused) {
  const auto with = [](std::string_view key, std::string_view number) {
    json::object object = full_object();
    object[key] = "@";
    std::string text = json::serialize(object);
    text.replace(text.find("\"@\""), 3, number);
    return !parse(text).has_value();
  };
  for (const std::string_view number :
       {"-1", "3.7", "3.0", "1000000000", "9223372036854775808", "18446744073709551616", "1e3", "1e400", "\"250\""}) {
    EXPECT_TRUE(with("episode", number)) << number;
  }
  for (const std::string_view number :
       {"-1", "0", "1.5", "9223372036854775808", "18446744073709551615", "18446744073709551616", "-0.5", "1e9"}) {
    EXPECT_TRUE(with("bytes", number)) << number;
  }
  for (const std::string_view number : {"0", "-1", "1.0", "18446744073709551616"}) {
    EXPECT_TRUE(with("format", number)) << number;
  }
}

TEST(ASidecar, P7_ThatSpeaksOfAnotherFileIsRefused) {
  for (const std::string_view file : {"../../etc/shadow", "/etc/shadow", "model_ep251.pt", "./model_ep250.pt",
                                      "model_ep250.pt\n", "best_model.pt", "MODEL_EP250.PT"}) {
    json::object object = full_object();
    object["file"] = file;
    EXPECT_TRUE(contains(refusal_of(object), "its \"file\" is not \"model_ep250.pt\"")) << file;
  }
}

TEST(ASidecar, WithAMalformedDigestIsRefused) {
  for (const std::string_view digest :
       {"0123456789abcdef0123456789abcdef", "xxh3-128:", "xxh3-128:0123456789abcdef0123456789abcde",
        "xxh3-128:0123456789abcdef0123456789abcdef0", "xxh3-128:0123456789ABCDEF0123456789abcdef",
        "sha256:0123456789abcdef0123456789abcdef", "xxh3-128:0123456789abcdef0123456789abcde\n"}) {
    json::object object = full_object();
    object["digest"] = digest;
    EXPECT_TRUE(contains(refusal_of(object), "digest")) << digest;
  }
}

TEST(ASidecar, ThatIsNoJsonObjectOrTooBigIsRefused) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"), std::string(1000, '\0'),
        std::string("{\"format\":1,\"format\":1}"), std::string(100'000, '['), "\xef\xbb\xbf" + to_json(full())}) {
    const auto parsed = parse(text);
    ASSERT_FALSE(parsed) << text.substr(0, 80);
    EXPECT_EQ(parsed.error().kind, ErrorKind::checkpoint);
  }
  Sidecar big = full();
  big.config["padding"] = std::string(kSidecarBytesMax, 'x');
  EXPECT_FALSE(parse(to_json(big)));
}

TEST(ASidecar, HoldsNullForAMetricThatIsNotFinite) {
  Sidecar sidecar = full();
  sidecar.metrics["loss"] = std::numeric_limits<double>::quiet_NaN();
  const auto parsed = parse(to_json(sidecar));
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->metrics.at("loss").is_null());
}

TEST(ASidecar, P7_WithAnyByteChangedIsRefusedOrReadAndNeverCrashes) {
  const std::string right = to_json(full());
  for (std::size_t length = 0; length < right.size() - 2; ++length) EXPECT_FALSE(parse(right.substr(0, length)));
  constexpr std::uint64_t kSeed = 4711;
  std::cout << "seed " << kSeed << "\n";
  std::mt19937_64 random(kSeed);
  for (int round = 0; round < 5000; ++round) {
    std::string text = right;
    for (std::uint64_t changes = 1 + random() % 4; changes > 0; --changes) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    const auto parsed = parse(text);
    if (parsed) {
      EXPECT_EQ(parsed->file, "model_ep250.pt");
      EXPECT_TRUE(parse(to_json(*parsed)));
    }
  }
}

TEST(ASaveReason, IsReadBackFromItsName) {
  for (const SaveReason reason : {SaveReason::schedule, SaveReason::interval, SaveReason::signal, SaveReason::request,
                                  SaveReason::best, SaveReason::final, SaveReason::rescue}) {
    EXPECT_EQ(parse_save_reason(to_string(reason)), reason);
  }
  EXPECT_EQ(parse_save_reason("Schedule"), std::nullopt);
  EXPECT_EQ(parse_save_reason(""), std::nullopt);
}

}  // namespace
}  // namespace ts::checkpoint
