// The market: one instrument, one row for each trading day, oldest first.
//
// Source of the data: a CSV file with the columns date, open, high, low, close and volume, in any order, names in any
// case, other columns ignored. LF or CRLF, a UTF-8 byte order mark, blank lines at the end and a missing final newline
// are all accepted; quoted fields too (csv.h). Dates are written YYYY-MM-DD.
//
// A MarketData made here keeps these promises, which everything else in this folder relies on: at least two rows; dates
// valid, strictly increasing; prices finite, in [kLowestPrice, kHighestPrice]; low <= open, close <= high but for
// rounding (1e-6 of the price); volumes finite, not negative. The bounds on the price are far outside what anything is
// quoted at; they keep every ratio of two prices, its square and its logarithm finite.
//
// What cannot be seen: a file cut off in the middle of its last number, where that number is the last thing in the file
// and what is left of it is still a number. Every other cut is refused.
//
// Errors: ErrorKind::data, in a sentence that names the file, the row (its line in the file; the header is row 1) and
// the column. Bytes of the file that appear in a sentence are escaped and shortened. Threading: plain values.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace ts::trading {

// A calendar day. It orders by time; year_month_day::ok() says whether it exists.
using Date = std::chrono::year_month_day;

// "2001-02-28", and back. Only that form and only days that exist are accepted, years 0001 to 9999.
std::string format_date(Date date);
std::optional<Date> parse_date(std::string_view text);

inline constexpr double kLowestPrice = 1e-9;
inline constexpr double kHighestPrice = 1e12;
inline constexpr std::uint64_t kMarketFileBytesMax = std::uint64_t{1} << 30;

// Columns of equal length; index i of each is day i. Day i stands in row i + 2 of the file.
struct MarketData {
  std::string name;  // of the file, for sentences
  std::vector<Date> dates;
  std::vector<double> open;  // prices in the currency or points of the file
  std::vector<double> high;
  std::vector<double> low;
  std::vector<double> close;
  std::vector<double> volume;  // units traded that day

  std::size_t rows() const { return close.size(); }
};

// Reads and checks a file of at most kMarketFileBytesMax. The only function of this folder that does I/O; it blocks.
// Besides the errors above: ErrorKind::unavailable when reading failed half way (the same may work later).
Result<MarketData> load_market_data(const std::filesystem::path& path);

// The same for text already in memory. `name` stands for the file in sentences. Pure.
Result<MarketData> parse_market_data(std::string_view text, std::string_view name);

}  // namespace ts::trading
