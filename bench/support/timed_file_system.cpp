#include "bench/support/timed_file_system.h"

#include <utility>

namespace ts::bench {

template <class Work>
auto TimedFileSystem::timed(const char* name, std::string file, Work&& work) {
  const auto begun = Clock::now();
  const auto result = work();
  const auto ended = Clock::now();
  const std::lock_guard lock(mutex_);
  calls_.push_back({name, std::move(file), begun, ended});
  return result;
}

std::string TimedFileSystem::file_of(int fd) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(fd);
  return found == files_.end() ? std::string() : found->second;
}

std::vector<TimedFileSystem::Call> TimedFileSystem::take_calls() {
  const std::lock_guard lock(mutex_);
  return std::exchange(calls_, {});
}

int TimedFileSystem::open(int directory, const std::string& name, int flags, mode_t mode) {
  const int fd = timed("open", name, [&] { return real_.open(directory, name, flags, mode); });
  const std::lock_guard lock(mutex_);
  if (fd >= 0) files_[fd] = name;
  return fd;
}

int TimedFileSystem::close(int fd) {
  return timed("close", file_of(fd), [&] { return real_.close(fd); });
}

std::int64_t TimedFileSystem::write(int fd, const std::byte* data, std::size_t bytes) {
  return timed("write", file_of(fd), [&] { return real_.write(fd, data, bytes); });
}

std::int64_t TimedFileSystem::read(int fd, std::byte* data, std::size_t bytes) {
  return timed("read", file_of(fd), [&] { return real_.read(fd, data, bytes); });
}

int TimedFileSystem::fsync(int fd) {
  return timed("fsync", file_of(fd), [&] { return real_.fsync(fd); });
}

int TimedFileSystem::reserve(int fd, std::uint64_t bytes) {
  return timed("reserve", file_of(fd), [&] { return real_.reserve(fd, bytes); });
}

std::int64_t TimedFileSystem::size(int fd) {
  return real_.size(fd);
}

std::int64_t TimedFileSystem::free_bytes(int directory) {
  return real_.free_bytes(directory);
}

int TimedFileSystem::rename_new(int from_directory, const std::string& from, int to_directory, const std::string& to) {
  return timed("rename_new", to, [&] { return real_.rename_new(from_directory, from, to_directory, to); });
}

int TimedFileSystem::rename_over(int directory, const std::string& from, const std::string& to) {
  return timed("rename_over", to, [&] { return real_.rename_over(directory, from, to); });
}

int TimedFileSystem::link(int from_directory, const std::string& from, int to_directory, const std::string& to) {
  return timed("link", to, [&] { return real_.link(from_directory, from, to_directory, to); });
}

int TimedFileSystem::unlink(int directory, const std::string& name) {
  return timed("unlink", name, [&] { return real_.unlink(directory, name); });
}

int TimedFileSystem::make_directory(int directory, const std::string& name, mode_t mode) {
  return timed("make_directory", name, [&] { return real_.make_directory(directory, name, mode); });
}

}  // namespace ts::bench
