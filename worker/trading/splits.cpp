#include "worker/trading/splits.h"

#include <cmath>
#include <optional>
#include <string>

#include "common/base/text.h"

namespace ts::trading {
namespace {

// NaN fails every comparison, so the conditions are written as what has to hold.
std::optional<Error> check_parameters(std::size_t window, double validation_fraction, double test_fraction) {
  if (!(window >= 1 && window <= kWindowMax)) {
    return make_error(ErrorKind::configuration, "the observation window is " + std::to_string(window) +
                                                    " days; it must be from 1 to " + std::to_string(kWindowMax));
  }
  if (!(validation_fraction >= kFractionMin && test_fraction >= kFractionMin &&
        validation_fraction + test_fraction <= kFractionSumMax)) {
    return make_error(ErrorKind::configuration,
                      "the validation and test fractions are " + format_fixed(validation_fraction, 4) + " and " +
                          format_fixed(test_fraction, 4) + "; each must be at least " + format_fixed(kFractionMin, 2) +
                          " and both together at most " + format_fixed(kFractionSumMax, 2));
  }
  return std::nullopt;
}

std::size_t share(std::size_t rows, double fraction) {
  return static_cast<std::size_t>(std::llround(static_cast<double>(rows) * fraction));
}

// The splits of so many rows, or nothing when one of them would have no decision day.
std::optional<Splits> divide(std::size_t rows, std::size_t window, double validation_fraction, double test_fraction) {
  const std::size_t test_rows = share(rows, test_fraction);
  const std::size_t validation_rows = share(rows, validation_fraction);
  if (test_rows < 2 || validation_rows < 2) return std::nullopt;
  if (rows < test_rows + validation_rows + window + 2) return std::nullopt;
  const std::size_t test_first = rows - test_rows;
  const std::size_t validation_first = test_first - validation_rows;
  return Splits{.train = {window, validation_first - 1},
                .validation = {validation_first, test_first - 1},
                .test = {test_first, rows - 1}};
}

}  // namespace

Result<Splits> split_by_date(const MarketData& data, std::size_t window, double validation_fraction,
                             double test_fraction) {
  if (const std::optional<Error> error = check_parameters(window, validation_fraction, test_fraction)) return *error;
  const std::size_t rows = data.rows();
  if (const std::optional<Splits> splits = divide(rows, window, validation_fraction, test_fraction)) return *splits;
  // Ends soon: the limits on the parameters leave at least a tenth of the rows for training.
  std::size_t needed = rows + 1;
  while (!divide(needed, window, validation_fraction, test_fraction)) ++needed;
  return make_error(ErrorKind::data, data.name + ": it has " + std::to_string(rows) + " rows, but a window of " +
                                         std::to_string(window) +
                                         " days and a training, a validation and a test split need at least " +
                                         std::to_string(needed) + "; use more data or a shorter window");
}

}  // namespace ts::trading
