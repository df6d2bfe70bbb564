// Training, validation and test: three blocks of days in the order of time, with nothing shared.
//
// Rows are divided first: the last `test_fraction` of the rows is the test block, `validation_fraction` of the rows
// before it the validation block, everything before that the training block (fractions of all rows, rounded to the
// nearest row). Then each block gives its decision days:
//
//   A decision taken at the close of day t earns the return from close t to close t + 1. So the decision days of a
//   block are all its days but the last, and every reward of a block uses two closes of that same block. The return
//   across the boundary (last day of one block to the first day of the next) belongs to neither: that one day is given
//   up so that no price is part of the rewards of two splits.
//
//   An observation on day t looks back on the returns of the `window` days up to and including t, hence on rows
//   t - window to t. The first decision day of training is therefore row `window`. The first observations of the
//   validation and test splits look back into the block before; that is the past, which a trader has, and no leak.
//
// The other direction is what must not happen and does not: no training observation, reward or statistic depends on a
// row past train.end, and nothing of validation depends on a row past validation.end.
//
// Threading: plain values and pure functions.
#pragma once

#include <cstddef>

#include "common/base/result.h"
#include "worker/trading/market_data.h"

namespace ts::trading {

// Decision days [begin, end). Their returns reach up to the close of day `end`, the last day of the block.
struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;

  std::size_t size() const { return end - begin; }
  bool contains(std::size_t day) const { return day >= begin && day < end; }
  bool operator==(const Span&) const = default;
};

struct Splits {
  Span train;
  Span validation;
  Span test;
};

inline constexpr double kDefaultFraction = 0.15;
inline constexpr double kFractionMin = 0.01;     // of the rows, for validation and test each
inline constexpr double kFractionSumMax = 0.90;  // for both together: some data is for training
inline constexpr std::size_t kWindowMax = 10'000;

// Errors: ErrorKind::configuration for a window outside [1, kWindowMax] or fractions outside the limits above;
// ErrorKind::data, with the number of rows needed, when some split would be without a decision day.
Result<Splits> split_by_date(const MarketData& data, std::size_t window, double validation_fraction = kDefaultFraction,
                             double test_fraction = kDefaultFraction);

}  // namespace ts::trading
