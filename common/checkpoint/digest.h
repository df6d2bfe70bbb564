// XXH3-128 over a file's bytes: detects damage at memory speed. It is no defence against someone who can write the
// directory (they can write the sidecar too).
//
// Source: https://xxhash.com, canonical (big-endian) representation, so that `xxhsum -H2 FILE` prints the same digits.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace ts::checkpoint {

// "xxh3-128:" and 32 hexadecimal digits.
std::string digest_of(std::span<const std::byte> bytes);

}  // namespace ts::checkpoint
