// Reads the directory of a zip archive that lies in memory, without trusting a byte of it. Internal to
// common/checkpoint.
//
// Stored entries only: nothing is decompressed, so nothing can expand. Every offset and size is checked against the
// file before it is used, entries may not overlap, names may not repeat.
//
// Ownership: spans point into the file given, which must outlive them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "common/base/result.h"

namespace ts::checkpoint {

struct ZipEntry {
  std::span<const std::byte> data;
  std::uint32_t crc = 0;
};

struct ZipDirectory {
  std::string folder;                       // of the first entry, with its '/', as PyTorch's reader takes it
  std::map<std::string, ZipEntry> entries;  // by full name
};

// Errors end without a full stop and name no file: the caller knows its name.
Result<ZipDirectory> read_zip_directory(std::span<const std::byte> file);

// Compares every entry's bytes with its CRC-32.
Result<> check_crcs(const ZipDirectory& directory);

}  // namespace ts::checkpoint
