// Memory that has a descriptor: a memfd, mapped, its pages present from the start. A copy into it then runs at the
// speed of memory (a first touch costs five to thirty times as much), and another process can be handed the descriptor.
//
// Source: memfd_create(2), fcntl(2) ("File Sealing"), fallocate(2).
// Ownership: owns the mapping and the descriptor. Threading: none of its own.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace ts::session {

class MemoryFile {
 public:
  // The size is sealed: whoever maps the descriptor cannot be hit by a shrinking file. Where the system refuses a memfd
  // (a limit on file sizes or descriptors) the memory has no descriptor. An error says how much could not be had.
  static Result<MemoryFile> create(std::size_t bytes);

  MemoryFile() = default;
  MemoryFile(MemoryFile&& other) noexcept
      : fd_(std::move(other.fd_)), bytes_(std::exchange(other.bytes_, std::span<std::byte>())) {}
  MemoryFile& operator=(MemoryFile&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~MemoryFile();

  std::span<std::byte> bytes() const { return bytes_; }
  int fd() const { return fd_.get(); }  // -1: none

 private:
  UniqueFd fd_;
  std::span<std::byte> bytes_;
};

}  // namespace ts::session
