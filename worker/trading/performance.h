// What a sequence of positions would have earned: profit, risk and trades, from exact simple returns.
//
// Equity starts at 1 and flat. On each decision day t, with position p and the position q of the day before,
//   equity *= 1 + p * (close[t+1] / close[t] - 1) - cost * |p - q|
// and never falls below 0: at 0 the account is ruined, nothing is traded any more and the equity stays 0. A position
// still held at the end is valued at the last close, without the cost of leaving it.
//
// A trade is a longest run of days in one position that is not flat; going straight from long to short ends one trade
// and begins another. It is won when what it did to the equity, the cost of entering and of leaving included, is above
// 0.
//
// Sharpe ratio: W. F. Sharpe, "Mutual Fund Performance" (1966) and "The Sharpe Ratio" (1994), ex post: mean of the
// daily returns over their sample standard deviation, times sqrt(252) for a year; the risk-free rate is taken as 0.
// Drawdown: the deepest fall of the equity from its highest value before (the start counts), at daily closes.
//
// Every number is finite for every MarketData that keeps the promises of market_data.h. Threading: pure functions.
// Errors: positions that do not fit the span, a span past the data or a cost out of bounds (portfolio.h) are bugs of
// the caller and throw std::invalid_argument.
#pragma once

#include <cstdint>
#include <span>

#include "worker/trading/market_data.h"
#include "worker/trading/portfolio.h"
#include "worker/trading/splits.h"

namespace ts::trading {

inline constexpr double kTradingDaysPerYear = 252.0;
inline constexpr double kEquityMax = 1e300;  // where counting stops, so that absurd data gives no infinity

struct Performance {
  double profit_percent = 0.0;        // of the equity at the start; -100 is ruin
  double sharpe = 0.0;                // annualised; 0 when the returns do not vary or are fewer than two
  double max_drawdown_percent = 0.0;  // 0 to 100
  double win_rate_percent = 0.0;      // of the trades; 0 when there are none
  std::int64_t trades = 0;
  std::int64_t days = 0;      // decisions measured
  double final_equity = 1.0;  // of 1 at the start

  bool operator==(const Performance&) const = default;
};

// positions[i] is held from the close of day span.begin + i to the next.
Performance measure(const MarketData& data, Span span, std::span<const Position> positions, double cost);

// The yardstick: long on the first day and ever after, with the cost of entering.
Performance buy_and_hold(const MarketData& data, Span span, double cost);

}  // namespace ts::trading
