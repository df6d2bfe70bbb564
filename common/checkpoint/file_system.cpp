#include "common/checkpoint/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace ts::checkpoint {
namespace {

template <class T>
T or_errno(T result) {
  return result < 0 ? static_cast<T>(-errno) : result;
}

class PosixFileSystem final : public FileSystem {
 public:
  int open(int directory, const std::string& name, int flags, mode_t mode) override {
    return or_errno(::openat(directory, name.c_str(), flags | O_CLOEXEC, mode));
  }
  int close(int fd) override { return or_errno(::close(fd)); }
  std::int64_t write(int fd, const std::byte* data, std::size_t bytes) override {
    return or_errno<std::int64_t>(::write(fd, data, bytes));
  }
  std::int64_t read(int fd, std::byte* data, std::size_t bytes) override {
    return or_errno<std::int64_t>(::read(fd, data, bytes));
  }
  int fsync(int fd) override { return or_errno(::fsync(fd)); }
  void start_writeback(int fd, std::uint64_t offset, std::uint64_t bytes) override {
    [[maybe_unused]] const int ignored =
        ::sync_file_range(fd, static_cast<off_t>(offset), static_cast<off_t>(bytes), SYNC_FILE_RANGE_WRITE);
  }
  int reserve(int fd, std::uint64_t bytes) override {
    // Not posix_fallocate: glibc emulates that by writing where the file system has no such call.
    return or_errno(::fallocate(fd, 0, 0, static_cast<off_t>(bytes)));
  }
  int resize(int fd, std::uint64_t bytes) override { return or_errno(::ftruncate(fd, static_cast<off_t>(bytes))); }
  std::int64_t size(int fd) override {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return -errno;
    return status.st_size;
  }
  std::int64_t free_bytes(int directory) override {
    struct statvfs status {};
    if (::fstatvfs(directory, &status) != 0) return -errno;
    return static_cast<std::int64_t>(status.f_bavail * status.f_frsize);
  }
  int rename_new(int from_directory, const std::string& from, int to_directory, const std::string& to) override {
    const int result = or_errno(::renameat2(from_directory, from.c_str(), to_directory, to.c_str(), RENAME_NOREPLACE));
    if (result != -EINVAL && result != -ENOSYS) return result;
    // A file system without RENAME_NOREPLACE (NFS, some FUSE): a link refuses a taken name just the same.
    const int linked = or_errno(::linkat(from_directory, from.c_str(), to_directory, to.c_str(), 0));
    return linked < 0 ? linked : or_errno(::unlinkat(from_directory, from.c_str(), 0));
  }
  int rename_over(int directory, const std::string& from, const std::string& to) override {
    return or_errno(::renameat(directory, from.c_str(), directory, to.c_str()));
  }
  int link(int from_directory, const std::string& from, int to_directory, const std::string& to) override {
    return or_errno(::linkat(from_directory, from.c_str(), to_directory, to.c_str(), 0));
  }
  int unlink(int directory, const std::string& name) override {
    return or_errno(::unlinkat(directory, name.c_str(), 0));
  }
  int make_directory(int directory, const std::string& name, mode_t mode) override {
    return or_errno(::mkdirat(directory, name.c_str(), mode));
  }
};

}  // namespace

FileSystem& posix_file_system() {
  static PosixFileSystem instance;
  return instance;
}

}  // namespace ts::checkpoint
