#include "worker/trading/csv.h"

#include <algorithm>
#include <cstddef>

namespace ts::trading {
namespace {

constexpr std::string_view kBlanks = " \t";

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Where the quoted field that starts at text[0] ends (the index of its closing quote), or npos.
std::size_t closing_quote(std::string_view text) {
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] != '"') continue;
    const bool doubled = i + 1 < text.size() && text[i + 1] == '"';
    if (!doubled) return i;
    ++i;
  }
  return std::string_view::npos;
}

// Takes one field and the comma behind it off the front of `rest`; `more` says whether there was a comma.
bool take_field(std::string_view& rest, std::string_view& field, bool& more) {
  const std::size_t start = rest.find_first_not_of(kBlanks);
  std::size_t comma = rest.find(',');
  if (start != std::string_view::npos && rest[start] == '"') {
    const std::size_t close = closing_quote(rest.substr(start));
    if (close == std::string_view::npos) return false;
    field = rest.substr(start + 1, close - 1);
    const std::size_t after = rest.find_first_not_of(kBlanks, start + close + 1);
    if (after != std::string_view::npos && rest[after] != ',') return false;
    comma = after;
  } else {
    field = trim_blanks(rest.substr(0, comma));
  }
  more = comma != std::string_view::npos;
  rest.remove_prefix(more ? comma + 1 : rest.size());
  return true;
}

}  // namespace

std::optional<std::string_view> take_line(std::string_view& rest) {
  if (rest.empty()) return std::nullopt;
  const std::size_t end = rest.find('\n');
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool split_fields(std::string_view line, std::vector<std::string_view>& fields) {
  fields.clear();
  for (bool more = true; more;) {
    std::string_view field;
    if (!take_field(line, field, more)) return false;
    fields.push_back(field);
  }
  return true;
}

std::string_view trim_blanks(std::string_view text) {
  const std::size_t start = text.find_first_not_of(kBlanks);
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find_last_not_of(kBlanks) - start + 1);
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace ts::trading
