#include "common/checkpoint/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <sstream>

#include "common/base/process_identity.h"
#include "common/base/text.h"

namespace ts::checkpoint {
namespace {

// "<pid> <start ticks> <program>\n"
std::string holder_record(std::string_view program) {
  const ProcessIdentity& self = own_identity();
  std::ostringstream record;
  record << self.pid << ' ' << self.start_ticks << ' ' << program << '\n';
  return record.str();
}

std::string read_record(int fd) {
  std::array<char, 256> buffer{};
  const ssize_t count = ::pread(fd, buffer.data(), buffer.size() - 1, 0);
  return {buffer.data(), count > 0 ? static_cast<std::size_t>(count) : 0};
}

std::optional<LockRecord> parse_record(int fd) {
  std::istringstream text(read_record(fd));
  LockRecord record;
  if (!(text >> record.pid >> record.start_ticks >> record.program) || record.pid <= 0) return std::nullopt;
  return record;
}

std::string describe_holder(int fd) {
  const auto record = parse_record(fd);
  if (!record) return "another process";
  return escape_control(record->program) + " with process id " + std::to_string(record->pid);
}

}  // namespace

std::optional<LockRecord> read_lock_record(const Directory& directory, std::string_view name) {
  const int opened = directory.fs().open(directory.fd(), std::string(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
  if (opened < 0) return std::nullopt;
  const UniqueFd fd(opened);
  return parse_record(fd.get());
}

Result<DirectoryLock> DirectoryLock::acquire(const Directory& directory, std::string_view program,
                                             std::string_view name) {
  const std::string file(name);
  const int opened = directory.fs().open(directory.fd(), file, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0644);
  if (opened < 0) return directory.failure("open the lock", file, opened);
  UniqueFd fd(opened);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return directory.failure("lock", file, -errno);
    return make_error(ErrorKind::locked, directory.path_of("") + " is in use by " + describe_holder(fd.get()) +
                                             ", which holds " + directory.path_of(file) +
                                             "; stop that one first, or use another checkpoints.directory.");
  }
  const std::string record = holder_record(program);
  // The lock itself is the flock; a record that cannot be written (full disk) only makes a refusal's sentence poorer.
  if (read_record(fd.get()) != record && ::ftruncate(fd.get(), 0) == 0) {
    [[maybe_unused]] const ssize_t written = ::pwrite(fd.get(), record.data(), record.size(), 0);
  }
  return DirectoryLock(std::move(fd));
}

}  // namespace ts::checkpoint
