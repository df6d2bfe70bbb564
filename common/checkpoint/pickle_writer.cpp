#include "common/checkpoint/pickle_writer.h"

#include <limits>

namespace ts::checkpoint {
namespace {

class PickleWriter {
 public:
  std::string write(const Dict& state) {
    out_ = "\x80\x02";  // PROTO 2
    put_dict(state);
    out_ += '.';  // STOP
    return std::move(out_);
  }

 private:
  void put_little_endian(std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out_ += static_cast<char>((value >> (8 * i)) & 0xFF);
  }

  void put_string(std::string_view text) {
    out_ += 'X';  // BINUNICODE
    put_little_endian(text.size(), 4);
    out_ += text;
  }

  void put_integer(std::int64_t value) {
    if (value >= 0 && value <= 0xFF) {
      out_ += 'K';  // BININT1
      put_little_endian(static_cast<std::uint64_t>(value), 1);
    } else if (value >= std::numeric_limits<std::int32_t>::min() && value <= std::numeric_limits<std::int32_t>::max()) {
      out_ += 'J';  // BININT
      put_little_endian(static_cast<std::uint64_t>(value), 4);
    } else {
      out_ += "\x8a\x08";  // LONG1 with 8 bytes, the only length that libtorch's own reader takes
      put_little_endian(static_cast<std::uint64_t>(value), 8);
    }
  }

  void put_global(std::string_view module, std::string_view name) {
    out_ += 'c';  // GLOBAL
    out_ += module;
    out_ += '\n';
    out_ += name;
    out_ += '\n';
  }

  void put_tuple(const std::vector<std::int64_t>& numbers) {
    if (numbers.empty()) {
      out_ += ')';  // EMPTY_TUPLE
      return;
    }
    out_ += '(';  // MARK
    for (const std::int64_t number : numbers) put_integer(number);
    out_ += 't';  // TUPLE
  }

  // torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)
  void put_tensor(const TensorView& tensor) {
    put_global("torch._utils", "_rebuild_tensor_v2");
    out_ += "((";  // MARK for the arguments, MARK for the storage's persistent id
    put_string("storage");
    put_global("torch", storage_class(tensor.dtype));
    put_string(std::to_string(next_storage_++));
    put_string("cpu");
    put_integer(tensor.elements());
    out_ += "tQ";  // TUPLE, BINPERSID
    put_integer(0);
    put_tuple(tensor.shape);
    put_tuple(contiguous_strides(tensor.shape));
    out_ += '\x89';  // NEWFALSE
    put_global("collections", "OrderedDict");
    out_ += ")RtR";  // EMPTY_TUPLE, REDUCE: OrderedDict(); TUPLE, REDUCE: the call
  }

  void put_dict(const Dict& dict) {
    out_ += '}';  // EMPTY_DICT
    if (dict.items().empty()) return;
    out_ += '(';  // MARK
    for (const auto& [name, value] : dict.items()) {
      put_string(name);
      if (const auto* tensor = std::get_if<TensorView>(&value)) {
        put_tensor(*tensor);
      } else {
        put_dict(*std::get<std::shared_ptr<const Dict>>(value));
      }
    }
    out_ += 'u';  // SETITEMS
  }

  static std::vector<std::int64_t> contiguous_strides(const std::vector<std::int64_t>& shape) {
    std::vector<std::int64_t> strides(shape.size());
    std::int64_t stride = 1;
    for (std::size_t i = shape.size(); i-- > 0;) {
      strides[i] = stride;
      stride *= shape[i];
    }
    return strides;
  }

  std::string out_;
  std::size_t next_storage_ = 0;
};

}  // namespace

std::string pickle_state(const Dict& state) {
  return PickleWriter().write(state);
}

}  // namespace ts::checkpoint
