// A history drawn in a terminal.
#include "supervisor/ctl/plot.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include <gtest/gtest.h>

namespace ts::ctl {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Letters, not bytes.
std::size_t width_of(const std::string& line) {
  return static_cast<std::size_t>(std::count_if(
      line.begin(), line.end(), [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; }));
}

PlotOptions ascii(std::size_t width, std::size_t height) {
  return {"profit", width, height, false, std::nullopt};
}

TEST(APlot, IsDrawnFromTheLowerLeftToTheUpperRight) {
  EXPECT_EQ(
      render_plot({{1, 0.0}, {2, 1.0}, {3, 2.0}, {4, 3.0}, {5, 4.0}, {6, 5.0}, {7, 6.0}, {8, 7.0}, {9, 8.0}, {10, 9.0}},
                  ascii(13, 4)),
      "profit\n"
      "9 +        **\n"
      "  |     ***\n"
      "  |  ***\n"
      "0 +**\n"
      "   1       10\n");
}

TEST(APlot, HasGapsWhereThereAreNoNumbersAndNoEpisodes) {
  const std::string drawn = render_plot(
      {{1, 5.0}, {2, 5.0}, {3, kNaN}, {4, 5.0}, {7, 5.0}, {8, 5.0}, {9, INFINITY}, {10, 1.0}}, ascii(13, 2));
  EXPECT_EQ(drawn,
            "profit\n"
            "5 +** *  **\n"
            "1 +         *\n"
            "   1       10\n");
}

TEST(APlot, MarksTheBest) {
  auto options = ascii(40, 5);
  options.best = 2;
  const std::string drawn = render_plot({{1, 1.0}, {2, 9.0}, {3, 2.0}}, options);
  EXPECT_EQ(std::count(drawn.begin(), drawn.end(), 'O'), 1);
  EXPECT_NE(lines_of(drawn).at(1).find('O'), std::string::npos);
}

TEST(APlot, FitsTheWidth) {
  std::vector<PlotPoint> points;
  for (int i = 1; i <= 5000; ++i) points.push_back({i, std::sin(i / 100.0) * 1e7});
  for (const bool braille : {true, false}) {
    for (const std::size_t width : {30U, 80U, 200U}) {
      PlotOptions options{"profit", width, 12, braille, 77};
      const auto lines = lines_of(render_plot(points, options));
      EXPECT_EQ(lines.size(), 14U);
      for (const std::string& line : lines) EXPECT_LE(width_of(line), width) << line;
      EXPECT_EQ(lines.back().substr(lines.back().size() - 4), "5000");
    }
  }
}

TEST(APlot, IsDrawnHoweverOddTheNumbers) {
  const double most = std::numeric_limits<double>::max();
  for (const bool braille : {true, false}) {
    for (const std::size_t width : {0U, 1U, 5U, 100'000U}) {
      PlotOptions options{"x", width, width, braille, 1};
      for (const auto& points : std::vector<std::vector<PlotPoint>>{{},
                                                                    {{1, kNaN}},
                                                                    {{1, 3.0}},
                                                                    {{5, 2.0}, {6, 2.0}},
                                                                    {{1, -most}, {2, most}},
                                                                    {{1, 5e-324}, {2, 0.0}},
                                                                    {{1, 1.0}, {999'999'999, 2.0}}}) {
        EXPECT_FALSE(render_plot(points, options).empty());
      }
    }
  }
}

TEST(APlot, IsOfBrailleDots) {
  PlotOptions options{"profit", 13, 2, true, std::nullopt};
  const auto lines = lines_of(render_plot({{1, 0.0}, {2, 1.0}}, options));
  EXPECT_EQ(lines.at(0), "profit");
  EXPECT_TRUE(lines.at(1).starts_with("1 \u2524")) << lines.at(1);
  EXPECT_NE(lines.at(1).find("\u2809"), std::string::npos) << lines.at(1);  // the upper two dots
}

TEST(APlot, HasATitleThatCannotDriveATerminal) {
  auto options = ascii(40, 3);
  options.title = "a\x1b[2Jb";
  EXPECT_EQ(render_plot({{1, 1.0}}, options).find('\x1b'), std::string::npos);
}

TEST(TheLocale, IsSaidByTheFirstVariableThatSaysSomething) {
  EXPECT_TRUE(is_utf8_locale("", "", "de_DE.UTF-8"));
  EXPECT_TRUE(is_utf8_locale("C.utf8", "C", "C"));
  EXPECT_FALSE(is_utf8_locale("C", "de_DE.UTF-8", "de_DE.UTF-8"));
  EXPECT_FALSE(is_utf8_locale("", "POSIX", "de_DE.UTF-8"));
  EXPECT_FALSE(is_utf8_locale("", "", ""));
}

}  // namespace
}  // namespace ts::ctl
