// Time as the core sees it: a number that is handed in. Nothing in supervisor/core can ask what time it is, so every
// rule about lateness can be tested by saying so.
#pragma once

#include <chrono>

namespace ts::core {

// Time since an arbitrary origin, monotonic, as read by the shell.
using Instant = std::chrono::nanoseconds;
using Duration = std::chrono::milliseconds;

}  // namespace ts::core
