// What the agent sees of the market: for each day, the recent past in numbers near one.
//
// Row r of the table is the observation at the close of day first_day + r. Its 2 * window columns are
//   [0, window)           the log returns of the close, ln(close[i] / close[i-1]), oldest first, the last one of that
//   day [window, 2 * window)  the log volume changes, ln(1 + volume[i]) - ln(1 + volume[i-1]), in the same order
// each standardised (less its mean, by its standard deviation) and clipped to [-kFeatureLimit, kFeatureLimit]: returns
// have fat tails (B. Mandelbrot 1963), and one crash should not swamp a network. The position held is not in here; the
// agent adds it. 1 + volume because some providers report days without volume.
//
// No look-ahead: a row uses days up to its own. The mean and the deviation are computed over the rows of the training
// block only (days 1 to train.end) and are then fixed, also for the later splits.
//
// Memory: rows * 2 * window floats. Ownership: the table owns its values and keeps nothing of the data it came from.
// Threading: plain values and a pure function. Errors: a window that the splits were not made for is a bug of the
// caller and throws std::invalid_argument.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "worker/trading/market_data.h"
#include "worker/trading/splits.h"

namespace ts::trading {

inline constexpr double kFeatureLimit = 5.0;

// How one series is brought to mean 0 and deviation 1.
struct Scale {
  double mean = 0.0;
  double deviation = 1.0;  // population; 1 for a series that does not vary, which then becomes all zeros
};

struct FeatureTable {
  std::vector<float> values;  // row-major, rows * width
  std::size_t first_day = 0;
  std::size_t rows = 0;   // every day from first_day to the last of the data has one
  std::size_t width = 0;  // 2 * window
  Scale log_return;       // what was used, for reports
  Scale log_volume_change;

  // The observation at the close of `day`; throws std::out_of_range for a day without one.
  std::span<const float> at(std::size_t day) const;
};

// `train` and `window` as in split_by_date(): train.begin == window.
FeatureTable make_features(const MarketData& data, Span train, std::size_t window);

}  // namespace ts::trading
