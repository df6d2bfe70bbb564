#include "worker/trading/performance.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

namespace ts::trading {
namespace {

// Relative to the mean: below this a deviation is what rounding leaves of returns that do not vary.
constexpr double kDeviationMin = 1e-12;

double compound(double equity, double simple_return) {
  return std::min(equity * (1.0 + simple_return), kEquityMax);
}

double annualised_sharpe(std::span<const double> returns) {
  if (returns.size() < 2) return 0.0;
  const auto count = static_cast<double>(returns.size());
  double sum = 0.0;
  for (const double value : returns) sum += value;
  const double mean = sum / count;
  double squares = 0.0;
  for (const double value : returns) squares += (value - mean) * (value - mean);
  const double deviation = std::sqrt(squares / (count - 1.0));
  if (deviation <= kDeviationMin * std::max(1.0, std::abs(mean))) return 0.0;
  return mean / deviation * std::sqrt(kTradingDaysPerYear);
}

// Follows the trade that is open, apart from the equity: on the day of a reversal one half of the cost belongs to the
// trade that ends and the other half to the one that begins.
class TradeTally {
 public:
  explicit TradeTally(double cost) : cost_(cost) {}

  // The day's position and what it earned before costs.
  void add_day(Position position, double gross_return) {
    double entering = 0.0;
    if (position != held_) {
      if (held_ != Position::flat) leave(cost_);
      if (position != Position::flat) entering = cost_;
      growth_ = 1.0;
      held_ = position;
    }
    if (held_ != Position::flat) growth_ = compound(growth_, std::max(gross_return - entering, -1.0));
  }

  // The end of the measurement, or ruin.
  void finish() {
    if (held_ != Position::flat) leave(0.0);
    held_ = Position::flat;
  }

  std::int64_t trades() const { return trades_; }
  double win_rate_percent() const {
    return trades_ == 0 ? 0.0 : 100.0 * static_cast<double>(wins_) / static_cast<double>(trades_);
  }

 private:
  void leave(double cost) {
    ++trades_;
    if (growth_ * (1.0 - cost) > 1.0) ++wins_;
  }

  double cost_;
  Position held_ = Position::flat;
  double growth_ = 1.0;  // what the trade that is open has made of 1 so far
  std::int64_t trades_ = 0;
  std::int64_t wins_ = 0;
};

void check_span(const MarketData& data, Span span) {
  if (span.end < span.begin || span.end >= data.rows()) {
    throw std::invalid_argument("the span to measure reaches past the market data");
  }
}

void check_arguments(const MarketData& data, Span span, std::size_t positions, double cost) {
  check_span(data, span);
  if (positions != span.size()) throw std::invalid_argument("there must be one position for each day of the span");
  if (check_cost(cost).has_error()) throw std::invalid_argument("the trading cost is out of bounds");
}

}  // namespace

Performance measure(const MarketData& data, Span span, std::span<const Position> positions, double cost) {
  check_arguments(data, span, positions.size(), cost);
  std::vector<double> returns;
  returns.reserve(span.size());
  TradeTally tally(cost);
  double equity = 1.0;
  double peak = 1.0;
  double drawdown = 0.0;
  Position held = Position::flat;
  for (std::size_t i = 0; i < span.size(); ++i) {
    if (equity <= 0.0) {
      returns.push_back(0.0);  // ruined, but the days still count
      continue;
    }
    const std::size_t day = span.begin + i;
    const double gross = exposure(positions[i]) * (data.close[day + 1] / data.close[day] - 1.0);
    const double net = std::max(gross - cost * turnover(held, positions[i]), -1.0);
    held = positions[i];
    tally.add_day(held, gross);
    returns.push_back(net);
    equity = compound(equity, net);
    peak = std::max(peak, equity);
    drawdown = std::max(drawdown, (peak - equity) / peak);
  }
  tally.finish();
  return {.profit_percent = (equity - 1.0) * 100.0,
          .sharpe = annualised_sharpe(returns),
          .max_drawdown_percent = drawdown * 100.0,
          .win_rate_percent = tally.win_rate_percent(),
          .trades = tally.trades(),
          .days = static_cast<std::int64_t>(span.size()),
          .final_equity = equity};
}

Performance buy_and_hold(const MarketData& data, Span span, double cost) {
  check_span(data, span);
  const std::vector<Position> positions(span.size(), Position::long_);
  return measure(data, span, positions, cost);
}

}  // namespace ts::trading
