// XXH3-128 over a file's bytes: detects damage at memory speed. It is no defence against someone who can write the
// directory (they can write the sidecar too).
//
// Source: https://xxhash.com, canonical (big-endian) representation, so that `xxhsum -H2 FILE` prints the same digits.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

struct XXH3_state_s;

namespace ts::checkpoint {

// The digest of bytes that come one piece after another. Threading: none of its own.
class Digester {
 public:
  Digester();

  void update(std::span<const std::byte> piece);

  // "xxh3-128:" and 32 hexadecimal digits, of all pieces so far.
  std::string text() const;

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };
  std::unique_ptr<XXH3_state_s, Free> state_;
};

// The same of bytes that are all there.
std::string digest_of(std::span<const std::byte> bytes);

}  // namespace ts::checkpoint
