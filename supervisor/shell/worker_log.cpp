#include "supervisor/shell/worker_log.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <system_error>

#include "common/base/text.h"
#include "common/base/unique_fd.h"
#include "supervisor/api/worker_output.h"

namespace ts::shell {
namespace {

constexpr std::uint64_t kTailBytes = 4096;
constexpr std::size_t kWordsMax = 600;
constexpr std::uint64_t kBlockBytes = 512;  // whatever the file system's own are: stat(3type)

}  // namespace

Result<> prepare_worker_log(const std::filesystem::path& file, std::uint64_t max_size, std::int64_t max_files) {
  std::error_code error;
  const auto parent = file.parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (error) {
    return make_error(ErrorKind::cannot_write, "could not create the log directory " + escape_control(parent.string()) +
                                                   ": " + error.message() +
                                                   "; set logging.directory to a writable place.");
  }
  const auto size = std::filesystem::file_size(file, error);
  if (error || size < max_size) return {};
  // Renaming over the next number drops the oldest. A failure here costs order in the logs, nothing else.
  for (std::int64_t number = std::max<std::int64_t>(1, max_files - 1); number > 1; --number) {
    std::filesystem::rename(api::output_file(file, number - 1), api::output_file(file, number), error);
  }
  std::filesystem::rename(file, api::output_file(file, 1), error);
  return {};
}

Result<> forget_old_output(const std::filesystem::path& file, std::uint64_t keep) {
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};  // no output yet, or not ours
  const auto held = static_cast<std::uint64_t>(status.st_blocks) * kBlockBytes;
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size <= keep || held <= keep + keep / 8) return {};  // not for every line
  const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  if (::fallocate(fd.get(), mode, 0, static_cast<off_t>(size - keep)) == 0) return {};
  return make_error(ErrorKind::unavailable, escape_control(file.string()) +
                                                " grows beyond logging.max_size while the " +
                                                "worker lives, and could not be cut: " + std::strerror(errno) + ".");
}

std::uint64_t log_size(const std::filesystem::path& file) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  return error ? 0 : size;
}

std::string last_words(const std::filesystem::path& file, std::uint64_t offset) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  if (error || size <= offset) return {};
  std::ifstream in(file, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(std::max(offset, size > kTailBytes ? size - kTailBytes : 0)));
  std::string tail{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  while (!tail.empty() && (tail.back() == '\n' || tail.back() == '\r' || tail.back() == ' ')) tail.pop_back();
  const std::size_t start = tail.rfind('\n');
  return shorten(escape_control(start == std::string::npos ? tail : tail.substr(start + 1)), kWordsMax);
}

}  // namespace ts::shell
