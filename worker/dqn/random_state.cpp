#include "worker/dqn/random_state.h"

#include <algorithm>
#include <sstream>

namespace ts::dqn {

double RandomState::uniform() {
  return static_cast<double>(engine_() >> 11) * 0x1.0p-53;
}

std::uint64_t RandomState::below(std::uint64_t bound) {
  __extension__ using Wide = unsigned __int128;
  Wide product = static_cast<Wide>(engine_()) * bound;
  if (static_cast<std::uint64_t>(product) < bound) {
    const std::uint64_t threshold = (0 - bound) % bound;
    while (static_cast<std::uint64_t>(product) < threshold) product = static_cast<Wide>(engine_()) * bound;
  }
  return static_cast<std::uint64_t>(product >> 64);
}

// The stream form is the only access to the engine's words that the standard gives.
std::vector<std::int64_t> RandomState::save() const {
  std::stringstream text;
  text << engine_;
  std::vector<std::int64_t> words;
  std::uint64_t word = 0;
  while (text >> word) words.push_back(static_cast<std::int64_t>(word));
  return words;
}

Result<> RandomState::restore(const std::vector<std::int64_t>& words) {
  const auto position = words.empty() ? -1 : words.back();
  const bool right_size =
      words.size() == kWords && position >= 0 && position <= static_cast<std::int64_t>(std::mt19937_64::state_size);
  // From all zeros the engine gives zeros for ever, and below() would look for another number as long.
  if (!right_size || std::all_of(words.begin(), words.end() - 1, [](std::int64_t word) { return word == 0; })) {
    return make_error(ErrorKind::checkpoint, "\"rng.engine\" is no state of this random number generator");
  }
  std::stringstream text;
  for (const std::int64_t word : words) text << static_cast<std::uint64_t>(word) << ' ';
  std::mt19937_64 engine;
  text >> engine;
  if (text.fail()) {
    return make_error(ErrorKind::checkpoint, "\"rng.engine\" is no state of this random number generator");
  }
  engine_ = engine;
  return {};
}

}  // namespace ts::dqn
