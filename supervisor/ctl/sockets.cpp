#include "supervisor/ctl/sockets.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <sstream>

namespace ts::ctl {
namespace {

constexpr std::size_t kNamedMax = 3;
constexpr std::string_view kName = "/control.sock";

}  // namespace

std::vector<std::string> control_sockets_in(std::string_view proc_net_unix) {
  constexpr std::string_view kListens = "00010000";  // __SO_ACCEPTCON
  std::vector<std::string> out;
  std::istringstream lines{std::string(proc_net_unix)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string number;
    std::string references;
    std::string protocol;
    std::string flags;
    std::string type;
    std::string state;
    std::string inode;
    if (!(words >> number >> references >> protocol >> flags >> type >> state >> inode) || flags != kListens) continue;
    std::string path;
    std::getline(words >> std::ws, path);
    if (path.ends_with(kName)) out.push_back(std::move(path));
  }
  return out;
}

std::vector<std::string> control_sockets_here(const std::string& except) {
  std::ifstream file("/proc/net/unix", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::vector<std::string> out = control_sockets_in(text);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  std::erase_if(out, [&](const std::string& path) {
    struct stat status {};
    return path == except || ::stat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode);
  });
  out.resize(std::min(out.size(), kNamedMax));
  return out;
}

}  // namespace ts::ctl
