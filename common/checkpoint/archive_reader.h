// Opens a `.pt` archive: ours, or one that Python's torch.save wrote for a state dict. Nothing in it is trusted and
// nothing in it is executed.
//
// Ownership: the tensors in `root` are views into `file`, which must outlive them (and into `numbers`, which the
// archive owns). Threading: plain values.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "common/base/result.h"
#include "common/checkpoint/pickle_reader.h"

namespace ts::checkpoint {

// A file whose digest has just been compared with its sidecar's needs no second look at every byte.
enum class CrcCheck { verify, already_digested };

using Archive = UnpickledState;

// Errors are sentences that begin with `name` and are of kind checkpoint.
Result<Archive> read_archive(std::span<const std::byte> file, std::string_view name, CrcCheck crc_check);

}  // namespace ts::checkpoint
