#include "common/base/random_id.h"

#include <random>

namespace ts {

std::string make_run_id() {
  static constexpr char kHex[] = "0123456789abcdef";
  std::random_device device;
  std::string id;
  for (int i = 0; i < 4; ++i) {
    unsigned int bits = device();
    for (int digit = 0; digit < 4; ++digit, bits >>= 4) id += kHex[bits & 0xF];
  }
  return id;
}

}  // namespace ts
