// What Prometheus is told. (tests/integration/prometheus_test.py asks promtool and a real server.)
#include "supervisor/api/metrics.h"

#include <limits>
#include <map>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "supervisor/shell/accounts_file.h"

namespace ts::api {
namespace {

std::set<std::string> lines_of(const Measures& measures) {
  std::set<std::string> lines;
  std::istringstream in(to_prometheus(measures));
  for (std::string line; std::getline(in, line);) EXPECT_TRUE(lines.insert(line).second) << "twice: " << line;
  return lines;
}

TEST(Metrics, HaveOneSeriesForEachStateAndCause) {
  Measures measures;
  measures.status.state.phase = core::Phase::backoff;
  measures.status.state.restarts[core::Cause::crash] = 3;
  const auto lines = lines_of(measures);
  EXPECT_TRUE(lines.contains("trainer_supervisor_state{state=\"backoff\"} 1"));
  EXPECT_TRUE(lines.contains("trainer_supervisor_state{state=\"running\"} 0"));
  EXPECT_TRUE(lines.contains("trainer_restarts_total{cause=\"crash\"} 3"));
  for (int cause = 0; cause <= static_cast<int>(core::Cause::unknown); ++cause) {
    const std::string name(core::to_string(static_cast<core::Cause>(cause)));
    const std::string count = name == "crash" ? "3" : "0";
    EXPECT_TRUE(lines.contains("trainer_restarts_total{cause=\"" + name + "\"} " + count)) << name;
  }
}

TEST(Metrics, P7_EscapeWhatAWorkerNames) {
  Measures measures;
  auto& metrics = measures.status.state.progress.metrics;
  metrics = {{"profit", 12.5},
             {"a\"} 1\ntrainer_worker_up 7 #", 1.0},
             {"back\\slash", 2.0},
             {"\xff", 3.0},
             {"nan", std::numeric_limits<double>::quiet_NaN()},
             {"inf", -std::numeric_limits<double>::infinity()},
             {std::string(1000, 'x'), 1.0}};
  const auto lines = lines_of(measures);
  EXPECT_TRUE(lines.contains("trainer_metric{name=\"profit\"} 12.5"));
  EXPECT_TRUE(lines.contains("trainer_metric{name=\"a\\\"} 1\\\\x0atrainer_worker_up 7 #\"} 1"));
  EXPECT_TRUE(lines.contains("trainer_metric{name=\"\\\\xff\"} 3"));
  EXPECT_TRUE(lines.contains("trainer_metric{name=\"nan\"} NaN"));
  EXPECT_TRUE(lines.contains("trainer_metric{name=\"inf\"} -Inf"));
  EXPECT_TRUE(lines.contains("trainer_worker_up 0"));
  EXPECT_EQ(to_prometheus(measures).find("xxxx"), std::string::npos);
}

TEST(Metrics, P7_BoundTheirNumber) {
  Measures measures;
  for (int i = 0; i < 5000; ++i) measures.status.state.progress.metrics["m" + std::to_string(i)] = i;
  std::size_t series = 0;
  for (const std::string& line : lines_of(measures)) series += line.starts_with("trainer_metric{") ? 1 : 0;
  EXPECT_EQ(series, kTrainingMetricsMax);
}

TEST(Metrics, LeaveOutWhatIsNotKnown) {
  const std::string text = to_prometheus({});
  for (const char* name : {"trainer_exact ", "trainer_goodput_ratio ", "trainer_checkpoint_age_seconds ",
                           "trainer_eta_seconds ", "process_cpu_seconds_total "}) {
    EXPECT_EQ(text.find(std::string("\n") + name), std::string::npos) << name;
  }
}

TEST(Metrics, HistogramsAreCumulative) {
  Measures measures;
  for (const double value : {0.0005, 0.001, 0.002, 400.0}) measures.stall.observe(value);
  measures.stall.observe(-1.0);
  measures.stall.observe(std::numeric_limits<double>::quiet_NaN());
  const auto lines = lines_of(measures);
  const std::string name = "trainer_checkpoint_stall_seconds";
  EXPECT_TRUE(lines.contains(name + "_bucket{le=\"0.001\"} 2"));
  EXPECT_TRUE(lines.contains(name + "_bucket{le=\"0.0025\"} 3"));
  EXPECT_TRUE(lines.contains(name + "_bucket{le=\"300\"} 3"));
  EXPECT_TRUE(lines.contains(name + "_bucket{le=\"+Inf\"} 4"));
  EXPECT_TRUE(lines.contains(name + "_count 4"));
  EXPECT_TRUE(lines.contains(name + "_sum 400.0035"));
}

TEST(Accounts, AreRememberedAcrossSupervisors) {
  core::Accounts accounts;
  accounts.wanted_s = 1234.5;
  accounts.wanted = true;
  accounts.marks = {{0, 0.0}, {7, 70.5}};
  accounts.incidents = 2;
  accounts.lost_episodes = 3;
  accounts.detection = {2, 31.0};
  accounts.relaunch = {2, 0.5};
  accounts.first_step = {1, 4.0};
  accounts.last = core::IncidentFigures{core::Cause::heartbeat_lost, 31.0, 3, 0.25, std::nullopt};
  accounts.as_of = core::Instant(std::chrono::hours(1));
  const shell::RememberedAccounts written = shell::to_remember(accounts, *accounts.as_of, 1.7e9);
  const auto read = shell::parse_accounts(shell::to_json(written));
  const core::Instant now = std::chrono::hours(9);
  const core::Accounts recalled = shell::recall(read, now, 1.7e9 + 60.0);
  EXPECT_EQ(recalled.marks, accounts.marks);
  EXPECT_EQ(recalled.last, accounts.last);
  EXPECT_EQ(recalled.lost_episodes, 3);
  EXPECT_EQ(recalled.detection, accounts.detection);
  EXPECT_DOUBLE_EQ(core::wanted_s(recalled, now), 1294.5);
}

TEST(Accounts, P7_OfABrokenFileAreWithinBounds) {
  const boost::json::object hostile = {
      {"written_s", -5.0},
      {"wanted_s", 1e300},
      {"incidents", -7},
      {"lost_episodes", 4e18},
      {"detection", boost::json::array{1}},
      {"marks", boost::json::array{1, boost::json::array{5, 3.0}, boost::json::array{"six", 7.0}, boost::json::array{7},
                                   boost::json::array{4, 9.0}}},
      {"last_incident", boost::json::object{{"cause", "nonsense"}}}};
  const auto read = shell::parse_accounts(hostile);
  EXPECT_EQ(read.accounts.incidents, 0);
  EXPECT_LE(read.accounts.wanted_s, 1e11);
  EXPECT_EQ(read.accounts.marks.size(), 1U);
  EXPECT_FALSE(read.accounts.last);
  EXPECT_EQ(shell::recall(read, core::Instant{0}, 1.7e9), core::Accounts{});
}

}  // namespace
}  // namespace ts::api
