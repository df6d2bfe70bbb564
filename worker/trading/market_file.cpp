// load_market_data(): the file side of market_data.h.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "common/base/text.h"
#include "common/base/unique_fd.h"
#include "worker/trading/market_data.h"

namespace ts::trading {
namespace {

std::string reason(int error) {
  return std::generic_category().message(error);
}

Error cannot_open(const std::string& name, int error) {
  const std::string what = error == ENOENT ? "there is no such file" : "it cannot be opened: " + reason(error);
  return make_error(ErrorKind::data, name + ": " + what + "; set data.path to a readable CSV file with market data");
}

Error too_large(const std::string& name) {
  return make_error(ErrorKind::data, name + ": it is larger than " + human_bytes(kMarketFileBytesMax) +
                                         ", which daily market data cannot be; set data.path to the right file");
}

// The whole file. The size that fstat reports is only a hint: the file may grow meanwhile, and some report none.
Result<std::string> read_all(int fd, const std::string& name, std::uint64_t size_hint) {
  std::string text;
  std::size_t filled = 0;
  text.resize(static_cast<std::size_t>(size_hint) + 1);  // one more, so that the end is seen without growing
  while (true) {
    const ssize_t got = ::read(fd, text.data() + filled, text.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return make_error(ErrorKind::unavailable, name + ": reading it failed: " + reason(errno));
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
    if (filled > kMarketFileBytesMax) return too_large(name);
    if (filled == text.size()) text.resize(filled * 2);
  }
  text.resize(filled);
  return text;
}

}  // namespace

Result<MarketData> load_market_data(const std::filesystem::path& path) {
  const std::string name = path.empty() ? "data.path" : escape_control(path.native());
  if (path.empty()) {
    return make_error(ErrorKind::data, "data.path is empty; set it to a CSV file with market data");
  }
  // Without O_NONBLOCK, opening a named pipe would wait for a writer for ever.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return cannot_open(name, errno);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return cannot_open(name, errno);
  if (S_ISDIR(status.st_mode)) {
    return make_error(ErrorKind::data, name + ": it is a directory; set data.path to a CSV file in it");
  }
  if (!S_ISREG(status.st_mode)) {
    return make_error(ErrorKind::data, name + ": it is not a regular file; set data.path to a CSV file");
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size > kMarketFileBytesMax) return too_large(name);
  Result<std::string> text = read_all(fd.get(), name, size);
  if (text.has_error()) return text.error();
  return parse_market_data(*text, path.native());
}

}  // namespace ts::trading
