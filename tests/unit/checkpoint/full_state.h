// A state with everything an archive can hold: each dtype, a number, an empty tensor, dicts in dicts.
// Ownership: owns the elements. Threading: plain values. Errors: none.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "common/checkpoint/state.h"

namespace ts::checkpoint {

class FullState {
 public:
  FullState() {
    for (const DType dtype : {DType::float16, DType::bfloat16, DType::float32, DType::float64, DType::int8,
                              DType::int16, DType::int32, DType::int64, DType::uint8, DType::boolean}) {
      root_.add(std::string(dtype_name(dtype)), tensor(dtype, {2, 3}));
    }
    root_.add("number", view_of(number_));
    root_.add("empty", TensorView{DType::float32, {0, 5}, {}});
    Dict inner;
    inner.add("weight", tensor(DType::float32, {1, 2, 1, 2}));
    inner.add("nothing", Dict());
    Dict nested;
    nested.add("inner", std::move(inner));
    nested.add("0", tensor(DType::float64, {1}));
    root_.add("nested", std::move(nested));
  }
  FullState(const FullState&) = delete;
  FullState& operator=(const FullState&) = delete;

  const Dict& root() const { return root_; }
  std::span<std::byte> bytes_of_number() { return std::as_writable_bytes(std::span(&number_, 1)); }

 private:
  // Elements 1, 0, 1, 0, … as bytes that are a valid value of every dtype, booleans included.
  TensorView tensor(DType dtype, std::vector<std::int64_t> shape) {
    std::size_t elements = 1;
    for (const std::int64_t size : shape) elements *= static_cast<std::size_t>(size);
    std::vector<std::byte> bytes(elements * element_size(dtype));
    for (std::size_t i = 0; i < elements; i += 2) bytes[i * element_size(dtype)] = std::byte{1};
    kept_.push_back(std::move(bytes));
    return {dtype, std::move(shape), kept_.back()};
  }

  std::vector<std::vector<std::byte>> kept_;  // moving a vector leaves its elements where they are
  std::int64_t number_ = 250;
  Dict root_;
};

// What differs between two states, names, order, shapes, elements and all; empty when nothing does.
inline std::string difference(const Dict& a, const Dict& b) {
  if (a.items().size() != b.items().size()) return "another number of members";
  for (std::size_t i = 0; i < a.items().size(); ++i) {
    const auto& [name, value] = a.items()[i];
    const auto& [other_name, other_value] = b.items()[i];
    if (name != other_name) return name + " is not " + other_name;
    if (value.index() != other_value.index()) return name + " is of another sort";
    if (const auto* tensor = std::get_if<TensorView>(&value)) {
      const auto& other = std::get<TensorView>(other_value);
      if (tensor->dtype != other.dtype || tensor->shape != other.shape) return name + " has another shape";
      if (!std::equal(tensor->bytes.begin(), tensor->bytes.end(), other.bytes.begin(), other.bytes.end())) {
        return name + " has other elements";
      }
    } else {
      const std::string inside = difference(*std::get<std::shared_ptr<const Dict>>(value),
                                            *std::get<std::shared_ptr<const Dict>>(other_value));
      if (!inside.empty()) return name + ": " + inside;
    }
  }
  return "";
}

}  // namespace ts::checkpoint
