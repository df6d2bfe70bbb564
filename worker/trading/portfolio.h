// Positions, actions and what a day earns.
//
// Three positions in one instrument, always with the whole equity: short, flat, long. An action names the position to
// hold from this close to the next, not a trade; keeping a position is choosing it again. `cost` is charged for each
// unit of turnover, as a fraction of the equity (0.001 = 10 basis points), so going from short to long costs twice.
//
// Threading: pure functions.
#pragma once

#include <cstdint>

#include "common/base/result.h"

namespace ts::trading {

// The trailing underscores only keep clear of the keywords. The numbers are the factor on the market's return.
enum class Position : std::int8_t { short_ = -1, flat = 0, long_ = 1 };

inline constexpr std::int64_t kActionCount = 3;

// Action 0, 1, 2 is short, flat, long. Any other is a bug of the caller and throws std::out_of_range.
Position position_of(std::int64_t action);
std::int64_t action_of(Position position);

// -1.0, 0.0 or 1.0.
double exposure(Position position);

// Units traded to get from one position to another: 0, 1 or 2.
double turnover(Position from, Position to);

// ln(to / from), of two prices.
double log_return(double from, double to);

// The reward of holding `to`, coming from `from`, over a day in which the market did `market_log_return`:
// position * log return - cost * turnover. For a short position this is an approximation that is good for small
// returns (exact: ln(2 - e^r)); it is the reward's definition. Profits are measured exactly, in performance.h.
double step_reward(Position from, Position to, double market_log_return, double cost);

// ErrorKind::configuration unless the cost is in [0, kCostMax].
inline constexpr double kCostMax = 0.1;
Result<void> check_cost(double cost);

}  // namespace ts::trading
