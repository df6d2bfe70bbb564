// Small pure helpers for the sentences people read.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ts {

// The candidate nearest to `word` by Damerau-Levenshtein distance (optimal string alignment, F. Damerau 1964), or
// nothing when none is near enough to be what was meant (more than a third of the letters differ).
std::optional<std::string> nearest_name(std::string_view word, std::span<const std::string_view> candidates);

// `text` with control characters, DEL and malformed UTF-8 replaced by \xNN, so that a hostile name or message cannot
// drive a terminal. Tabs and newlines are escaped too.
std::string escape_control(std::string_view text);

// The same for a line of a program's output, whose tabs stay.
std::string escape_line(std::string_view line);

// At most `bytes_max` bytes of `text` and "…", never cutting a UTF-8 sequence in two.
std::string shorten(std::string_view text, std::size_t bytes_max);

// Without the full stop at its end, to be used within another sentence.
std::string as_clause(std::string sentence);

// Durations as people write them: "350ms", "12s", "4m 05s", "3h 07m", "2d 04h".
std::string human_duration(std::chrono::milliseconds duration);

// Sizes as people read them: "812 B", "3.4 KiB", "1.2 GiB".
std::string human_bytes(std::uint64_t bytes);

// A fraction digits-limited decimal without an exponent: format_fixed(12.345, 1) is "12.3".
std::string format_fixed(double value, int digits);

std::string join(std::span<const std::string> parts, std::string_view separator);

// The whole of `text` as a base-10 integer without sign, blanks or leading zeros ("0" itself is allowed).
std::optional<std::int64_t> parse_plain_integer(std::string_view text);

// RFC 3339 in UTC with milliseconds: "2026-01-31T12:34:56.789Z".
std::string rfc3339_utc(std::chrono::system_clock::time_point when);

}  // namespace ts
