// The file that the worker's output goes to: kept within bounds, read for a dead worker's last words.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "common/base/result.h"

namespace ts::shell {

// Makes the directory if it is missing, and renames a log that has grown past `max_size` to .1, .2, …, of which
// `max_files` are kept. Between launches only: a living worker's output goes on into the file it was given.
Result<> prepare_worker_log(const std::filesystem::path& file, std::uint64_t max_size, std::int64_t max_files);

// Gives the disk back what lies further than `keep` bytes before the end. The file keeps its length, and whoever writes
// or reads knows its places still; what is gone reads as zeros. fallocate(2), FALLOC_FL_PUNCH_HOLE; where the file
// system has no such thing (kind unavailable), nothing happens.
Result<> forget_old_output(const std::filesystem::path& file, std::uint64_t keep);

// Bytes; 0 where there is none yet.
std::uint64_t log_size(const std::filesystem::path& file);

// The last non-empty line behind `offset`, escaped and cut to a sentence's length; empty when there is none.
std::string last_words(const std::filesystem::path& file, std::uint64_t offset);

}  // namespace ts::shell
