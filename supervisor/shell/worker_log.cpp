#include "supervisor/shell/worker_log.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <system_error>

#include "common/base/text.h"
#include "supervisor/api/worker_output.h"

namespace ts::shell {
namespace {

constexpr std::uint64_t kTailBytes = 4096;
constexpr std::size_t kWordsMax = 600;

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
