// Durations and sizes as people write them in a configuration or on a command line.
//
// The writers are the exact inverse of the readers: parse_duration(duration_text(d)) is d again.
// Threading: pure functions. Errors: a Result with ErrorKind::configuration and a sentence that has an example in it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace ts::config {

// "350ms", "30s", "10m", "2h", "7d": a whole number without sign and its unit, nothing between or around them. A number
// without a unit is refused, because nobody can know what was meant; so is what does not fit into milliseconds.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

// "512" (bytes), "64KiB", "50MiB", "2GiB", "1TiB" (powers of 1024) or "64KB", "50MB", "2GB", "1TB" (powers of 1000).
// At most 2^63 - 1, so that a size always fits into a file offset.
Result<std::uint64_t> parse_size(std::string_view text);

// In the largest unit that needs no fraction: 600000 ms is "10m", 90000 ms is "90s".
std::string duration_text(std::chrono::milliseconds duration);

// In the largest binary unit that needs no fraction: "2GiB", "1500" (bytes have no unit).
std::string size_text(std::uint64_t bytes);

}  // namespace ts::config
