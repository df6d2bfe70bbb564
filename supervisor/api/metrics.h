// What Prometheus is told: one plain value in, its text format (0.0.4) out. Pure. docs/PROTOCOL.md lists the names.
//
// Names are fixed here; what comes from a worker (the names of its metrics) is a label's value, escaped and bounded, so
// no worker can make a scrape fail or a database of it.
//
// Source: https://prometheus.io/docs/instrumenting/exposition_formats/ ("Text-based format") and .../practices/naming/.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "supervisor/api/status.h"

namespace ts::api {

inline constexpr const char* kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";
inline constexpr std::size_t kTrainingMetricsMax = 100;  // series of one worker
inline constexpr std::size_t kMetricNameMax = 128;       // bytes of such a name

// Counts of values up to each bound, in seconds.
class Histogram {
 public:
  static constexpr std::array kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,  0.25,
                                         0.5,   1.0,    2.5,   5.0,  10.0,  30.0, 60.0, 300.0};

  void observe(double seconds);

  // Of the values no greater than kBounds[i].
  std::uint64_t up_to(std::size_t i) const;
  std::uint64_t count() const { return count_; }
  double sum() const { return sum_; }

 private:
  std::array<std::uint64_t, kBounds.size()> counts_{};  // above the bound before, up to this one
  std::uint64_t count_ = 0;
  double sum_ = 0.0;
};

// Of the supervisor itself; nothing where the system does not say.
struct ProcessMeasures {
  std::optional<double> resident_bytes;
  std::optional<double> start_time_s;  // since the epoch
  std::optional<double> cpu_s;
  std::optional<double> open_fds;
  std::optional<double> max_fds;
};

using Counts = std::vector<std::pair<std::string_view, std::uint64_t>>;  // by a label's value, ours

struct Measures {
  Status status;
  std::optional<double> at_risk_age_s;  // since the oldest episode that is not durable was completed
  std::optional<double> checkpoint_bytes;
  std::optional<double> disk_free_bytes;
  double wanted_s = 0.0;
  Histogram stall;
  Histogram durable;
  Counts rescues;  // by outcome
  std::uint64_t datagrams_heard = 0;
  Counts datagrams_dropped;  // by kind
  std::uint64_t stray_descriptors = 0;
  ProcessMeasures process;
};

std::string to_prometheus(const Measures& measures);

}  // namespace ts::api
