// The system calls that the store makes, and nothing more: the seam at which tests fail any one of them.
//
// Every call returns its result, or -errno: no global state between a call and the look at its error. All names are
// relative to a directory descriptor. EINTR is handled by the callers, since a fake may return it too.
//
// Sources: open(2), write(2), fsync(2), sync_file_range(2), fallocate(2), ftruncate(2), renameat2(2), linkat(2),
// unlinkat(2), mkdirat(2), fstatvfs(3).
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>

namespace ts::checkpoint {

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual int open(int directory, const std::string& name, int flags, mode_t mode) = 0;
  virtual int close(int fd) = 0;
  virtual std::int64_t write(int fd, const std::byte* data, std::size_t bytes) = 0;
  virtual std::int64_t read(int fd, std::byte* data, std::size_t bytes) = 0;
  virtual int fsync(int fd) = 0;
  // Asks the kernel to begin writing these bytes to the device, so that the sync that follows has less left to wait
  // for. A hint: makes nothing durable, and a refusal means nothing.
  virtual void start_writeback(int /*fd*/, std::uint64_t /*offset*/, std::uint64_t /*bytes*/) {}
  // Reserves space without changing what is there; -EOPNOTSUPP where the file system cannot.
  virtual int reserve(int fd, std::uint64_t bytes) = 0;
  // Cuts an open file off there. -EOPNOTSUPP where nobody needs it.
  virtual int resize(int /*fd*/, std::uint64_t /*bytes*/) { return -EOPNOTSUPP; }
  virtual std::int64_t size(int fd) = 0;
  // Bytes that an unprivileged writer may still use, -errno when unknown.
  virtual std::int64_t free_bytes(int directory) = 0;
  // Never replaces: -EEXIST when the new name is taken.
  virtual int rename_new(int from_directory, const std::string& from, int to_directory, const std::string& to) = 0;
  virtual int rename_over(int directory, const std::string& from, const std::string& to) = 0;
  virtual int link(int from_directory, const std::string& from, int to_directory, const std::string& to) = 0;
  virtual int unlink(int directory, const std::string& name) = 0;
  virtual int make_directory(int directory, const std::string& name, mode_t mode) = 0;
};

// The real one. Stateless; one instance serves every thread.
FileSystem& posix_file_system();

}  // namespace ts::checkpoint
