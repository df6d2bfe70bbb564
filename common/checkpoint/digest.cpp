#include "common/checkpoint/digest.h"

#include <xxhash.h>
// The library's plain functions are built for the oldest processor of their kind; these look once at the one that runs
// them (AVX2 and AVX-512 double the rate). Distributions ship this header where there is something to choose from.
#if __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>
#endif

#include <new>

namespace ts::checkpoint {
namespace {

std::string text_of(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text = "xxh3-128:";
  for (const unsigned char byte : canonical.digest) {
    text += kHex[byte >> 4];
    text += kHex[byte & 0xF];
  }
  return text;
}

}  // namespace

void Digester::Free::operator()(XXH3_state_s* state) const {
  XXH3_freeState(state);
}

Digester::Digester() : state_(XXH3_createState()) {
  if (!state_) throw std::bad_alloc();
  XXH3_128bits_reset(state_.get());
}

void Digester::update(std::span<const std::byte> piece) {
  XXH3_128bits_update(state_.get(), piece.data(), piece.size());
}

std::string Digester::text() const {
  return text_of(XXH3_128bits_digest(state_.get()));
}

std::string digest_of(std::span<const std::byte> bytes) {
  return text_of(XXH3_128bits(bytes.data(), bytes.size()));
}

}  // namespace ts::checkpoint
