#include "supervisor/shell/http_token.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <string_view>

#include "common/base/random_id.h"

namespace ts::shell {
namespace {

constexpr std::size_t kLettersMin = 32;
constexpr std::size_t kBytesMax = 512;

Result<std::string> make_token(const checkpoint::Directory& directory) {
  const std::string token = make_run_id() + make_run_id() + make_run_id() + make_run_id();
  const std::string line = token + "\n";
  const auto written =
      directory.write_unsynced(kTokenFile, std::as_bytes(std::span(line)), checkpoint::Directory::Readers::owner);
  if (!written) return written.error();
  return token;
}

}  // namespace

Result<std::string> load_http_token(const checkpoint::Directory& directory) {
  struct stat status {};
  if (::fstatat(directory.fd(), kTokenFile, &status, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT) {
    return make_token(directory);
  }
  const std::string name = directory.path_of(kTokenFile);
  if ((status.st_mode & S_IROTH) != 0) {
    return make_error(ErrorKind::configuration,
                      name +
                          " may be read by everybody: chmod o= it, or remove it and let a new "
                          "one be made.");
  }
  const auto bytes = directory.read_file(kTokenFile, kBytesMax);
  if (!bytes) return bytes.error();
  std::string_view token = bytes->text();
  while (token.ends_with('\n') || token.ends_with('\r')) token.remove_suffix(1);
  const bool good = std::all_of(token.begin(), token.end(), [](char letter) { return letter > ' ' && letter < 0x7F; });
  if (!good || token.size() < kLettersMin) {
    return make_error(ErrorKind::configuration, name + " must hold one line of at least " +
                                                    std::to_string(kLettersMin) +
                                                    " visible ASCII letters; remove it and a new one is made.");
  }
  return std::string(token);
}

}  // namespace ts::shell
