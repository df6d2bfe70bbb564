#include "common/protocol/notify_message.h"

#include <chrono>
#include <iostream>
#include <limits>
#include <random>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace ts::protocol {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace std::string_view_literals;

const std::string kDigest = "xxh3-128:0123456789abcdef0123456789abcdef";

std::string record(const std::string& more = "") {
  return R"({"episode":251,"bytes":233243,"digest":")" + kDigest + '"' + more + "}";
}

NotifyMessage full() {
  NotifyMessage message;
  message.ready = message.stopping = message.watchdog = message.watchdog_trigger = message.barrier = true;
  message.trouble = true;
  message.status = "episode 251/300: profit=12.4";
  message.extend_timeout = 2500000us;
  message.episode = 251;
  message.total = 300;
  message.step = 1'000'000'000'000'000;
  message.phase = Phase::evaluate;
  message.metrics = Metrics{{"profit", 12.4}, {"sharpe", -0.75}, {"epsilon", 0.1 + 0.2}};
  message.checkpoint = "models/model_ep250.pt";
  message.resumed = 0;
  message.fd_store = true;
  message.fd_name = "snapshot";
  message.snapshot = {251, 233243, kDigest, record(R"(,"run_id":"a","best":{"value":-0.0})")};
  return message;
}

NotifyMessage decoded(std::string_view datagram) {
  const auto message = decode(datagram);
  EXPECT_TRUE(message) << datagram;
  return message ? *message : NotifyMessage();
}

TEST(AMessage, IsDecodedAsItWasEncoded) {
  EXPECT_EQ(decoded(encode(full())), full());
  NotifyMessage beat;
  beat.watchdog = true;
  EXPECT_EQ(encode(beat), "WATCHDOG=1\n");
  EXPECT_EQ(decoded(encode(beat)), beat);
  for (const Phase phase : {Phase::train, Phase::evaluate, Phase::save, Phase::load}) {
    NotifyMessage message;
    message.phase = phase;
    EXPECT_EQ(decoded(encode(message)), message);
    EXPECT_EQ(parse_phase(to_string(phase)), phase);
  }
}

TEST(AMessage, OfAnySdNotifyClientIsUnderstood) {
  const NotifyMessage message = decoded("READY=1\nSTATUS=Ready = yes\nMAINPID=42\nX_SOMEBODY=1\nERRNO=2\nno line\n=\n");
  EXPECT_TRUE(message.ready);
  EXPECT_EQ(message.status, "Ready = yes") << "a value may hold an equals sign";
  EXPECT_TRUE(decoded("WATCHDOG=1").watchdog) << "no newline at the end";
  EXPECT_TRUE(decoded("\n\nWATCHDOG=1\n\n").watchdog);
  EXPECT_TRUE(decoded("WATCHDOG=1\0"sv).watchdog) << "one trailing NUL is fine";
  EXPECT_TRUE(decoded("WATCHDOG=trigger").watchdog_trigger);
  EXPECT_FALSE(decoded("WATCHDOG=trigger").watchdog);
  EXPECT_EQ(decoded("STATUS=").status, "");
  EXPECT_EQ(decoded("nothing known"), NotifyMessage());
}

TEST(AMessage, ThatSystemdWouldRefuseIsRefused) {
  for (const std::string& datagram : {""s, "\0"s, "WATCHDOG=1\0\0"s, "WATCH\0DOG=1"s, "\0WATCHDOG=1"s}) {
    const auto message = decode(datagram);
    ASSERT_FALSE(message) << datagram;
    EXPECT_EQ(message.error().kind, ErrorKind::data);
    EXPECT_FALSE(message.error().message.empty());
  }
}

TEST(AMessage, MayHave4096BytesAndNotOneMore) {
  const std::string prefix = "WATCHDOG=1\nSTATUS=";
  const std::string longest = prefix + std::string(4096 - prefix.size(), 'x');
  EXPECT_EQ(decoded(longest).status->size(), 4096 - prefix.size());
  EXPECT_FALSE(decode(longest + "x"));
  EXPECT_FALSE(decode(longest + "\0"s)) << "the NUL counts";
}

TEST(AMalformedValue, IsSkippedAndSpoilsNothingElse) {
  for (const std::string_view line : {"READY=0",
                                      "READY=yes",
                                      "READY",
                                      "ready=1",
                                      " READY=1",
                                      "READY =1",
                                      "READY= 1",
                                      "STOPPING=",
                                      "WATCHDOG=2",
                                      "WATCHDOG=TRIGGER",
                                      "BARRIER=true",
                                      "EXTEND_TIMEOUT_USEC=-1",
                                      "EXTEND_TIMEOUT_USEC=1.5",
                                      "EXTEND_TIMEOUT_USEC=99999999999999999999",
                                      "X_TRAINER_EPISODE=-1",
                                      "X_TRAINER_EPISODE=3.7",
                                      "X_TRAINER_EPISODE=01",
                                      "X_TRAINER_EPISODE=9223372036854775808",
                                      "X_TRAINER_EPISODE=1000000000000001",
                                      "X_TRAINER_EPISODE=",
                                      "X_TRAINER_EPISODE=1 ",
                                      "X_TRAINER_TOTAL=many",
                                      "X_TRAINER_STEP=1e3",
                                      "X_TRAINER_PHASE=Train",
                                      "X_TRAINER_PHASE=",
                                      "X_TRAINER_RESUMED=x",
                                      "FDSTORE=0",
                                      "FDSTORE=yes",
                                      "FDNAME=",
                                      "FDNAME=a:b",
                                      "FDNAME=tab\there",
                                      "FDNAME=caf\xc3\xa9",
                                      "X_TRAINER_METRICS=",
                                      "X_TRAINER_METRICS=12",
                                      "X_TRAINER_METRICS=[1]",
                                      "X_TRAINER_METRICS={",
                                      "X_TRAINER_METRICS={\"a\":1,\"a\":2}",
                                      "X_TRAINER_METRICS={\"a\":1e400}",
                                      "X_TRAINER_METRICS={\"\xff\":1}"}) {
    const NotifyMessage message = decoded(std::string(line) + "\nX_TRAINER_STEP=7");
    NotifyMessage expected;
    expected.step = 7;
    EXPECT_EQ(message, expected) << line;
  }
}

TEST(ASnapshot, P7_ThatCannotBeIsSkippedAndDisplacesNoGoodOne) {
  const std::string good = "X_TRAINER_SNAPSHOT=" + record() + "\n";
  const std::string digest = R"(,"digest":")" + kDigest + "\"}";
  const auto record_of = [&](const std::string& episode, const std::string& bytes) {
    return R"({"episode":)" + episode + R"(,"bytes":)" + bytes + digest;
  };
  ASSERT_EQ(decoded("X_TRAINER_SNAPSHOT=" + record_of("1", "1")).snapshot->episode, 1) << "the rest is well formed";
  for (const std::string& bad : {""s,
                                 "12"s,
                                 "[]"s,
                                 "{"s,
                                 "{}"s,
                                 "null"s,
                                 record() + "x",
                                 record(R"(,"episode":252)"),
                                 record_of("0", "1"),
                                 record_of("-1", "1"),
                                 record_of("1.5", "1"),
                                 record_of("\"1\"", "1"),
                                 record_of("1e3", "1"),
                                 record_of("1000000000000001", "1"),
                                 record_of("1", "0"),
                                 record_of("1", "-1"),
                                 record_of("1", "null"),
                                 record_of("1", "18446744073709551616"),
                                 record_of("1", "1000000000000001"),
                                 R"({"episode":1,"bytes":1})"s,
                                 R"({"episode":1,"bytes":1,"digest":7})"s,
                                 R"({"episode":1,"bytes":1,"digest":"xxh3-128:00"})"s,
                                 R"({"episode":1,"bytes":1,"digest":"XXH3-128:0123456789abcdef0123456789abcdef"})"s,
                                 R"({"episode":1,"bytes":1,"digest":"xxh3-128:0123456789ABCDEF0123456789ABCDEF"})"s,
                                 R"({"episode":1,"bytes":1,"digest":"sha2-128:0123456789abcdef0123456789abcdef"})"s,
                                 record(",\"x\":" + std::string(100, '[') + std::string(100, ']')),
                                 record(",\"x\":\"\xff\"")}) {
    EXPECT_EQ(decoded("X_TRAINER_SNAPSHOT=" + bad + "\nX_TRAINER_STEP=7").snapshot, std::nullopt) << bad;
    EXPECT_EQ(decoded(good + "X_TRAINER_SNAPSHOT=" + bad).snapshot->record, record()) << bad;
  }
  EXPECT_FALSE(decoded("FDNAME=" + std::string(256, 'x')).fd_name);
  EXPECT_TRUE(decoded("FDNAME=" + std::string(255, 'x')).fd_name);
}

TEST(ASnapshot, KeepsWhatItsSenderSaidBesides) {
  const std::string more = record(R"(,"mine":{"a":[1,2.50]},"run_id":"r")");
  const auto snapshot = decoded("FDSTORE=1\nX_TRAINER_SNAPSHOT=" + more).snapshot;
  EXPECT_EQ(snapshot, (SnapshotNotice{251, 233243, kDigest, more}));
}

NotifyMessage long_message(std::size_t config, std::size_t exactness, std::size_t metrics, std::size_t best) {
  NotifyMessage message;
  message.fd_store = true;
  message.episode = 251;
  message.metrics = Metrics{{std::string(metrics, 'm'), 1.5}};
  const auto member = [](const std::string& name, std::size_t length) {
    return ",\"" + name + "\":{\"" + std::string(length, name[0]) + "\":1.5}";
  };
  message.snapshot = {251, 233243, kDigest,
                      record(member("metrics", metrics) + member("best", best) + member("exactness", exactness) +
                             member("config", config))};
  return message;
}

std::string left_in(const NotifyMessage& message) {
  std::string out;
  for (const char* name : {"config", "exactness", "best", "metrics"}) {
    if (message.snapshot->record.find("\"" + std::string(name) + "\"") != std::string::npos) out += name + " "s;
  }
  return out + (message.metrics ? "and the line" : "");
}

TEST(AMessageWithASnapshot, FitsByLeavingOutTheLeastNeededFirst) {
  const NotifyMessage short_enough = long_message(100, 100, 100, 100);
  EXPECT_EQ(fitted(short_enough), short_enough);
  EXPECT_EQ(left_in(fitted(long_message(4000, 100, 100, 100))), "exactness best metrics and the line");
  EXPECT_EQ(left_in(fitted(long_message(100, 4000, 100, 100))), "best metrics and the line");
  EXPECT_EQ(left_in(fitted(long_message(100, 100, 2500, 100))), "best metrics ");
  EXPECT_EQ(left_in(fitted(long_message(100, 100, 100, 4000))), "metrics ");
  const NotifyMessage least = fitted(long_message(4000, 4000, 4000, 4000));
  EXPECT_EQ(left_in(least), "");
  for (const NotifyMessage& message :
       {least, fitted(long_message(4000, 1, 1, 1)), fitted(long_message(1, 1, 3000, 1))}) {
    EXPECT_LE(encode(message).size(), kDatagramBytesMax);
    EXPECT_EQ(decoded(encode(message)), message);
    EXPECT_EQ(message.snapshot->episode, 251);
  }
}

TEST(AMetric, ThatIsNoNumberIsLeftOut) {
  EXPECT_EQ(decoded(R"(X_TRAINER_METRICS={"a":1,"b":"x","c":null,"d":[1],"e":-2.5})").metrics,
            (Metrics{{"a", 1.0}, {"e", -2.5}}));
  NotifyMessage message;
  message.metrics = Metrics{{"loss", std::numeric_limits<double>::quiet_NaN()}, {"profit", 1.0}};
  EXPECT_EQ(decoded(encode(message)).metrics, (Metrics{{"profit", 1.0}}));
}

// Documented here: of a value given twice the last one counts; a flag once raised stays raised.
TEST(AKeyGivenTwice, CountsAsItsLastGoodValue) {
  EXPECT_EQ(decoded("X_TRAINER_EPISODE=1\nX_TRAINER_EPISODE=2").episode, 2);
  EXPECT_EQ(decoded("X_TRAINER_EPISODE=1\nX_TRAINER_EPISODE=bad").episode, 1);
  EXPECT_EQ(decoded("STATUS=a\nSTATUS=b").status, "b");
  EXPECT_TRUE(decoded("READY=1\nREADY=0").ready);
  const NotifyMessage both = decoded("WATCHDOG=1\nWATCHDOG=trigger");
  EXPECT_TRUE(both.watchdog && both.watchdog_trigger);
}

TEST(AMessage, P7_OfRandomBytesNeverCrashesItsReader) {
  constexpr std::uint64_t kSeed = 16180339;
  std::cout << "seed " << kSeed << "\n";
  std::mt19937_64 random(kSeed);
  const std::string right = encode(full());
  for (int round = 0; round < 50'000; ++round) {
    std::string datagram;
    if (round % 4 == 0) {
      datagram.resize(random() % 300);
      for (char& c : datagram) c = static_cast<char>(random());
    } else {
      datagram = right;
      for (std::uint64_t changes = 1 + random() % 6; changes > 0; --changes) {
        datagram[random() % datagram.size()] = static_cast<char>(random());
      }
      if (random() % 3 == 0) datagram.resize(random() % datagram.size());
    }
    const auto message = decode(datagram);
    if (!message) continue;
    EXPECT_GE(message->episode.value_or(0), 0);
    EXPECT_GE(message->extend_timeout.value_or(0us).count(), 0);
    const std::string again = encode(*message);
    if (!again.empty() && again.size() <= kDatagramBytesMax) {
      EXPECT_EQ(decoded(again), *message);
    }
  }
}

}  // namespace
}  // namespace ts::protocol
