#include "supervisor/ctl/plot.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "common/base/text.h"

namespace ts::ctl {
namespace {

constexpr std::size_t kPlotWidthMin = 10;
constexpr std::size_t kSizeMax = 1000;

// A grid of letters, each of which has 2 x 4 dots in Braille and one in ASCII.
class Canvas {
 public:
  Canvas(std::size_t width, std::size_t height, bool braille)
      : width_(width), height_(height), braille_(braille), cells_(width * height, 0), marks_(width * height, false) {}

  std::int64_t dots_across() const { return static_cast<std::int64_t>(width_) * (braille_ ? 2 : 1); }
  std::int64_t dots_down() const { return static_cast<std::int64_t>(height_) * (braille_ ? 4 : 1); }

  // y grows upwards.
  void dot(std::int64_t x, std::int64_t y) {
    const std::int64_t down = dots_down() - 1 - y;
    // Unicode 15, chapter 21.1: bits of the dots 1 to 8, by column and row.
    constexpr std::array<std::array<unsigned, 4>, 2> kBits = {{{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}}};
    const auto bit = braille_ ? kBits[static_cast<std::size_t>(x % 2)][static_cast<std::size_t>(down % 4)] : 1U;
    cells_[cell(x, y)] |= bit;
  }
  void mark(std::int64_t x, std::int64_t y) { marks_[cell(x, y)] = true; }

  // Source: J. Bresenham, Algorithm for computer control of a digital plotter, IBM Systems Journal 4(1), 1965.
  void line(std::int64_t x, std::int64_t y, std::int64_t to_x, std::int64_t to_y) {
    const std::int64_t across = std::abs(to_x - x);
    const std::int64_t down = -std::abs(to_y - y);
    std::int64_t error = across + down;
    while (true) {
      dot(x, y);
      if (x == to_x && y == to_y) return;
      const std::int64_t twice = 2 * error;
      if (twice >= down) {
        error += down;
        x += x < to_x ? 1 : -1;
      }
      if (twice <= across) {
        error += across;
        y += y < to_y ? 1 : -1;
      }
    }
  }

  std::string row(std::size_t number) const {
    std::string out;
    for (std::size_t x = 0; x < width_; ++x) {
      const std::size_t at = number * width_ + x;
      if (marks_[at]) {
        out += braille_ ? "\u25cf" : "O";
      } else if (cells_[at] == 0) {
        out += ' ';
      } else if (!braille_) {
        out += '*';
      } else {  // U+2800 + bits, in UTF-8
        const unsigned code = 0x2800 + cells_[at];
        out += static_cast<char>(0xe0 | (code >> 12));
        out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
        out += static_cast<char>(0x80 | (code & 0x3f));
      }
    }
    out.erase(out.find_last_not_of(' ') + 1);
    return out;
  }

 private:
  std::size_t cell(std::int64_t x, std::int64_t y) const {
    const std::int64_t down = dots_down() - 1 - y;
    return static_cast<std::size_t>(down / (braille_ ? 4 : 1)) * width_ +
           static_cast<std::size_t>(x / (braille_ ? 2 : 1));
  }

  std::size_t width_;
  std::size_t height_;
  bool braille_;
  std::vector<unsigned> cells_;
  std::vector<bool> marks_;
};

struct Range {
  double least = 0.0;
  double greatest = 0.0;
  std::size_t numbers = 0;
};

Range range_of(const std::vector<PlotPoint>& points) {
  Range range;
  for (const PlotPoint& point : points) {
    if (!std::isfinite(point.value)) continue;
    range.least = range.numbers == 0 ? point.value : std::min(range.least, point.value);
    range.greatest = range.numbers == 0 ? point.value : std::max(range.greatest, point.value);
    ++range.numbers;
  }
  return range;
}

// Where `value` lies between two others, on `count` dots. Halves, since the difference of two doubles may be infinite.
std::int64_t position(double value, double least, double greatest, std::int64_t count) {
  const double span = greatest / 2 - least / 2;
  if (!(span > 0.0)) return (count - 1) / 2;
  const double share = (value / 2 - least / 2) / span;
  return std::clamp<std::int64_t>(std::llround(share * static_cast<double>(count - 1)), 0, count - 1);
}

void draw(Canvas& canvas, const std::vector<PlotPoint>& points, const Range& range, const PlotOptions& options) {
  const auto first = static_cast<double>(points.front().episode);
  const auto last = static_cast<double>(points.back().episode);
  const PlotPoint* before = nullptr;
  for (const PlotPoint& point : points) {
    if (!std::isfinite(point.value)) {
      before = nullptr;
      continue;
    }
    const auto x_of = [&](const PlotPoint& of) {
      return position(static_cast<double>(of.episode), first, last, canvas.dots_across());
    };
    const auto y_of = [&](const PlotPoint& of) {
      return position(of.value, range.least, range.greatest, canvas.dots_down());
    };
    const bool joined = before != nullptr && before->episode + 1 == point.episode;
    const PlotPoint& from = joined ? *before : point;
    canvas.line(x_of(from), y_of(from), x_of(point), y_of(point));
    if (options.best == point.episode) canvas.mark(x_of(point), y_of(point));
    before = &point;
  }
}

std::string right(const std::string& text, std::size_t width) {
  return std::string(width > text.size() ? width - text.size() : 0, ' ') + text;
}

}  // namespace

std::string short_number(double value) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%.4g", value);
  return text.data();
}

bool is_utf8_locale(std::string_view lc_all, std::string_view lc_ctype, std::string_view lang) {
  const std::string_view said = !lc_all.empty() ? lc_all : !lc_ctype.empty() ? lc_ctype : lang;
  std::string letters;
  for (const char letter : said) {
    if (letter != '-') letters += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  return letters.find("utf8") != std::string::npos;
}

std::string render_plot(const std::vector<PlotPoint>& points, const PlotOptions& options) {
  const Range range = range_of(points);
  std::string out = escape_control(options.title) + "\n";
  if (range.numbers == 0) return out + "(no numbers to draw)\n";
  const std::string top = short_number(range.greatest);
  const std::string bottom = short_number(range.least);
  const std::size_t labels = std::max(top.size(), bottom.size());
  const std::size_t beside = labels + 2;
  const std::size_t width = std::clamp(options.width, beside + kPlotWidthMin, kSizeMax) - beside;
  const std::size_t height = std::clamp<std::size_t>(options.height, 2, kSizeMax);
  Canvas canvas(width, height, options.braille);
  draw(canvas, points, range, options);
  for (std::size_t row = 0; row < height; ++row) {
    const bool labelled = row == 0 || row + 1 == height;
    out += right(row == 0 ? top : labelled ? bottom : "", labels) + " ";
    out += options.braille ? (labelled ? "\u2524" : "\u2502") : (labelled ? "+" : "|");
    out += canvas.row(row) + "\n";
  }
  const std::string first = std::to_string(points.front().episode);
  const std::string last = std::to_string(points.back().episode);
  const std::string unit = "episode ";
  const bool roomy = unit.size() + first.size() + last.size() + 1 <= width;
  const std::string left = std::string(beside, ' ') + (roomy ? unit : "") + first;
  out +=
      left + (first == last ? "" : right(last, std::max(beside + width, left.size() + last.size() + 1) - left.size()));
  return out + "\n";
}

}  // namespace ts::ctl
