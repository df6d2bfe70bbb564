// The state of a training run as the archive sees it: nested dictionaries of tensors, nothing else.
//
// Numbers are 0-dimensional tensors: PyTorch 1.13's weights_only loader has no opcode for a Python float, and equal
// states then have equal bytes whatever the platform prints.
//
// Ownership: a TensorView points into memory that its maker keeps alive (a tensor on the training side, the file's
// bytes on the reading side). A Dict owns its names and its structure, never the elements.
// Threading: plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/result.h"

namespace ts::checkpoint {

enum class DType : std::uint8_t { float16, bfloat16, float32, float64, int8, int16, int32, int64, uint8, boolean };

std::size_t element_size(DType dtype);        // bytes
std::string_view dtype_name(DType dtype);     // as torch prints it: "float32"
std::string_view storage_class(DType dtype);  // as the pickle names it: "FloatStorage"
std::optional<DType> dtype_of_storage_class(std::string_view name);

// A contiguous tensor in row-major order. An empty shape is a single number.
struct TensorView {
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;

  std::int64_t elements() const;
};

class Dict;
using Value = std::variant<TensorView, std::shared_ptr<const Dict>>;

// Insertion-ordered: the order is part of the bytes.
class Dict {
 public:
  void add(std::string name, TensorView tensor) { items_.emplace_back(std::move(name), std::move(tensor)); }
  void add(std::string name, Dict dict) {
    items_.emplace_back(std::move(name), std::make_shared<const Dict>(std::move(dict)));
  }

  const std::vector<std::pair<std::string, Value>>& items() const { return items_; }

  // Nothing when there is no such member or it is of the other sort.
  const TensorView* tensor(std::string_view name) const;
  const Dict* dict(std::string_view name) const;

 private:
  std::vector<std::pair<std::string, Value>> items_;
};

// "float32 [64, 43]", "int64 number": for sentences.
std::string describe(const TensorView& tensor);

// The named tensor after its dtype and shape have been compared; the error names the tensor and both shapes. `path` is
// what stands before the name for people ("model.").
Result<TensorView> expect_tensor(const Dict& dict, std::string_view name, DType dtype,
                                 std::span<const std::int64_t> shape, std::string_view path = {});

// The named dict; the error names it.
Result<const Dict*> expect_dict(const Dict& dict, std::string_view name);

// Numbers in and out of 0-dimensional tensors. view_of points at its argument, which must outlive the Dict that the
// view is added to.
Result<std::int64_t> expect_int64(const Dict& dict, std::string_view name);
Result<double> expect_float64(const Dict& dict, std::string_view name);

// A count that another program may have written as an integer or as a floating-point number; nothing when it is
// neither, negative or not whole.
std::optional<std::int64_t> whole_number(const Dict& dict, std::string_view name);

TensorView view_of(const std::int64_t& number);
TensorView view_of(const double& number);

// The elements of a 1-dimensional tensor of trivially copyable T, copied, since a foreign archive need not align them.
template <class T>
std::vector<T> copy_elements(const TensorView& tensor) {
  std::vector<T> out(tensor.bytes.size() / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), tensor.bytes.data(), out.size() * sizeof(T));
  return out;
}

template <class T>
TensorView view_of(DType dtype, const std::vector<T>& elements) {
  return {dtype, {static_cast<std::int64_t>(elements.size())}, std::as_bytes(std::span(elements))};
}

}  // namespace ts::checkpoint
