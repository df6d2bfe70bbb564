// The file that the worker's output goes to: kept within bounds between launches, read for a dead worker's last words.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "common/base/result.h"

namespace ts::shell {

// Makes the directory if it is missing, and renames a log that has grown past `max_size` to .1, .2, …, of which
// `max_files` are kept. Between launches only: a living worker's output goes on into the file it was given.
Result<> prepare_worker_log(const std::filesystem::path& file, std::uint64_t max_size, std::int64_t max_files);

// Bytes; 0 where there is none yet.
std::uint64_t log_size(const std::filesystem::path& file);

// The last non-empty line behind `offset`, escaped and cut to a sentence's length; empty when there is none.
std::string last_words(const std::filesystem::path& file, std::uint64_t offset);

}  // namespace ts::shell
