#include "worker/trading/features.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace ts::trading {
namespace {

// Below this a deviation is what rounding leaves of a series that does not vary.
constexpr double kDeviationMin = 1e-12;

// series[i] belongs to day i; day 0 has no day before it and stays 0.
std::vector<double> log_returns(const std::vector<double>& close) {
  std::vector<double> series(close.size());
  for (std::size_t i = 1; i < close.size(); ++i) series[i] = std::log(close[i] / close[i - 1]);
  return series;
}

std::vector<double> log_volume_changes(const std::vector<double>& volume) {
  std::vector<double> series(volume.size());
  for (std::size_t i = 1; i < volume.size(); ++i) series[i] = std::log1p(volume[i]) - std::log1p(volume[i - 1]);
  return series;
}

Scale scale_of(std::span<const double> series) {
  const auto count = static_cast<double>(series.size());
  double sum = 0.0;
  for (const double value : series) sum += value;
  const double mean = sum / count;
  double squares = 0.0;
  for (const double value : series) squares += (value - mean) * (value - mean);
  const double deviation = std::sqrt(squares / count);
  return {mean, deviation > kDeviationMin ? deviation : 1.0};
}

std::vector<float> standardise(const std::vector<double>& series, const Scale& scale) {
  std::vector<float> out(series.size());
  std::transform(series.begin(), series.end(), out.begin(), [&](double value) {
    return static_cast<float>(std::clamp((value - scale.mean) / scale.deviation, -kFeatureLimit, kFeatureLimit));
  });
  return out;
}

}  // namespace

std::span<const float> FeatureTable::at(std::size_t day) const {
  if (day < first_day || day - first_day >= rows) {
    throw std::out_of_range("there is no observation for day " + std::to_string(day));
  }
  return std::span(values).subspan((day - first_day) * width, width);
}

FeatureTable make_features(const MarketData& data, Span train, std::size_t window) {
  if (window == 0 || train.begin != window || train.end <= train.begin || train.end >= data.rows()) {
    throw std::invalid_argument("the training split does not fit the data and the window");
  }
  const std::vector<double> returns = log_returns(data.close);
  const std::vector<double> changes = log_volume_changes(data.volume);

  FeatureTable table;
  table.log_return = scale_of(std::span(returns).subspan(1, train.end));
  table.log_volume_change = scale_of(std::span(changes).subspan(1, train.end));
  table.first_day = window;
  table.rows = data.rows() - window;
  table.width = 2 * window;
  table.values.reserve(table.rows * table.width);

  // Each day is scaled once and then copied into the window of every row that sees it.
  const std::vector<float> scaled_returns = standardise(returns, table.log_return);
  const std::vector<float> scaled_changes = standardise(changes, table.log_volume_change);
  for (std::size_t day = table.first_day; day < data.rows(); ++day) {
    for (const std::vector<float>* series : {&scaled_returns, &scaled_changes}) {
      const auto end = series->begin() + static_cast<std::ptrdiff_t>(day) + 1;
      table.values.insert(table.values.end(), end - static_cast<std::ptrdiff_t>(window), end);
    }
  }
  return table;
}

}  // namespace ts::trading
