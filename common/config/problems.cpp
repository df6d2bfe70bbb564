#include "common/config/problems.h"

#include <algorithm>

#include "common/base/text.h"

namespace ts::config {

std::string Problems::report(std::string_view file_name) const {
  std::vector<Problem> sorted = all_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& a, const Problem& b) { return a.place < b.place; });
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());

  const std::string file = escape_control(file_name);
  std::vector<std::string> lines;
  for (const auto& [place, sentence] : sorted) {
    if (lines.size() == kMostReported) break;
    std::string& line = lines.emplace_back(file);
    if (place.line > 0)
      line.append(":").append(std::to_string(place.line)).append(":").append(std::to_string(place.column));
    line.append(": ").append(sentence);
  }
  if (const std::size_t more = sorted.size() - lines.size(); more > 0) {
    lines.push_back(file + ": and " + std::to_string(more) + (more == 1 ? " more problem" : " more problems"));
  }
  return join(lines, "\n");
}

std::string quote(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  std::size_t end = std::min(text.size(), kLongest);
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) {
    --end;  // not inside a UTF-8 sequence
  }
  return std::string(1, '"').append(escape_control(text.substr(0, end))).append(end < text.size() ? "...\"" : "\"");
}

std::string suggestion(std::string_view word, std::span<const std::string_view> candidates,
                       std::string_view the_known_ones) {
  // The edit distance costs the product of both lengths; nothing this long is a slip of the pen.
  constexpr std::size_t kLongestSlip = 64;
  if (word.size() <= kLongestSlip) {
    if (const auto near = nearest_name(word, candidates)) return "; did you mean \"" + *near + "\"?";
  }
  const std::vector<std::string> names(candidates.begin(), candidates.end());
  return "; " + std::string(the_known_ones) + " " + join(names, ", ");
}

}  // namespace ts::config
