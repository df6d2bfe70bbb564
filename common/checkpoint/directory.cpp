#include "common/checkpoint/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "common/base/text.h"

namespace ts::checkpoint {
namespace {

constexpr mode_t kFileMode = 0644;  // less the process's umask
constexpr mode_t kPrivateMode = 0600;
constexpr mode_t kDirectoryMode = 0755;
constexpr std::size_t kWriteBytesMax = std::size_t{8} << 20;     // after each, the device may begin
constexpr std::size_t kReadPieceBytes = std::size_t{256} << 10;  // stays in the cache between reading and digesting

bool only_reads(std::string_view verb) {
  return verb == "read" || verb == "list" || verb == "open the directory";
}

std::string_view advice_for(std::string_view verb, int error) {
  const bool denied = error == EACCES || error == EPERM;
  if (denied && only_reads(verb)) return "; ask as a user who may read it, such as the one who trains";
  switch (error) {
    case ENOSPC: return "; free some space on this file system";
    case EDQUOT: return "; the quota is used up: remove something, or have it raised";
    case EROFS: return "; the file system is read-only: remount it, or set checkpoints.directory to a writable place";
    case EACCES:
    case EPERM: return "; give this user write permission, or set checkpoints.directory to a writable place";
    case EFBIG: return "; a file size limit (ulimit -f) is in force: raise it";
    case EIO: return "; the device reports errors: check the disk";
    default: return "";
  }
}

template <class Call>
auto retry_interrupted(Call&& call) {
  auto result = call();
  while (result == -EINTR) result = call();
  return result;
}

}  // namespace

FileBytes FileBytes::allocate(std::size_t size) {
  return {new (std::nothrow) std::byte[size], size, Release()};
}

FileBytes FileBytes::map(int fd, std::size_t size) {
  if (size == 0) return {};
  void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (mapped == MAP_FAILED) return {};
  return {static_cast<std::byte*>(mapped), size, Release(size)};
}

void FileBytes::Release::operator()(std::byte* data) const {
  if (mapped == 0) {
    delete[] data;
  } else {
    ::munmap(data, mapped);
  }
}

Error Directory::failure(std::string_view verb, std::string_view name, int negative_errno) const {
  const int error = -negative_errno;
  const ErrorKind kind = error == ENOENT ? ErrorKind::not_found : ErrorKind::cannot_write;
  return make_error(kind, "could not " + std::string(verb) + " " + path_of(name) + ": " + std::strerror(error) +
                              std::string(advice_for(verb, error)) + ".");
}

Directory::Directory(std::filesystem::path path, UniqueFd fd, FileSystem& fs)
    : path_(std::move(path)), printed_(escape_control(path_.string())), fd_(std::move(fd)), fs_(&fs) {}

// Asked for with every file that is looked at, also by who reads ten thousand sidecars: no path is put together anew.
std::string Directory::path_of(std::string_view name) const {
  if (name.empty()) return printed_;
  std::string out = printed_;
  if (!out.empty() && !out.ends_with('/')) out += '/';
  return out += escape_control(name);
}

Result<Directory> Directory::open(const std::filesystem::path& path, Create create, FileSystem& fs) {
  const std::string name = path.string();
  constexpr int kFlags = O_RDONLY | O_DIRECTORY;
  int fd = retry_interrupted([&] { return fs.open(AT_FDCWD, name, kFlags, 0); });
  if (fd == -ENOENT && create == Create::yes) {
    Directory self(path, UniqueFd(), fs);
    const int made = fs.make_directory(AT_FDCWD, name, kDirectoryMode);
    if (made < 0 && made != -EEXIST) return self.failure("create the directory", "", made);
    const auto parent_path = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    auto parent = open(parent_path, Create::no, fs);
    if (!parent) return parent.error();
    const auto synced = parent->sync();
    if (!synced) return synced.error();
    fd = retry_interrupted([&] { return fs.open(AT_FDCWD, name, kFlags, 0); });
  }
  if (fd < 0) return Directory(path, UniqueFd(), fs).failure("open the directory", "", fd);
  return Directory(path, UniqueFd(fd), fs);
}

Result<Directory> Directory::make_subdirectory(const std::string& name) const {
  const int made = fs_->make_directory(fd(), name, kDirectoryMode);
  if (made < 0 && made != -EEXIST) return failure("create the directory", name, made);
  if (made == 0) {
    const auto synced = sync();
    if (!synced) return synced.error();
  }
  const int opened = retry_interrupted([&] { return fs_->open(fd(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0); });
  if (opened < 0) return failure("open the directory", name, opened);
  return Directory(path_ / name, UniqueFd(opened), *fs_);
}

Result<Directory> Directory::open_subdirectory(const std::string& name) const {
  const int opened = retry_interrupted([&] { return fs_->open(fd(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0); });
  if (opened < 0) return unreadable(name, opened);
  return Directory(path_ / name, UniqueFd(opened), *fs_);
}

Result<std::vector<std::string>> Directory::list() const {
  // A descriptor of its own: the position in a directory stream belongs to the open file.
  const int copy = retry_interrupted([&] { return fs_->open(fd(), ".", O_RDONLY | O_DIRECTORY, 0); });
  if (copy < 0) return failure("list", "", copy);
  DIR* stream = ::fdopendir(copy);
  if (stream == nullptr) {
    const int error = -errno;
    fs_->close(copy);
    return failure("list", "", error);
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  const int error = -errno;
  ::closedir(stream);
  if (error != 0) return failure("list", "", error);
  return names;
}

Error Directory::unreadable(const std::string& name, int negative_errno) const {
  if (negative_errno == -ELOOP) {
    return make_error(ErrorKind::unavailable, path_of(name) + " is a symbolic link, which is not followed.");
  }
  Error error = failure("read", name, negative_errno);
  if (error.kind == ErrorKind::cannot_write) error.kind = ErrorKind::unavailable;
  return error;
}

Result<UniqueFd> Directory::open_regular(const std::string& name, std::uint64_t& size) const {
  // O_NONBLOCK: a FIFO with a right name must not hang the one who opens it.
  const int opened = retry_interrupted([&] { return fs_->open(fd(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0); });
  if (opened < 0) return unreadable(name, opened);
  UniqueFd file(opened);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return unreadable(name, -errno);
  if (!S_ISREG(status.st_mode)) {
    return make_error(ErrorKind::checkpoint, path_of(name) + " is not a regular file.");
  }
  size = static_cast<std::uint64_t>(status.st_size);
  return file;
}

Result<std::uint64_t> Directory::file_size(const std::string& name) const {
  std::uint64_t size = 0;
  const auto file = open_regular(name, size);
  if (!file) return file.error();
  return size;
}

Result<UniqueFd> Directory::open_bounded(const std::string& name, std::uint64_t bytes_max, std::uint64_t& size) const {
  auto file = open_regular(name, size);
  if (!file || size <= bytes_max) return file;
  return make_error(ErrorKind::checkpoint, path_of(name) + " has " + std::to_string(size) + " bytes, more than the " +
                                               std::to_string(bytes_max) + " such a file can have.");
}

Result<FileBytes> Directory::read_open(int file, const std::string& name, std::uint64_t size,
                                       Digester* digester) const {
  FileBytes contents = FileBytes::allocate(size);
  if (contents.bytes().size() != size) {
    return make_error(ErrorKind::unavailable,
                      "there is not enough memory to read " + path_of(name) + " (" + human_bytes(size) + ").");
  }
  const auto filled = read_all(file, name, contents.writable(), digester);
  if (!filled) return filled.error();
  return contents;
}

Result<FileBytes> Directory::read_file(const std::string& name, std::uint64_t bytes_max, Digester* digester) const {
  std::uint64_t size = 0;
  const auto file = open_bounded(name, bytes_max, size);
  if (!file) return file.error();
  return read_open(file->get(), name, size, digester);
}

Result<FileBytes> Directory::map_file(const std::string& name, std::uint64_t bytes_max) const {
  std::uint64_t size = 0;
  const auto file = open_bounded(name, bytes_max, size);
  if (!file) return file.error();
  FileBytes mapped = FileBytes::map(file->get(), size);
  if (mapped.bytes().size() == size) return mapped;
  return read_open(file->get(), name, size, nullptr);
}

Result<> Directory::read_all(int file, const std::string& name, std::span<std::byte> into, Digester* digester) const {
  while (!into.empty()) {
    const std::size_t portion = digester == nullptr ? into.size() : std::min(into.size(), kReadPieceBytes);
    const std::int64_t count = retry_interrupted([&] { return fs_->read(file, into.data(), portion); });
    if (count < 0) return unreadable(name, static_cast<int>(count));
    if (count == 0) {
      return make_error(ErrorKind::checkpoint, path_of(name) + " became shorter while it was read.");
    }
    const std::span<std::byte> piece = into.first(static_cast<std::size_t>(count));
    if (digester != nullptr) digester->update(piece);
    into = into.subspan(piece.size());
  }
  return {};
}

Result<std::string> Directory::digest_file(const std::string& name, std::uint64_t bytes) const {
  std::uint64_t size = 0;
  const auto file = open_regular(name, size);
  if (!file) return file.error();
  if (size != bytes) {
    return make_error(ErrorKind::checkpoint, path_of(name) + " has " + std::to_string(size) + " bytes, " +
                                                 std::to_string(bytes) + " were expected.");
  }
  Digester digester;
  FileBytes buffer = FileBytes::allocate(std::min<std::uint64_t>(bytes, kReadPieceBytes));
  if (bytes > 0 && buffer.bytes().empty()) {
    return make_error(ErrorKind::unavailable, "there is not enough memory to read " + path_of(name) + ".");
  }
  for (std::uint64_t left = bytes; left > 0;) {
    const std::span<std::byte> piece = buffer.writable().first(std::min<std::uint64_t>(left, kReadPieceBytes));
    const auto filled = read_all(file->get(), name, piece, &digester);
    if (!filled) return filled.error();
    left -= piece.size();
  }
  return digester.text();
}

Result<> Directory::write_all(int file, const std::string& name, std::span<const std::byte> bytes,
                              const AfterPortion& after_portion) const {
  std::size_t written = 0;
  while (written < bytes.size()) {
    const std::size_t portion = std::min(bytes.size() - written, kWriteBytesMax);
    const std::int64_t count = retry_interrupted([&] { return fs_->write(file, bytes.data() + written, portion); });
    if (count < 0) return failure("write", name, static_cast<int>(count));
    if (count == 0) return failure("write", name, -EIO);
    if (after_portion) after_portion(written, static_cast<std::uint64_t>(count));
    written += static_cast<std::size_t>(count);
  }
  return {};
}

Result<> Directory::write_and_sync(int file, const std::string& name, std::span<const std::byte> bytes,
                                   const BeforeSync& before_sync) const {
  // Nothing to reserve for an empty file: fallocate refuses a length of 0.
  const int reserved = bytes.empty() ? 0 : retry_interrupted([&] { return fs_->reserve(file, bytes.size()); });
  if (reserved < 0 && reserved != -EOPNOTSUPP && reserved != -ENOSYS)
    return failure("reserve space for", name, reserved);
  const auto written = write_all(
      file, name, bytes, [&](std::uint64_t offset, std::uint64_t count) { fs_->start_writeback(file, offset, count); });
  if (!written) return written.error();
  if (before_sync) {
    const auto done = before_sync();
    if (!done) return done.error();
  }
  // Not retried on EINTR or anything else: a failed fsync is final for this file.
  const int synced = fs_->fsync(file);
  if (synced < 0) return failure("sync", name, synced);
  const std::int64_t size = fs_->size(file);
  if (size != static_cast<std::int64_t>(bytes.size())) return failure("write all of", name, -EIO);
  return {};
}

Result<> Directory::create(const std::string& name, Readers readers, const Fill& fill) const {
  const mode_t mode = readers == Readers::all ? kFileMode : kPrivateMode;
  const int file =
      retry_interrupted([&] { return fs_->open(fd(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode); });
  if (file < 0) return failure("create", name, file);
  Result<> filled = fill(file);
  const int closed = fs_->close(file);
  if (filled && closed < 0 && closed != -EINTR) filled = failure("close", name, closed);
  if (!filled) fs_->unlink(fd(), name);
  return filled;
}

Result<> Directory::write_synced(const std::string& name, std::span<const std::byte> bytes,
                                 const BeforeSync& before_sync) const {
  return create(name, Readers::all, [&](int file) { return write_and_sync(file, name, bytes, before_sync); });
}

Result<> Directory::write_unsynced(const std::string& name, std::span<const std::byte> bytes, Readers readers) const {
  // Neither reserved nor begun: the rename that follows waited for both.
  return create(name, readers, [&](int file) { return write_all(file, name, bytes, {}); });
}

Result<> Directory::sync() const {
  const int synced = fs_->fsync(fd());
  if (synced < 0) return failure("sync the directory", "", synced);
  return {};
}

Result<> Directory::rename_new(const std::string& from, const std::string& to) const {
  return rename_new_into(from, *this, to);
}

Result<> Directory::rename_new_into(const std::string& from, const Directory& destination,
                                    const std::string& to) const {
  const int renamed = retry_interrupted([&] { return fs_->rename_new(fd(), from, destination.fd(), to); });
  if (renamed < 0) return destination.failure("give its name to", to, renamed);
  return {};
}

Result<> Directory::rename_over(const std::string& from, const std::string& to) const {
  const int renamed = retry_interrupted([&] { return fs_->rename_over(fd(), from, to); });
  if (renamed < 0) return failure("give its name to", to, renamed);
  return {};
}

Result<> Directory::link_into(const std::string& from, const Directory& destination, const std::string& to) const {
  const int linked = retry_interrupted([&] { return fs_->link(fd(), from, destination.fd(), to); });
  if (linked < 0) return destination.failure("link", to, linked);
  return {};
}

Result<> Directory::unlink(const std::string& name) const {
  const int removed = retry_interrupted([&] { return fs_->unlink(fd(), name); });
  if (removed < 0 && removed != -ENOENT) return failure("remove", name, removed);
  return {};
}

Result<std::uint64_t> Directory::free_bytes() const {
  const std::int64_t free = fs_->free_bytes(fd());
  if (free < 0) return failure("ask for the free space of", "", static_cast<int>(free));
  return static_cast<std::uint64_t>(free);
}

}  // namespace ts::checkpoint
