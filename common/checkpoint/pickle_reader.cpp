#include "common/checkpoint/pickle_reader.h"

#include <cstring>
#include <limits>
#include <set>
#include <string>

#include "common/base/text.h"
#include "common/checkpoint/pickle_machine.h"

namespace ts::checkpoint {
namespace {

constexpr int kDepthMax = 32;
// A small pickle can name one dict many times over, and each time it is copied with its names.
constexpr std::size_t kNodesMax = 1'000'000;
constexpr std::size_t kNameBytesMax = std::size_t{64} << 20;  // of all names together

Error refuse(std::string why) {
  return make_error(ErrorKind::checkpoint, std::move(why));
}

// Turns the machine's objects into a Dict, looking every tensor up and checking it before anyone can touch it.
class StateBuilder {
 public:
  StateBuilder(const PickleMachine& machine, const StorageResolver& storage) : machine_(machine), storage_(storage) {}

  Result<UnpickledState> build(ObjectId root) {
    if (!std::holds_alternative<PickleDict>(machine_.object(root))) {
      return refuse("it holds no dict at its top, so it is no state dict");
    }
    auto dict = build_dict(root, 0);
    if (!dict) return dict.error();
    return UnpickledState{std::move(*dict), numbers_};
  }

 private:
  Result<Dict> build_dict(ObjectId id, int depth) {
    if (depth > kDepthMax) return refuse("its dicts are nested more than " + std::to_string(kDepthMax) + " deep");
    Dict out;
    std::set<std::string> names;
    const PickleObject& object = machine_.object(id);
    if (const auto* sequence = std::get_if<PickleSequence>(&object)) {
      for (std::size_t i = 0; i < sequence->items.size(); ++i) {
        const auto added = add_member(out, names, std::to_string(i), sequence->items[i], depth);
        if (!added) return added.error();
      }
      return out;
    }
    for (const auto& [key, value] : std::get<PickleDict>(object).items) {
      std::string name;
      if (const auto* text = std::get_if<std::string>(&machine_.object(key))) {
        name = *text;
      } else if (const auto* number = std::get_if<std::int64_t>(&machine_.object(key))) {
        name = std::to_string(*number);
      } else {
        return refuse("it has a dict key that is neither text nor an integer");
      }
      const auto added = add_member(out, names, name, value, depth);
      if (!added) return added.error();
    }
    return out;
  }

  Result<> add_member(Dict& out, std::set<std::string>& names, const std::string& name, ObjectId value, int depth) {
    if (++nodes_ > kNodesMax) return refuse("it holds more than " + std::to_string(kNodesMax) + " members");
    name_bytes_ += name.size();
    if (name_bytes_ > kNameBytesMax) return refuse("its names are longer than any state dict's");
    if (!names.insert(name).second) return refuse("the key " + quoted(name) + " appears twice");
    const PickleObject& object = machine_.object(value);
    if (const auto* tensor = std::get_if<PickleTensor>(&object)) {
      auto view = resolve(*tensor, name);
      if (!view) return view.error();
      out.add(name, std::move(*view));
    } else if (std::holds_alternative<PickleDict>(object) || std::holds_alternative<PickleSequence>(object)) {
      const std::size_t outer = path_.size();
      path_.append(name).append(".");
      auto nested = build_dict(value, depth + 1);
      path_.resize(outer);
      if (!nested) return nested.error();
      out.add(name, std::move(*nested));
    } else if (const auto* integer = std::get_if<std::int64_t>(&object)) {
      out.add(name, keep(DType::int64, integer, sizeof *integer));
    } else if (const auto* real = std::get_if<double>(&object)) {
      out.add(name, keep(DType::float64, real, sizeof *real));
    } else if (const auto* truth = std::get_if<bool>(&object)) {
      out.add(name, keep(DType::boolean, truth, sizeof *truth));
    } else if (!std::holds_alternative<PickleNone>(object) && !std::holds_alternative<std::string>(object)) {
      return refuse("the value of " + quoted(name) + " is neither a tensor, a number nor a dict");
    }
    return {};
  }

  TensorView keep(DType dtype, const void* element, std::size_t bytes) {
    std::vector<std::byte>& kept = numbers_->emplace_back(bytes);
    std::memcpy(kept.data(), element, bytes);
    return {dtype, {}, kept};
  }

  // The full name, for sentences only: made for every tensor, long names would cost more than the tensors.
  std::string quoted(const std::string& name) const { return "\"" + escape_control(path_ + name) + "\""; }

  Result<TensorView> resolve(const PickleTensor& tensor, const std::string& name) {
    const auto refuse_tensor = [&](std::string why) { return refuse("tensor " + quoted(name) + std::move(why)); };
    std::int64_t elements = 1;
    bool contiguous = true;
    for (std::size_t i = tensor.shape.size(); i-- > 0;) {
      // A stride of a dimension of size 1 is never used, so any value is contiguous there.
      if (tensor.shape[i] != 1 && tensor.strides[i] != elements) contiguous = false;
      if (tensor.shape[i] != 0 && elements > std::numeric_limits<std::int64_t>::max() / 16 / tensor.shape[i]) {
        return refuse_tensor(" has an impossible shape");
      }
      elements *= tensor.shape[i];
    }
    if (elements > 0 && !contiguous) {
      return refuse_tensor(" is a view that is not contiguous; save it with .contiguous().clone()");
    }
    const auto storage = storage_(tensor.storage.key);
    if (!storage) return refuse_tensor(": " + storage.error().message);
    const std::size_t size = element_size(tensor.storage.dtype);
    const std::uint64_t available = storage->size() / size;
    const bool fits = static_cast<std::uint64_t>(tensor.offset) <= available &&
                      static_cast<std::uint64_t>(elements) <= available - static_cast<std::uint64_t>(tensor.offset);
    if (!fits) {
      return refuse_tensor(" needs " + std::to_string(elements) + " elements from offset " +
                           std::to_string(tensor.offset) + ", its storage holds " + std::to_string(available));
    }
    return TensorView{
        tensor.storage.dtype, tensor.shape,
        storage->subspan(static_cast<std::size_t>(tensor.offset) * size, static_cast<std::size_t>(elements) * size)};
  }

  const PickleMachine& machine_;
  const StorageResolver& storage_;
  std::shared_ptr<std::deque<std::vector<std::byte>>> numbers_ = std::make_shared<std::deque<std::vector<std::byte>>>();
  std::string path_;  // of the dict being built, with its full stop
  std::size_t nodes_ = 0;
  std::size_t name_bytes_ = 0;
};

}  // namespace

Result<UnpickledState> unpickle_state(std::span<const std::byte> pickle, const StorageResolver& storage) {
  PickleMachine machine(pickle);
  const auto root = machine.run();
  if (!root) return root.error();
  return StateBuilder(machine, storage).build(*root);
}

}  // namespace ts::checkpoint
