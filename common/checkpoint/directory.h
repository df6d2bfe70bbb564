// An open directory and the durable operations on its files: the steps from which every commit is built.
//
// Errors are sentences of kind cannot_write (or unavailable, not_found for reads) that name the path, the step and the
// system's reason. A failed fsync is final for its file: the caller writes a new one, never syncs the old one again
// (after a failed fsync the kernel may have dropped the data and forgotten that it did).
//
// Ownership: owns its descriptor; refers to a FileSystem that outlives it. Threading: const members from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/checkpoint/digest.h"
#include "common/checkpoint/file_system.h"

namespace ts::checkpoint {

// A whole file in memory: read into memory of its own, or mapped.
class FileBytes {
 public:
  FileBytes() = default;

  // Not zeroed. Holds nothing where there is not that much memory.
  static FileBytes allocate(std::size_t size);

  // The open file itself, read-only; holds nothing where it cannot be mapped. A device that fails, or somebody who cuts
  // the file short, ends whoever looks at these bytes then with SIGBUS: for programs that are watched over.
  static FileBytes map(int fd, std::size_t size);

  std::span<std::byte> writable() { return {data_.get(), size_}; }  // REQUIRES: allocated
  std::span<const std::byte> bytes() const { return {data_.get(), size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_.get()), size_}; }

 private:
  struct Release {
    Release() : mapped(0) {}
    explicit Release(std::size_t bytes) : mapped(bytes) {}
    void operator()(std::byte* data) const;
    std::size_t mapped;  // bytes; 0: allocated
  };

  FileBytes(std::byte* data, std::size_t size, Release release) : data_(data, release), size_(data ? size : 0) {}

  std::unique_ptr<std::byte, Release> data_;
  std::size_t size_ = 0;
};

class Directory {
 public:
  enum class Create { yes, no };

  // With Create::yes a missing directory is made (one level) and its parent synced.
  static Result<Directory> open(const std::filesystem::path& path, Create create, FileSystem& fs = posix_file_system());

  // A directory below this one, made and synced when missing.
  Result<Directory> make_subdirectory(const std::string& name) const;

  // One that is there, by the rules of read_file; kind not_found when it is not.
  Result<Directory> open_subdirectory(const std::string& name) const;

  const std::filesystem::path& path() const { return path_; }
  std::string path_of(std::string_view name) const;  // for sentences
  int fd() const { return fd_.get(); }
  FileSystem& fs() const { return *fs_; }

  // Names of all entries but "." and "..", in no order.
  Result<std::vector<std::string>> list() const;

  // Bytes of a regular file, by the rules of read_file.
  Result<std::uint64_t> file_size(const std::string& name) const;

  // The whole regular file. Never follows a link, never blocks on a FIFO, refuses anything else with a sentence.
  // `digester` is given the bytes on their way, while they are in the cache.
  Result<FileBytes> read_file(const std::string& name, std::uint64_t bytes_max, Digester* digester = nullptr) const;

  // The whole regular file, mapped, by the rules of read_file; read where its file system maps none. For large files
  // that are looked at once: no fresh page has to be made for any of it.
  Result<FileBytes> map_file(const std::string& name, std::uint64_t bytes_max) const;

  // The digest of a regular file of `bytes` bytes, by the rules of read_file; reads it piece by piece. A file of
  // another size is an error of kind checkpoint.
  Result<std::string> digest_file(const std::string& name, std::uint64_t bytes) const;

  // Creates `name`, writes and syncs it. On any error the file is unlinked at once: ext4 keeps every block that a
  // failed reservation got. `before_sync` runs when everything is written and the device is at work on it: the place
  // for what has to be computed or looked at anyway. Its error is this call's.
  using BeforeSync = std::function<Result<>()>;
  Result<> write_synced(const std::string& name, std::span<const std::byte> bytes,
                        const BeforeSync& before_sync = {}) const;

  // The same without a sync: for what need not outlive the machine.
  enum class Readers { all, owner };  // all: less the process's umask
  Result<> write_unsynced(const std::string& name, std::span<const std::byte> bytes,
                          Readers readers = Readers::all) const;

  // The directory's own entries made durable.
  Result<> sync() const;

  Result<> rename_new(const std::string& from, const std::string& to) const;
  Result<> rename_new_into(const std::string& from, const Directory& destination, const std::string& to) const;
  Result<> rename_over(const std::string& from, const std::string& to) const;
  Result<> link_into(const std::string& from, const Directory& destination, const std::string& to) const;
  Result<> unlink(const std::string& name) const;  // a missing file is no error
  Result<std::uint64_t> free_bytes() const;

  // The sentence for a call on `name` that returned `negative_errno`.
  Error failure(std::string_view verb, std::string_view name, int negative_errno) const;

 private:
  Directory(std::filesystem::path path, UniqueFd fd, FileSystem& fs);

  Error unreadable(const std::string& name, int negative_errno) const;
  Result<UniqueFd> open_regular(const std::string& name, std::uint64_t& size) const;
  Result<UniqueFd> open_bounded(const std::string& name, std::uint64_t bytes_max, std::uint64_t& size) const;
  Result<FileBytes> read_open(int fd, const std::string& name, std::uint64_t size, Digester* digester) const;
  Result<> read_all(int fd, const std::string& name, std::span<std::byte> into, Digester* digester) const;
  using Fill = std::function<Result<>(int fd)>;
  Result<> create(const std::string& name, Readers readers, const Fill& fill) const;
  using AfterPortion = std::function<void(std::uint64_t offset, std::uint64_t bytes)>;
  Result<> write_all(int fd, const std::string& name, std::span<const std::byte> bytes,
                     const AfterPortion& after_portion) const;
  Result<> write_and_sync(int fd, const std::string& name, std::span<const std::byte> bytes,
                          const BeforeSync& before_sync) const;

  std::filesystem::path path_;
  std::string printed_;  // path_ as sentences show it
  UniqueFd fd_;
  FileSystem* fs_;
};

}  // namespace ts::checkpoint
