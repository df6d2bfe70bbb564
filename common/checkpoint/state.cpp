#include "common/checkpoint/state.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/base/text.h"

namespace ts::checkpoint {
namespace {

struct DTypeRow {
  DType dtype;
  std::size_t size;
  std::string_view name;
  std::string_view storage;
};

constexpr std::array<DTypeRow, 10> kDTypes = {{
    {DType::float16, 2, "float16", "HalfStorage"},
    {DType::bfloat16, 2, "bfloat16", "BFloat16Storage"},
    {DType::float32, 4, "float32", "FloatStorage"},
    {DType::float64, 8, "float64", "DoubleStorage"},
    {DType::int8, 1, "int8", "CharStorage"},
    {DType::int16, 2, "int16", "ShortStorage"},
    {DType::int32, 4, "int32", "IntStorage"},
    {DType::int64, 8, "int64", "LongStorage"},
    {DType::uint8, 1, "uint8", "ByteStorage"},
    {DType::boolean, 1, "bool", "BoolStorage"},
}};

const DTypeRow& row(DType dtype) {
  return *std::find_if(kDTypes.begin(), kDTypes.end(), [&](const DTypeRow& r) { return r.dtype == dtype; });
}

std::string quoted(std::string_view name) {
  return "\"" + escape_control(name) + "\"";
}

template <class T>
Result<T> expect_number(const Dict& dict, std::string_view name, DType dtype) {
  const auto tensor = expect_tensor(dict, name, dtype, {});
  if (!tensor) return tensor.error();
  T number{};
  std::memcpy(&number, tensor->bytes.data(), sizeof number);
  return number;
}

}  // namespace

std::size_t element_size(DType dtype) {
  return row(dtype).size;
}
std::string_view dtype_name(DType dtype) {
  return row(dtype).name;
}
std::string_view storage_class(DType dtype) {
  return row(dtype).storage;
}

std::optional<DType> dtype_of_storage_class(std::string_view name) {
  const auto found = std::find_if(kDTypes.begin(), kDTypes.end(), [&](const DTypeRow& r) { return r.storage == name; });
  if (found == kDTypes.end()) return std::nullopt;
  return found->dtype;
}

std::int64_t TensorView::elements() const {
  return static_cast<std::int64_t>(bytes.size() / element_size(dtype));
}

const TensorView* Dict::tensor(std::string_view name) const {
  const auto found = std::find_if(items_.begin(), items_.end(), [&](const auto& item) { return item.first == name; });
  return found == items_.end() ? nullptr : std::get_if<TensorView>(&found->second);
}

const Dict* Dict::dict(std::string_view name) const {
  const auto found = std::find_if(items_.begin(), items_.end(), [&](const auto& item) { return item.first == name; });
  if (found == items_.end()) return nullptr;
  const auto* nested = std::get_if<std::shared_ptr<const Dict>>(&found->second);
  return nested == nullptr ? nullptr : nested->get();
}

std::string describe(const TensorView& tensor) {
  if (tensor.shape.empty()) return std::string(dtype_name(tensor.dtype)) + " number";
  std::vector<std::string> sizes;
  for (const std::int64_t size : tensor.shape) sizes.push_back(std::to_string(size));
  return std::string(dtype_name(tensor.dtype)) + " [" + join(sizes, ", ") + "]";
}

Result<TensorView> expect_tensor(const Dict& dict, std::string_view name, DType dtype,
                                 std::span<const std::int64_t> shape, std::string_view path) {
  const TensorView* found = dict.tensor(name);
  const std::string full_name = std::string(path) + std::string(name);
  TensorView wanted{dtype, {shape.begin(), shape.end()}, {}};
  if (found == nullptr) {
    return make_error(ErrorKind::checkpoint,
                      "the checkpoint has no tensor " + quoted(full_name) + " (" + describe(wanted) + " was expected)");
  }
  if (found->dtype != dtype || found->shape != wanted.shape) {
    return make_error(ErrorKind::checkpoint, "tensor " + quoted(full_name) + " is " + describe(*found) +
                                                 " in the checkpoint, " + describe(wanted) + " was expected");
  }
  return *found;
}

Result<const Dict*> expect_dict(const Dict& dict, std::string_view name) {
  const Dict* found = dict.dict(name);
  if (found == nullptr) return make_error(ErrorKind::checkpoint, "the checkpoint has no dict " + quoted(name));
  return found;
}

Result<std::int64_t> expect_int64(const Dict& dict, std::string_view name) {
  return expect_number<std::int64_t>(dict, name, DType::int64);
}

Result<double> expect_float64(const Dict& dict, std::string_view name) {
  return expect_number<double>(dict, name, DType::float64);
}

std::optional<std::int64_t> whole_number(const Dict& dict, std::string_view name) {
  const TensorView* found = dict.tensor(name);
  if (found == nullptr || !found->shape.empty()) return std::nullopt;
  const auto read = [&]<class T>(T number) {
    std::memcpy(&number, found->bytes.data(), sizeof number);
    return number;
  };
  double number = -1.0;
  if (found->dtype == DType::int64) {
    const auto integer = read(std::int64_t{});
    return integer >= 0 ? std::optional(integer) : std::nullopt;
  }
  if (found->dtype == DType::float32) number = static_cast<double>(read(float{}));
  if (found->dtype == DType::float64) number = read(double{});
  // Above 2^53 a double no longer counts; NaN fails the comparison.
  if (!(number >= 0.0 && number <= 0x1p53) || number != std::floor(number)) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

TensorView view_of(const std::int64_t& number) {
  return {DType::int64, {}, std::as_bytes(std::span(&number, 1))};
}
TensorView view_of(const double& number) {
  return {DType::float64, {}, std::as_bytes(std::span(&number, 1))};
}

}  // namespace ts::checkpoint
