#include "common/config/units.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "common/base/text.h"
#include "common/config/problems.h"

namespace ts::config {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

constexpr std::int64_t kKi = 1024;
constexpr std::array<Unit, 5> kDurations = {
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
constexpr std::array<Unit, 9> kSizes = {{{"", 1},
                                         {"KB", 1'000},
                                         {"MB", 1'000'000},
                                         {"GB", 1'000'000'000},
                                         {"TB", 1'000'000'000'000},
                                         {"KiB", kKi},
                                         {"MiB", kKi* kKi},
                                         {"GiB", kKi* kKi* kKi},
                                         {"TiB", kKi* kKi* kKi* kKi}}};

// The number times its unit, or nothing when the text is not "<digits><unit>" or the product does not fit.
template <std::size_t N>
std::optional<std::int64_t> parse_with_unit(std::string_view text, const std::array<Unit, N>& units) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_plain_integer(text.substr(0, digits));
  if (!number) return std::nullopt;
  for (const Unit& unit : units) {
    if (unit.name != text.substr(digits)) continue;
    if (*number > std::numeric_limits<std::int64_t>::max() / unit.factor) return std::nullopt;
    return *number * unit.factor;
  }
  return std::nullopt;
}

}  // namespace

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  if (const auto value = parse_with_unit(text, kDurations)) return std::chrono::milliseconds{*value};
  return make_error(
      ErrorKind::configuration,
      quote(text) + " is not a duration; write a whole number with its unit, like 350ms, 30s, 10m, 2h or 7d");
}

Result<std::uint64_t> parse_size(std::string_view text) {
  if (const auto value = parse_with_unit(text, kSizes)) return static_cast<std::uint64_t>(*value);
  return make_error(
      ErrorKind::configuration,
      quote(text) + " is not a size; write a whole number of bytes or one with a unit, like 512KiB, 50MiB or 2GiB");
}

std::string duration_text(std::chrono::milliseconds duration) {
  const std::int64_t count = duration.count();
  if (count == 0) return "0s";
  Unit chosen = kDurations.front();
  for (const Unit& unit : kDurations) {
    if (count % unit.factor == 0) chosen = unit;
  }
  return std::to_string(count / chosen.factor) + std::string(chosen.name);
}

std::string size_text(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 5> kNames = {"", "KiB", "MiB", "GiB", "TiB"};
  std::size_t name = 0;
  while (bytes != 0 && bytes % kKi == 0 && name + 1 < kNames.size()) {
    bytes /= kKi;
    ++name;
  }
  return std::to_string(bytes) + std::string(kNames[name]);
}

}  // namespace ts::config
