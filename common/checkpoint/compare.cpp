#include "common/checkpoint/compare.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>

namespace ts::checkpoint {
namespace {

// Names are kept apart until they are shown: "a.b" in "c" is not "b" in "c.a".
using Path = std::vector<std::string>;
using Tensors = std::vector<std::pair<Path, TensorView>>;

void collect(const Dict& dict, Path& path, Tensors& out) {
  for (const auto& [name, value] : dict.items()) {
    path.push_back(name);
    if (const auto* tensor = std::get_if<TensorView>(&value)) {
      out.emplace_back(path, *tensor);
    } else {
      collect(*std::get<std::shared_ptr<const Dict>>(value), path, out);
    }
    path.pop_back();
  }
}

Tensors collect(const Dict& dict) {
  Tensors out;
  Path path;
  collect(dict, path, out);
  return out;
}

std::string name_of(const Path& path) {
  std::string name;
  for (const std::string& part : path) name += (name.empty() ? "" : ".") + part;
  return name;
}

TensorLayout layout_of(const TensorView& tensor) {
  return {tensor.dtype, tensor.shape};
}

// IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits.
double half_to_double(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1F;
  const int fraction = bits & 0x3FF;
  double magnitude = 0.0;
  if (exponent == 0) {
    magnitude = std::ldexp(fraction, -24);
  } else if (exponent == 0x1F) {
    magnitude = fraction == 0 ? HUGE_VAL : std::nan("");
  } else {
    magnitude = std::ldexp(fraction + 0x400, exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

// bfloat16: the upper half of a float32.
double bfloat_to_double(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

template <class T>
T element_at(const TensorView& tensor, std::size_t index) {
  T element{};
  std::memcpy(&element, tensor.bytes.data() + index * sizeof(T), sizeof(T));
  return element;
}

struct Sums {
  explicit Sums(std::int64_t elements) : share(1.0 / static_cast<double>(std::max<std::int64_t>(elements, 1))) {
    out.elements = elements;
  }

  ElementDifference out;
  double share;            // of one element in a mean: summed up already divided, which no element can overflow
  double magnitude = 0.0;  // mean |a|

  void add(bool same_bits, double a, double distance) {
    if (!same_bits) ++out.differing;
    if (!std::isfinite(a) || !std::isfinite(distance)) {
      if (!same_bits) ++out.unmeasured;
      return;
    }
    out.max_abs = std::max(out.max_abs, distance);
    out.mean_abs += distance * share;
    magnitude += std::fabs(a) * share;
  }

  ElementDifference finish(bool floating) {
    const double relative = magnitude > 0.0 ? out.mean_abs / magnitude : HUGE_VAL;
    if (floating && std::isfinite(relative)) out.relative = relative;
    return out;
  }
};

template <class T, class Decode>
ElementDifference compare_floating(const TensorView& a, const TensorView& b, Decode&& decode) {
  Sums sums(a.elements());
  for (std::size_t i = 0; i < a.bytes.size() / sizeof(T); ++i) {
    const T left = element_at<T>(a, i);
    const T right = element_at<T>(b, i);
    const bool same = std::memcmp(&left, &right, sizeof(T)) == 0;
    const double value = decode(left);
    sums.add(same, value, same ? 0.0 : std::fabs(value - decode(right)));
  }
  return sums.finish(true);
}

template <class T>
ElementDifference compare_integers(const TensorView& a, const TensorView& b) {
  Sums sums(a.elements());
  for (std::size_t i = 0; i < a.bytes.size() / sizeof(T); ++i) {
    const T left = element_at<T>(a, i);
    const T right = element_at<T>(b, i);
    // In whole numbers first: words of a random engine are further apart than int64 can say.
    const auto low = static_cast<std::uint64_t>(std::min(left, right));
    const auto high = static_cast<std::uint64_t>(std::max(left, right));
    sums.add(left == right, static_cast<double>(left), static_cast<double>(high - low));
  }
  return sums.finish(false);
}

}  // namespace

std::vector<NamedTensor> list_tensors(const Dict& dict) {
  std::vector<NamedTensor> out;
  for (const auto& [path, tensor] : collect(dict)) out.push_back({name_of(path), tensor});
  return out;
}

ElementDifference compare_elements(const TensorView& a, const TensorView& b) {
  switch (a.dtype) {
    case DType::float16: return compare_floating<std::uint16_t>(a, b, half_to_double);
    case DType::bfloat16: return compare_floating<std::uint16_t>(a, b, bfloat_to_double);
    case DType::float32: return compare_floating<float>(a, b, [](float value) -> double { return value; });
    case DType::float64: return compare_floating<double>(a, b, [](double value) { return value; });
    case DType::int8: return compare_integers<std::int8_t>(a, b);
    case DType::int16: return compare_integers<std::int16_t>(a, b);
    case DType::int32: return compare_integers<std::int32_t>(a, b);
    case DType::int64: return compare_integers<std::int64_t>(a, b);
    case DType::uint8:
    case DType::boolean: return compare_integers<std::uint8_t>(a, b);
  }
  return {};
}

Comparison compare(const Dict& a, const Dict& b) {
  using Kind = TensorDifference::Kind;
  std::map<Path, TensorView> others;
  Tensors of_b = collect(b);
  for (const auto& [path, tensor] : of_b) others.emplace(path, tensor);

  Comparison out;
  for (const auto& [path, tensor] : collect(a)) {
    ++out.tensors;
    const auto found = others.find(path);
    if (found == others.end()) {
      out.differences.push_back({name_of(path), Kind::only_in_a, layout_of(tensor), std::nullopt, {}});
      continue;
    }
    const TensorView other = found->second;
    others.erase(found);
    const bool same_layout = layout_of(tensor) == layout_of(other);
    if (same_layout && std::ranges::equal(tensor.bytes, other.bytes)) continue;
    out.differences.push_back({name_of(path), same_layout ? Kind::values : Kind::layout, layout_of(tensor),
                               layout_of(other), same_layout ? compare_elements(tensor, other) : ElementDifference()});
  }
  for (const auto& [path, tensor] : of_b) {
    if (!others.contains(path)) continue;
    ++out.tensors;
    out.differences.push_back({name_of(path), Kind::only_in_b, std::nullopt, layout_of(tensor), {}});
  }
  return out;
}

}  // namespace ts::checkpoint
