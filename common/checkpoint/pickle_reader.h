// Reads the `data.pkl` of an archive: the subset of pickle that state dicts are made of, executing nothing.
// Internal to common/checkpoint.
//
// Accepted are the opcodes and globals that `torch.save` writes for dicts, OrderedDicts, lists, tuples, numbers,
// strings, tensors and nn.Parameters; any other is refused by name. What a training state has no use for (None,
// strings, and the `_metadata` that state_dict() carries) is read over. Lists and tuples become dicts with the keys
// "0", "1", …; numbers become 0-dimensional tensors.
//
// Source: CPython Lib/pickletools.py; torch/_utils.py (_rebuild_tensor_v2, _rebuild_parameter).
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/checkpoint/state.h"

namespace ts::checkpoint {

// Bytes of the storage with this key, or an error when there is none.
using StorageResolver = std::function<Result<std::span<const std::byte>>(std::string_view key)>;

struct UnpickledState {
  Dict root;
  // The elements of numbers that the pickle spelled out; the views in `root` point here. A deque never moves them.
  std::shared_ptr<std::deque<std::vector<std::byte>>> numbers;
};

Result<UnpickledState> unpickle_state(std::span<const std::byte> pickle, const StorageResolver& storage);

}  // namespace ts::checkpoint
