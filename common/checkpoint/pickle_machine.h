// The stack machine behind unpickle_state: bytes in, a graph of plain objects out. Internal to common/checkpoint.
//
// Objects live in one arena and refer to each other by index, so that no pickle, however deep or cyclic, can exhaust
// the stack or leak.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "common/checkpoint/state.h"

namespace ts::checkpoint {

using ObjectId = std::size_t;

struct PickleNone {};
struct PickleMark {};
struct PickleSequence {  // list or tuple
  std::vector<ObjectId> items;
};
struct PickleDict {
  std::vector<std::pair<ObjectId, ObjectId>> items;
};
struct PickleGlobal {  // a callable or type, by name; never called, only recognised
  std::string name;    // "collections.OrderedDict"
};
struct PickleStorage {
  DType dtype = DType::float32;
  std::string key;
  std::int64_t elements = 0;
};
struct PickleTensor {
  PickleStorage storage;
  std::int64_t offset = 0;  // elements
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
};

using PickleObject = std::variant<PickleNone, PickleMark, bool, std::int64_t, double, std::string, PickleSequence,
                                  PickleDict, PickleGlobal, PickleStorage, PickleTensor>;

class PickleMachine {
 public:
  explicit PickleMachine(std::span<const std::byte> pickle) : in_(pickle) {}

  // Runs to STOP and returns the object left on the stack.
  Result<ObjectId> run();

  const PickleObject& object(ObjectId id) const { return objects_[id]; }

 private:
  Result<> execute(unsigned char opcode);
  bool push_literal(unsigned char opcode);
  Result<> read_global();
  Result<> read_long();
  Result<> memoize(std::size_t key_bytes);
  Result<> recall(std::size_t key_bytes);
  Result<> make_tuple(std::size_t count);
  Result<> make_tuple_to_mark();
  Result<> append(bool to_mark);
  Result<> set_items(bool to_mark);
  Result<> build();
  Result<> load_persistent();
  Result<> reduce();
  Result<> rebuild_tensor(const std::vector<ObjectId>& arguments);

  void push(PickleObject object);
  Result<ObjectId> pop();
  Result<std::vector<ObjectId>> pop_to_mark();
  std::uint64_t take(std::size_t bytes);  // little-endian; 0 and failed_ when the pickle is too short
  std::string take_text(std::size_t bytes);
  std::string take_line();
  Result<std::vector<std::int64_t>> integers(ObjectId id) const;

  std::span<const std::byte> in_;
  std::size_t at_ = 0;
  bool truncated_ = false;
  std::vector<PickleObject> objects_;
  std::vector<ObjectId> stack_;
  std::map<std::uint64_t, ObjectId> memo_;
};

}  // namespace ts::checkpoint
