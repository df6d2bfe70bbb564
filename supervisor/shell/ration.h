// So many in a minute, for what may come as often as a worker likes and is told to people.
//
// Threading: a plain value.
#pragma once

#include <chrono>
#include <optional>

#include "supervisor/core/time.h"

namespace ts::shell {

class Ration {
 public:
  explicit Ration(int a_minute) : a_minute_(a_minute) {}

  bool take(core::Instant now) {
    if (!since_ || now - *since_ > std::chrono::minutes{1}) {
      since_ = now;
      taken_ = 0;
    }
    return ++taken_ <= a_minute_;
  }

  // What was taken last was the last one of this minute.
  bool is_used_up() const { return taken_ == a_minute_; }

 private:
  int a_minute_;
  std::optional<core::Instant> since_;
  int taken_ = 0;
};

}  // namespace ts::shell
