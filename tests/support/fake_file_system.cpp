#include "tests/support/fake_file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace ts::checkpoint {
namespace {

bool is_directory(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace

FakeFileSystem::~FakeFileSystem() {
  for (const int fd : written_files_) ::close(fd);
}

bool FakeFileSystem::strikes(bool changes_something) {
  if (fault_.calls == Fault::Calls::changes && !changes_something) return false;
  ++count_;
  if (fault_.kind == Fault::Kind::none) return false;
  return fault_.for_ever ? count_ >= fault_.at : count_ == fault_.at;
}

int FakeFileSystem::error_for(bool changes_something) {
  if (!strikes(changes_something) || fault_.kind == Fault::Kind::short_write) return 0;
  fired_ = true;
  if (fault_.kind == Fault::Kind::death) throw ProcessDied{};
  return -fault_.error;
}

int FakeFileSystem::open(int directory, const std::string& name, int flags, mode_t mode) {
  if (const int error = error_for((flags & O_CREAT) != 0); error != 0) return error;
  const int fd = real_.open(directory, name, flags, mode);
  if (fd < 0) return fd;
  failed_syncs_.erase(fd);
  if ((flags & O_EXCL) != 0) written_files_.insert(fd);
  return fd;
}

int FakeFileSystem::close(int fd) {
  const int error = error_for(true);
  written_files_.erase(fd);
  const int closed = real_.close(fd);
  return error != 0 ? error : closed;
}

std::int64_t FakeFileSystem::write(int fd, const std::byte* data, std::size_t bytes) {
  if (fault_.kind == Fault::Kind::short_write) {
    if (strikes(true)) {
      fired_ = true;
      bytes = std::max<std::size_t>(1, bytes / 2);
    }
  } else if (const int error = error_for(true); error != 0) {
    return error;
  }
  return real_.write(fd, data, bytes);
}

std::int64_t FakeFileSystem::read(int fd, std::byte* data, std::size_t bytes) {
  if (const int error = error_for(false); error != 0) return error;
  return real_.read(fd, data, bytes);
}

int FakeFileSystem::fsync(int fd) {
  if (failed_syncs_.contains(fd)) violations_.push_back("a file was synced again after its sync had failed");
  const int error = error_for(true);
  if (error != 0 && !is_directory(fd)) failed_syncs_.insert(fd);
  return error;
}

int FakeFileSystem::reserve(int fd, std::uint64_t bytes) {
  if (const int error = error_for(true); error != 0) return error;
  return real_.reserve(fd, bytes);
}

int FakeFileSystem::resize(int fd, std::uint64_t bytes) {
  if (const int error = error_for(true); error != 0) return error;
  return real_.resize(fd, bytes);
}

std::int64_t FakeFileSystem::size(int fd) {
  if (const int error = error_for(false); error != 0) return error;
  return real_.size(fd);
}

std::int64_t FakeFileSystem::free_bytes(int directory) {
  if (const int error = error_for(false); error != 0) return error;
  return real_.free_bytes(directory);
}

int FakeFileSystem::rename_new(int from_directory, const std::string& from, int to_directory, const std::string& to) {
  if (const int error = error_for(true); error != 0) return error;
  return real_.rename_new(from_directory, from, to_directory, to);
}

int FakeFileSystem::rename_over(int directory, const std::string& from, const std::string& to) {
  if (const int error = error_for(true); error != 0) return error;
  return real_.rename_over(directory, from, to);
}

int FakeFileSystem::link(int from_directory, const std::string& from, int to_directory, const std::string& to) {
  if (const int error = error_for(true); error != 0) return error;
  return real_.link(from_directory, from, to_directory, to);
}

int FakeFileSystem::unlink(int directory, const std::string& name) {
  if (const int error = error_for(true); error != 0) return error;
  return real_.unlink(directory, name);
}

int FakeFileSystem::make_directory(int directory, const std::string& name, mode_t mode) {
  if (const int error = error_for(true); error != 0) return error;
  return real_.make_directory(directory, name, mode);
}

}  // namespace ts::checkpoint
