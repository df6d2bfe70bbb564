// Text in columns. Internal to supervisor/ctl. Pure.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace ts::ctl {

inline std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

// `text` in lines of at most `width` columns (0: one line), cut at blanks where there are any; all but the first line
// are indented by `indent` blanks, as the first one is by what stands before it.
inline std::string wrapped(std::string_view text, std::size_t indent, std::size_t width) {
  constexpr std::size_t kNarrowest = 20;  // narrower than that, broken lines are no help
  if (width == 0 || width < indent + kNarrowest) return std::string(text);
  const std::size_t room = width - indent;
  std::string out;
  while (text.size() > room) {
    std::size_t cut = text.rfind(' ', room);
    if (cut == std::string_view::npos || cut == 0) cut = text.find(' ', room);
    if (cut == std::string_view::npos) break;
    out.append(text.substr(0, cut)).append("\n").append(indent, ' ');
    text.remove_prefix(cut + 1);
  }
  return out.append(text);
}

// Rows of cells, each column as wide as its widest cell, two blanks between them, none at the end of a line.
inline std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += padded(row[i], widths[i] + 2);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace ts::ctl
