// A line drawn in a terminal. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ts::ctl {

struct PlotPoint {
  std::int64_t episode = 0;
  double value = 0.0;  // not finite: a gap
};

struct PlotOptions {
  std::string title;
  std::size_t width = 80;   // letters, all of a line; where it is too narrow for a plot, a narrow plot is drawn anyway
  std::size_t height = 16;  // lines of the plot itself
  bool braille = true;      // else ASCII
  std::optional<std::int64_t> best;  // this episode is marked
};

// Points in the order of their episodes. Episodes that are missing are gaps too. Ends in a newline.
std::string render_plot(const std::vector<PlotPoint>& points, const PlotOptions& options);

// Whether a terminal of this locale shows more than ASCII: the first of LC_ALL, LC_CTYPE and LANG that says something
// decides (POSIX.1-2017, 8.2).
bool is_utf8_locale(std::string_view lc_all, std::string_view lc_ctype, std::string_view lang);

// Four digits that count: "12.34", "-0.001234", "1.235e+09".
std::string short_number(double value);

}  // namespace ts::ctl
