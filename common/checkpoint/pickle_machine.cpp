#include "common/checkpoint/pickle_machine.h"

#include <algorithm>
#include <bit>

#include "common/base/text.h"

namespace ts::checkpoint {
namespace {

Error refuse(std::string why) {
  return make_error(ErrorKind::checkpoint, "its pickle " + std::move(why));
}

// Bounds that no state dict comes near. An opcode of one byte makes an object of a hundred, and a few bytes can call a
// function with an argument list or a shape of any length again and again.
constexpr std::size_t kObjectsMax = 8'000'000;
constexpr std::size_t kArgumentsMax = 16;
constexpr std::size_t kDimensionsMax = 64;

// What a REDUCE may be applied to, and what may stand there as a type.
constexpr std::string_view kRebuildTensor = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kRebuildParameter = "torch._utils._rebuild_parameter";
constexpr std::string_view kOrderedDict = "collections.OrderedDict";
constexpr std::string_view kSize = "torch.Size";
constexpr std::string_view kTorchPrefix = "torch.";

bool is_accepted_global(std::string_view name) {
  if (name == kRebuildTensor || name == kRebuildParameter || name == kOrderedDict || name == kSize) return true;
  return name.starts_with(kTorchPrefix) && dtype_of_storage_class(name.substr(kTorchPrefix.size()));
}

std::string hex(unsigned char byte) {
  static constexpr char kHex[] = "0123456789abcdef";
  return std::string("0x") + kHex[byte >> 4] + kHex[byte & 0xF];
}

}  // namespace

void PickleMachine::push(PickleObject object) {
  objects_.push_back(std::move(object));
  stack_.push_back(objects_.size() - 1);
}

Result<ObjectId> PickleMachine::pop() {
  if (stack_.empty()) return refuse("takes more from its stack than it put there");
  const ObjectId id = stack_.back();
  stack_.pop_back();
  return id;
}

Result<std::vector<ObjectId>> PickleMachine::pop_to_mark() {
  const auto mark = std::find_if(stack_.rbegin(), stack_.rend(),
                                 [&](ObjectId id) { return std::holds_alternative<PickleMark>(objects_[id]); });
  if (mark == stack_.rend()) return refuse("closes a group that it did not open");
  std::vector<ObjectId> items(mark.base(), stack_.end());
  stack_.erase(std::prev(mark.base()), stack_.end());
  return items;
}

std::uint64_t PickleMachine::take(std::size_t bytes) {
  if (bytes > in_.size() - at_) {
    truncated_ = true;
    return 0;
  }
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value |= std::to_integer<std::uint64_t>(in_[at_ + i]) << (8 * i);
  at_ += bytes;
  return value;
}

std::string PickleMachine::take_text(std::size_t bytes) {
  if (truncated_ || bytes > in_.size() - at_) {
    truncated_ = true;
    return {};
  }
  std::string text(reinterpret_cast<const char*>(in_.data()) + at_, bytes);
  at_ += bytes;
  return text;
}

std::string PickleMachine::take_line() {
  std::string line;
  while (at_ < in_.size()) {
    const char c = static_cast<char>(in_[at_++]);
    if (c == '\n') return line;
    line += c;
  }
  truncated_ = true;
  return {};
}

Result<ObjectId> PickleMachine::run() {
  while (at_ < in_.size()) {
    const auto opcode = std::to_integer<unsigned char>(in_[at_++]);
    if (opcode == '.') {  // STOP
      auto top = pop();
      if (top && !stack_.empty()) return refuse("stops with objects left over");
      return top;
    }
    const auto done = execute(opcode);
    if (truncated_) break;
    if (!done) return done.error();
    if (objects_.size() > kObjectsMax) return refuse("makes more objects than any state dict has");
  }
  return refuse("is cut short");
}

bool PickleMachine::push_literal(unsigned char opcode) {
  switch (opcode) {
    case 'N': push(PickleNone{}); return true;
    case '(': push(PickleMark{}); return true;
    case '}': push(PickleDict{}); return true;
    case ']':
    case ')': push(PickleSequence{}); return true;
    case 0x88: push(true); return true;
    case 0x89: push(false); return true;
    case 'K': push(static_cast<std::int64_t>(take(1))); return true;
    case 'M': push(static_cast<std::int64_t>(take(2))); return true;
    case 'J': push(std::int64_t{static_cast<std::int32_t>(take(4))}); return true;
    case 'X': push(take_text(take(4))); return true;
    case 0x8c: push(take_text(take(1))); return true;
    case 'G': {  // BINFLOAT: big-endian
      std::uint64_t bits = take(8);
      std::uint64_t swapped = 0;
      for (int i = 0; i < 8; ++i, bits >>= 8) swapped = (swapped << 8) | (bits & 0xFF);
      push(std::bit_cast<double>(swapped));
      return true;
    }
    default: return false;
  }
}

Result<> PickleMachine::execute(unsigned char opcode) {
  if (push_literal(opcode)) return {};
  switch (opcode) {
    case 0x80: {  // PROTO
      const std::uint64_t version = take(1);
      if (version < 2 || version > 5) return refuse("is of protocol " + std::to_string(version) + "; 2 to 5 are read");
      return {};
    }
    case 'c': return read_global();
    case 0x8a: return read_long();
    case 'q': return memoize(1);
    case 'r': return memoize(4);
    case 'h': return recall(1);
    case 'j': return recall(4);
    case 0x85: return make_tuple(1);
    case 0x86: return make_tuple(2);
    case 0x87: return make_tuple(3);
    case 't': return make_tuple_to_mark();
    case 'a': return append(false);
    case 'e': return append(true);
    case 's': return set_items(false);
    case 'u': return set_items(true);
    case 'b': return build();
    case 'Q': return load_persistent();
    case 'R': return reduce();
    default: return refuse("uses opcode " + hex(opcode) + ", which no state dict needs");
  }
}

Result<> PickleMachine::read_global() {
  const std::string module = take_line();
  const std::string name = module + "." + take_line();
  if (truncated_) return {};
  if (!is_accepted_global(name)) {
    return refuse("refers to " + escape_control(name) +
                  ", which is not part of a state dict; nothing of it was executed");
  }
  push(PickleGlobal{name});
  return {};
}

Result<> PickleMachine::read_long() {
  const std::size_t bytes = take(1);
  if (bytes > 8) return refuse("holds an integer of more than 64 bits");
  std::uint64_t bits = take(bytes);
  if (bytes > 0 && bytes < 8 && ((bits >> (8 * bytes - 1)) & 1) != 0) bits |= ~std::uint64_t{0} << (8 * bytes);
  push(static_cast<std::int64_t>(bits));
  return {};
}

Result<> PickleMachine::memoize(std::size_t key_bytes) {
  const std::uint64_t key = take(key_bytes);
  if (stack_.empty()) return refuse("remembers an object that is not there");
  memo_[key] = stack_.back();
  return {};
}

Result<> PickleMachine::recall(std::size_t key_bytes) {
  const auto found = memo_.find(take(key_bytes));
  if (found == memo_.end()) return refuse("recalls an object that it did not remember");
  stack_.push_back(found->second);
  return {};
}

Result<> PickleMachine::make_tuple(std::size_t count) {
  if (stack_.size() < count) return refuse("takes more from its stack than it put there");
  PickleSequence tuple{{stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end()}};
  stack_.resize(stack_.size() - count);
  push(std::move(tuple));
  return {};
}

Result<> PickleMachine::make_tuple_to_mark() {
  auto items = pop_to_mark();
  if (!items) return items.error();
  push(PickleSequence{std::move(*items)});
  return {};
}

Result<> PickleMachine::append(bool to_mark) {
  std::vector<ObjectId> items;
  if (to_mark) {
    auto popped = pop_to_mark();
    if (!popped) return popped.error();
    items = std::move(*popped);
  } else {
    const auto item = pop();
    if (!item) return item.error();
    items.push_back(*item);
  }
  auto* list = stack_.empty() ? nullptr : std::get_if<PickleSequence>(&objects_[stack_.back()]);
  if (list == nullptr) return refuse("appends to something that is no list");
  list->items.insert(list->items.end(), items.begin(), items.end());
  return {};
}

Result<> PickleMachine::set_items(bool to_mark) {
  std::vector<ObjectId> items;
  if (to_mark) {
    auto popped = pop_to_mark();
    if (!popped) return popped.error();
    items = std::move(*popped);
  } else {
    const auto value = pop();
    if (!value) return value.error();
    const auto key = pop();
    if (!key) return key.error();
    items = {*key, *value};
  }
  auto* dict = stack_.empty() ? nullptr : std::get_if<PickleDict>(&objects_[stack_.back()]);
  if (dict == nullptr || items.size() % 2 != 0) return refuse("sets items of something that is no dict");
  for (std::size_t i = 0; i < items.size(); i += 2) dict->items.emplace_back(items[i], items[i + 1]);
  return {};
}

// BUILD hands an OrderedDict its attributes (`_metadata`: module versions). They carry no state.
Result<> PickleMachine::build() {
  const auto attributes = pop();
  if (!attributes) return attributes.error();
  const bool on_dict = !stack_.empty() && std::holds_alternative<PickleDict>(objects_[stack_.back()]);
  if (!on_dict) return refuse("sets attributes of something that is no dict");
  return {};
}

// ("storage", torch.FloatStorage, key, location, elements). The location is where it was; everything is read to the
// CPU.
Result<> PickleMachine::load_persistent() {
  const auto id = pop();
  if (!id) return id.error();
  const auto* tuple = std::get_if<PickleSequence>(&objects_[*id]);
  if (tuple == nullptr || tuple->items.size() != 5) return refuse("refers to a storage in an unknown way");
  const auto* tag = std::get_if<std::string>(&objects_[tuple->items[0]]);
  const auto* type = std::get_if<PickleGlobal>(&objects_[tuple->items[1]]);
  const auto* key = std::get_if<std::string>(&objects_[tuple->items[2]]);
  const auto* elements = std::get_if<std::int64_t>(&objects_[tuple->items[4]]);
  if (tag == nullptr || *tag != "storage" || type == nullptr || key == nullptr || elements == nullptr) {
    return refuse("refers to a storage in an unknown way");
  }
  const std::string_view type_name = type->name;
  const auto dtype = type_name.starts_with(kTorchPrefix) ? dtype_of_storage_class(type_name.substr(kTorchPrefix.size()))
                                                         : std::nullopt;
  if (!dtype) return refuse("refers to a storage of type " + escape_control(type_name));
  push(PickleStorage{*dtype, *key, *elements});
  return {};
}

Result<> PickleMachine::reduce() {
  const auto arguments_id = pop();
  if (!arguments_id) return arguments_id.error();
  const auto callable_id = pop();
  if (!callable_id) return callable_id.error();
  const auto* callable = std::get_if<PickleGlobal>(&objects_[*callable_id]);
  const auto* arguments = std::get_if<PickleSequence>(&objects_[*arguments_id]);
  if (callable == nullptr || arguments == nullptr) return refuse("calls something that is no function");
  if (arguments->items.size() > kArgumentsMax) return refuse("calls a function with too many arguments");
  const std::vector<ObjectId> items = arguments->items;
  if (callable->name == kOrderedDict && items.empty()) {
    push(PickleDict{});
    return {};
  }
  if (callable->name == kSize && items.size() == 1) {
    stack_.push_back(items[0]);
    return {};
  }
  // A parameter is its tensor; requires_grad and hooks belong to whoever loads it.
  if (callable->name == kRebuildParameter && !items.empty()) {
    stack_.push_back(items[0]);
    return {};
  }
  if (callable->name == kRebuildTensor && items.size() >= 4) return rebuild_tensor(items);
  return refuse("calls " + escape_control(callable->name) + " with arguments that do not fit");
}

Result<std::vector<std::int64_t>> PickleMachine::integers(ObjectId id) const {
  const auto* sequence = std::get_if<PickleSequence>(&objects_[id]);
  if (sequence == nullptr) return refuse("has a shape that is no tuple");
  if (sequence->items.size() > kDimensionsMax) return refuse("has a tensor of too many dimensions");
  std::vector<std::int64_t> out;
  for (const ObjectId item : sequence->items) {
    const auto* number = std::get_if<std::int64_t>(&objects_[item]);
    if (number == nullptr || *number < 0) return refuse("has a shape with something else than sizes in it");
    out.push_back(*number);
  }
  return out;
}

Result<> PickleMachine::rebuild_tensor(const std::vector<ObjectId>& arguments) {
  const auto* storage = std::get_if<PickleStorage>(&objects_[arguments[0]]);
  const auto* offset = std::get_if<std::int64_t>(&objects_[arguments[1]]);
  if (storage == nullptr || offset == nullptr || *offset < 0) return refuse("has a tensor without a storage");
  auto shape = integers(arguments[2]);
  if (!shape) return shape.error();
  auto strides = integers(arguments[3]);
  if (!strides) return strides.error();
  if (shape->size() != strides->size()) return refuse("has a tensor with more sizes than strides");
  push(PickleTensor{*storage, *offset, std::move(*shape), std::move(*strides)});
  return {};
}

}  // namespace ts::checkpoint
