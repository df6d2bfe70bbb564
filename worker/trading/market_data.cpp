#include "worker/trading/market_data.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <system_error>
#include <utility>

#include "common/base/text.h"
#include "worker/trading/csv.h"

namespace ts::trading {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::size_t kShownBytesMax = 40;                   // of one field in a sentence
constexpr std::size_t kShownColumnsMax = 20;                 // of a header in a sentence
constexpr std::size_t kLineBytesMax = std::size_t{1} << 20;  // bounds the memory for a hostile line's fields
constexpr std::size_t kRowsMin = 2;                          // one return
constexpr double kRounding = 1e-6;  // relative; providers round open, high, low and close separately

enum Column : std::size_t { kDate, kOpen, kHigh, kLow, kClose, kVolume, kColumnCount };
constexpr std::array<std::string_view, kColumnCount> kColumnNames = {"date", "open", "high", "low", "close", "volume"};

// Where each column stands in a line.
struct Layout {
  std::array<std::size_t, kColumnCount> index{};
  std::size_t fields = 0;
};

// A field as a person may see it: escaped, shortened, in quotes.
std::string shown(std::string_view field) {
  const bool cut = field.size() > kShownBytesMax;
  return '"' + escape_control(field.substr(0, kShownBytesMax)) + (cut ? "...\"" : "\"");
}

std::string shown(double value) {
  std::array<char, 32> out{};
  const auto end = std::to_chars(out.data(), out.data() + out.size(), value).ptr;
  return std::string(out.data(), end);
}

std::string plural(std::size_t count, std::string_view thing) {
  return std::to_string(count) + ' ' + std::string(thing) + (count == 1 ? "" : "s");
}

// Reads the lines of one file in order. Functions return an Error to refuse the file, nothing to go on.
class Parser {
 public:
  Parser(std::string_view text, std::string_view name) : text_(text), name_(escape_control(name)) {}

  Result<MarketData> parse();

 private:
  using Refusal = std::optional<Error>;

  Refusal check_is_text() const;
  Refusal read_header(std::string_view line);
  Refusal find_columns();
  Refusal read_row(std::string_view line);
  Refusal read_date(std::string_view field);
  Refusal read_number(Column column, double& value) const;
  Refusal check_range(double low, double high, Column column, double value) const;

  Error refuse(const std::string& what) const { return make_error(ErrorKind::data, name_ + ": " + what); }
  Error refuse_row(const std::string& what) const { return refuse("row " + std::to_string(row_) + ": " + what); }
  Error refuse_field(Column column, const std::string& what) const {
    return refuse("row " + std::to_string(row_) + ", column " + std::string(kColumnNames[column]) + ": " + what);
  }
  std::string_view field(Column column) const { return fields_[layout_.index[column]]; }
  // The line just read is the last one and nothing ends it: perhaps the file was cut off there.
  bool at_unfinished_line() const { return rest_.empty() && !text_.ends_with('\n'); }

  std::string_view text_;
  std::string_view rest_;  // what follows the line being read
  std::string name_;
  std::size_t row_ = 0;  // line number of the line being read
  Layout layout_;
  std::vector<std::string_view> fields_;
  MarketData data_;
};

Result<MarketData> Parser::parse() {
  if (const Refusal refusal = check_is_text()) return *refusal;
  rest_ = text_;
  if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
  std::size_t blank_row = 0;  // the first blank line that has so far only blank lines behind it
  while (const std::optional<std::string_view> line = take_line(rest_)) {
    ++row_;
    if (row_ > 1 && trim_blanks(*line).empty()) {
      if (blank_row == 0) blank_row = row_;
      continue;
    }
    if (blank_row != 0) {
      return refuse("row " + std::to_string(blank_row) + " is blank and row " + std::to_string(row_) +
                    " is not; remove blank lines between the rows");
    }
    if (line->size() > kLineBytesMax) {
      return refuse_row("the line is longer than " + human_bytes(kLineBytesMax) +
                        ", so this is not daily market data; use another file");
    }
    if (const Refusal refusal = row_ == 1 ? read_header(*line) : read_row(*line)) return *refusal;
  }
  if (row_ == 0) return refuse("the file is empty; a header line and a row for each day are needed");
  if (data_.rows() == 0) return refuse("there is a header in row 1 and no row below it; add a row for each day");
  if (data_.rows() < kRowsMin) return refuse("there is only 1 row of data; at least 2 are needed for one return");
  data_.name = std::move(name_);
  return std::move(data_);
}

// What a text editor would not call text is refused whole: a row and column found in it would mean nothing to anybody.
Parser::Refusal Parser::check_is_text() const {
  if (text_.starts_with("\xFF\xFE") || text_.starts_with("\xFE\xFF")) {
    return refuse("row 1: the file is UTF-16 text; save it as UTF-8");
  }
  const std::size_t nul = text_.find('\0');
  if (nul == std::string_view::npos) return std::nullopt;
  const std::string_view before = text_.substr(0, nul);
  const auto row = 1 + std::count(before.begin(), before.end(), '\n');
  return refuse("row " + std::to_string(row) + ": byte " + std::to_string(nul) +
                " of the file is NUL, so it is not a CSV text file or was damaged; get it again");
}

Parser::Refusal Parser::read_header(std::string_view line) {
  if (trim_blanks(line).empty()) {
    return refuse_row("the line is blank; name the columns in it: " +
                      join(std::vector<std::string>(kColumnNames.begin(), kColumnNames.end()), ", "));
  }
  if (line.find('\r') != std::string_view::npos) {
    return refuse_row("the line has a carriage return inside; end each line in LF or CRLF");
  }
  if (!split_fields(line, fields_)) return refuse_row("the header has a quote that is not closed; close or remove it");
  return find_columns();
}

Parser::Refusal Parser::find_columns() {
  std::vector<std::string> missing;
  for (std::size_t column = 0; column < kColumnCount; ++column) {
    const auto matches = [&](std::string_view found) { return equal_ignoring_case(found, kColumnNames[column]); };
    const auto first = std::find_if(fields_.begin(), fields_.end(), matches);
    if (first == fields_.end()) {
      missing.emplace_back(kColumnNames[column]);
    } else if (std::find_if(first + 1, fields_.end(), matches) != fields_.end()) {
      return refuse_field(static_cast<Column>(column), "the header has this column twice; rename or remove one");
    }
    layout_.index[column] = static_cast<std::size_t>(first - fields_.begin());
  }
  layout_.fields = fields_.size();
  if (missing.empty()) return std::nullopt;

  std::vector<std::string> found;
  for (const std::string_view name : fields_) {
    if (found.size() == kShownColumnsMax) {
      found.emplace_back("...");
      break;
    }
    found.push_back(shown(name));
  }
  const std::string columns = missing.size() == 1 ? "column " : "columns ";
  return refuse_row("the header lacks the " + columns + join(missing, ", ") + "; it has " + join(found, ", ") +
                    (fields_.size() == 1 ? " (columns are separated by commas)" : "") +
                    "; name them in the first line");
}

Parser::Refusal Parser::read_row(std::string_view line) {
  if (!split_fields(line, fields_)) {
    return refuse_row("a quoted field is not closed or has something behind it; close or remove the quote");
  }
  if (fields_.size() != layout_.fields) {
    const std::string advice = at_unfinished_line()
                                   ? "the file ends inside this row, so it was probably cut off; get it again"
                                   : "make the row match the header";
    return refuse_row("it has " + plural(fields_.size(), "field") + " where the header has " +
                      std::to_string(layout_.fields) + "; " + advice);
  }
  if (Refusal refusal = read_date(field(kDate))) return refusal;
  std::array<double, kColumnCount> value{};
  for (const Column column : {kOpen, kHigh, kLow, kClose, kVolume}) {
    if (Refusal refusal = read_number(column, value[column])) return refusal;
  }
  if (value[kHigh] < value[kLow]) {
    return refuse_field(kHigh, "the high " + shown(value[kHigh]) + " is below the low " + shown(value[kLow]) +
                                   "; correct or remove the row");
  }
  for (const Column column : {kOpen, kClose}) {
    if (Refusal refusal = check_range(value[kLow], value[kHigh], column, value[column])) return refusal;
  }
  data_.open.push_back(value[kOpen]);
  data_.high.push_back(value[kHigh]);
  data_.low.push_back(value[kLow]);
  data_.close.push_back(value[kClose]);
  data_.volume.push_back(value[kVolume]);
  return std::nullopt;
}

Parser::Refusal Parser::read_date(std::string_view field) {
  const std::optional<Date> date = parse_date(field);
  if (!date) return refuse_field(kDate, shown(field) + " is not a date; write days that exist as YYYY-MM-DD");
  std::vector<Date>& dates = data_.dates;
  if (!dates.empty() && *date <= dates.back()) {
    // The dates before are in order, so the same day, if it is among them, is found by bisection.
    const auto same = std::lower_bound(dates.begin(), dates.end(), *date);
    const auto row_of = [&](auto position) { return std::to_string(position - dates.begin() + 2); };
    if (*same == *date) {
      return refuse_field(kDate,
                          format_date(*date) + " is already in row " + row_of(same) + "; keep one row for each day");
    }
    return refuse_field(kDate, format_date(*date) + " is earlier than " + format_date(dates.back()) + " in row " +
                                   row_of(dates.end() - 1) + "; sort the rows, oldest first");
  }
  dates.push_back(*date);
  return std::nullopt;
}

// One of the five numbers of a row, checked by itself. std::from_chars knows no locale, so "1.5" is the same
// everywhere.
Parser::Refusal Parser::read_number(Column column, double& value) const {
  const std::string_view text = field(column);
  if (text.empty()) return refuse_field(column, "the field is empty; fill it in or remove the row");
  const char* const text_end = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), text_end, value);
  if (error == std::errc::result_out_of_range) {
    return refuse_field(column, shown(text) + " is too large or too small for a number; correct it");
  }
  if (error != std::errc{} || end != text_end) {
    return refuse_field(column, shown(text) + " is not a number; write it like 1234.5, without separators or units");
  }
  if (!std::isfinite(value)) return refuse_field(column, shown(text) + " is not a finite number; correct it");
  if (column == kVolume) {
    if (value < 0) return refuse_field(column, "the volume " + shown(text) + " is negative; correct it");
    return std::nullopt;
  }
  if (value <= 0)
    return refuse_field(column, "the price " + shown(text) + " is not above zero; correct or remove the row");
  if (value < kLowestPrice || value > kHighestPrice) {
    return refuse_field(column, "the price " + shown(text) + " is outside " + shown(kLowestPrice) + " to " +
                                    shown(kHighestPrice) + "; correct it or change the unit");
  }
  return std::nullopt;
}

Parser::Refusal Parser::check_range(double low, double high, Column column, double value) const {
  const double slack = kRounding * value;
  if (value >= low - slack && value <= high + slack) return std::nullopt;
  return refuse_field(column, "the " + std::string(kColumnNames[column]) + ' ' + shown(value) +
                                  " is outside the day's low " + shown(low) + " to high " + shown(high) +
                                  "; correct or remove the row");
}

// Exactly `digits` digits at `position`, as a number; -1 when there is anything else.
int digits_at(std::string_view text, std::size_t position, std::size_t digits) {
  int value = 0;
  for (const char c : text.substr(position, digits)) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

std::string format_date(Date date) {
  std::array<char, 32> out{};
  std::snprintf(out.data(), out.size(), "%04d-%02u-%02u", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  return out.data();
}

std::optional<Date> parse_date(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const int year = digits_at(text, 0, 4);
  const int month = digits_at(text, 5, 2);
  const int day = digits_at(text, 8, 2);
  if (year < 1 || month < 0 || day < 0) return std::nullopt;
  const Date date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                  std::chrono::day{static_cast<unsigned>(day)}};
  if (!date.ok()) return std::nullopt;
  return date;
}

Result<MarketData> parse_market_data(std::string_view text, std::string_view name) {
  return Parser(text, name).parse();
}

}  // namespace ts::trading
