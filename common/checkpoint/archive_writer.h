// Writes a state as the `.pt` archive that `torch.load(path, weights_only=True)` opens as a plain dict: a zip64 file of
// stored entries, each entry's data 64-byte aligned, a CRC-32 for each (docs/FORMATS.md).
//
// The work comes in three steps because they belong to different moments:
//   plan   once for a state of given names, dtypes and shapes: where each byte goes;
//   copy   on the training thread, as fast as memcpy: the tensors' bytes into a buffer that is the file;
//   seal   any time later, on any thread: headers, CRCs and the directory around the bytes already there.
//
// The bytes are a function of the state alone, so equal states have equal digests.
//
// Ownership: the layout owns no tensor memory. Threading: const members may be called from any thread, on distinct
// buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/checkpoint/state.h"

namespace ts::checkpoint {

class ArchiveLayout {
 public:
  // Uses the structure of `state` only, not its elements.
  static ArchiveLayout plan(const Dict& state);

  std::size_t file_bytes() const { return file_bytes_; }

  // True when `state` has the structure this layout was planned for: names, dtypes and shapes. Cheap enough for every
  // episode.
  bool fits(const Dict& state) const;

  // REQUIRES: fits(state), file.size() == file_bytes().
  void copy_tensors(const Dict& state, std::span<std::byte> file) const;

  // REQUIRES: copy_tensors has filled `file`. Idempotent. Returns the CRC-32 of each tensor, in the state's order.
  std::vector<std::uint32_t> seal(std::span<std::byte> file) const;

  std::size_t tensor_count() const { return tensor_count_; }

 private:
  struct Entry {
    std::string name;
    std::size_t header_offset = 0;
    std::size_t padding = 0;
    std::size_t data_offset = 0;
    std::size_t data_bytes = 0;
    std::string fixed_content;  // of entries that are not tensors
  };

  void add_entry(std::string name, std::size_t data_bytes, std::string fixed_content);
  void write_local_header(const Entry& entry, std::uint32_t crc, std::span<std::byte> file) const;
  void write_central_directory(std::span<const std::uint32_t> crcs, std::span<std::byte> file) const;

  Dict structure_;  // the state's, without its elements
  std::vector<Entry> entries_;
  std::size_t first_tensor_ = 0;  // index into entries_
  std::size_t tensor_count_ = 0;
  std::size_t directory_offset_ = 0;
  std::size_t directory_bytes_ = 0;
  std::size_t file_bytes_ = 0;
};

// plan, copy and seal at once.
std::vector<std::byte> write_archive(const Dict& state);

}  // namespace ts::checkpoint
