// What the worker printed, as its readers find it: worker.log, and the older worker.log.1, .2, … beside it.
// supervisorctl reads it without a supervisor, the supervisor for the control API.
//
// A line ends with a newline or a carriage return, so that what a progress bar draws over and over is lines too; one
// whose end is not there yet, or is far away, comes in pieces. The text has control characters (but tabs) and malformed
// UTF-8 as \xNN. Threading: plain functions; blocking on the disk. Beside a worker that writes and a supervisor that
// renames, each piece is still read once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace ts::api {

inline constexpr std::int64_t kOutputFormat = 1;
inline constexpr std::size_t kOutputLinesMax = 1000;  // in one page
inline constexpr std::size_t kOutputBytesMax = std::size_t{256} * 1024;
inline constexpr std::size_t kOutputPieceBytesMax = std::size_t{16} * 1024;  // of a line

// 0: the current one.
std::filesystem::path output_file(const std::filesystem::path& file, std::int64_t number);

// Between two bytes of one file, however that is called by now.
struct OutputPlace {
  std::uint64_t inode = 0;
  std::uint64_t born_ns = 0;  // inodes are used again; 0: the file system does not say
  std::uint64_t offset = 0;

  bool operator==(const OutputPlace&) const = default;
};

std::string to_text(const OutputPlace& place);
std::optional<OutputPlace> parse_output_place(std::string_view text);

struct OutputLine {
  std::string text;
  bool ended = true;  // false: the next one goes on with it
  OutputPlace after;

  bool operator==(const OutputLine&) const = default;
};

struct OutputPage {
  std::vector<OutputLine> lines;
  OutputPlace place;  // behind the last of them
  bool more = false;  // older lines than these
};

// The newest `limit` lines, as far as they are within kOutputBytesMax. No log at all is an empty page.
Result<OutputPage> newest_output(const std::filesystem::path& file, std::size_t limit);

// What follows `since`, a bounded piece of it; empty: nothing by now. A place in a file that is gone means the oldest
// one since.
Result<OutputPage> output_after(const std::filesystem::path& file, const OutputPlace& since);

// {"text": …, "end": …}
std::string to_json(const OutputLine& line);

// {"format": 1, "file": …, "place": …, "more": …, "lines": […]}
std::string to_json(const OutputPage& page, const std::filesystem::path& file);

}  // namespace ts::api
