// What two training states have in common, tensor by tensor. Pure.
//
// Elements are equal when their bits are, so "identical" here is what equal digests say: a NaN equals itself, 0.0 and
// -0.0 differ (by nothing).
//
// Ownership: results own their names and shapes, none of the elements. Threading: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/checkpoint/state.h"

namespace ts::checkpoint {

struct TensorLayout {
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;

  bool operator==(const TensorLayout&) const = default;
};

// How far apart the elements of two tensors of one layout are.
struct ElementDifference {
  std::int64_t elements = 0;    // of the tensor
  std::int64_t differing = 0;   // whose bits differ
  std::int64_t unmeasured = 0;  // of those: with a NaN or an infinity, or too far apart for a number
  double max_abs = 0.0;         // greatest |a - b| of those that can be measured
  double mean_abs = 0.0;        // mean |a - b|, equal elements included
  // mean |a - b| as a share of mean |a|: for floating point only, and where that is above 0.
  std::optional<double> relative;

  bool operator==(const ElementDifference&) const = default;
};

struct TensorDifference {
  enum class Kind { values, layout, only_in_a, only_in_b };

  std::string name;  // "model.0.weight"
  Kind kind = Kind::values;
  std::optional<TensorLayout> a;
  std::optional<TensorLayout> b;
  ElementDifference elements;  // for Kind::values
};

struct Comparison {
  std::int64_t tensors = 0;                   // in either
  std::vector<TensorDifference> differences;  // in the order of a, then those of b alone

  bool identical() const { return differences.empty(); }
};

// One tensor and its name, "model.0.weight".
struct NamedTensor {
  std::string name;
  TensorView tensor;
};

// All of them, depth first.
std::vector<NamedTensor> list_tensors(const Dict& dict);

Comparison compare(const Dict& a, const Dict& b);

// Of two tensors of the same layout.
ElementDifference compare_elements(const TensorView& a, const TensorView& b);

}  // namespace ts::checkpoint
