#include "supervisor/shell/oom.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include "common/base/text.h"
#include "common/base/unique_fd.h"

namespace ts::shell {
namespace {

namespace fs = std::filesystem;

constexpr const char* kV1File = "memory.oom_control";

std::string read_whole(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<std::string> words(std::string_view text, char separator) {
  std::vector<std::string> out;
  std::istringstream in{std::string(text)};
  for (std::string word; std::getline(in, word, separator);) out.push_back(word);
  return out;
}

bool contains(const std::vector<std::string>& list, std::string_view word) {
  for (const std::string& entry : list) {
    if (entry == word) return true;
  }
  return false;
}

struct Membership {
  bool v1 = false;
  std::string path;
};

// Lines are ID:CONTROLLERS:PATH. Memory is accounted in v2 when no v1 hierarchy has it.
std::optional<Membership> membership(std::string_view cgroup) {
  std::optional<Membership> unified;
  for (const std::string& line : words(cgroup, '\n')) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first == std::string::npos ? first : first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (contains(words(controllers, ','), "memory")) return Membership{true, path};
    if (controllers.empty()) unified = Membership{false, path};
  }
  return unified;
}

// Lines are ID PARENT MAJOR:MINOR ROOT MOUNT OPTIONS [FIELD...] - TYPE SOURCE OPTIONS.
std::optional<fs::path> folder_of(const Membership& group, std::string_view mountinfo) {
  for (const std::string& line : words(mountinfo, '\n')) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const auto before = words(std::string_view(line).substr(0, dash), ' ');
    const auto after = words(std::string_view(line).substr(dash + 3), ' ');
    if (before.size() < 5 || after.size() < 3) continue;
    const bool right =
        group.v1 ? after[0] == "cgroup" && contains(words(after[2], ','), "memory") : after[0] == "cgroup2";
    if (!right) continue;
    std::string_view below = group.path;
    const std::string_view root = before[3];
    if (root != "/") {
      if (!below.starts_with(root)) continue;
      below.remove_prefix(root.size());
      if (!below.empty() && !below.starts_with('/')) continue;  // another group, whose name only begins like this one's
    }
    return fs::path(before[4] + std::string(below));
  }
  return std::nullopt;
}

std::optional<std::uint64_t> machine_kills() {
  return oom_kills_in(read_whole("/proc/vmstat"));
}

bool rose(const std::optional<std::uint64_t>& before, const std::optional<std::uint64_t>& after) {
  return before && after && *after > *before;
}

}  // namespace

std::optional<std::uint64_t> oom_kills_in(std::string_view text) {
  constexpr std::string_view kKey = "oom_kill ";
  for (const std::string& line : words(text, '\n')) {
    if (!line.starts_with(kKey)) continue;
    const auto number = parse_plain_integer(std::string_view(line).substr(kKey.size()));
    if (!number) return std::nullopt;
    return static_cast<std::uint64_t>(*number);
  }
  return std::nullopt;
}

fs::path oom_counter_file(std::string_view cgroup, std::string_view mountinfo) {
  const auto group = membership(cgroup);
  const auto folder = group ? folder_of(*group, mountinfo) : std::nullopt;
  if (!folder) return {};
  return (*folder / (group->v1 ? kV1File : "memory.events")).lexically_normal();
}

namespace {

// Every launch and every SIGKILL asks, the mounts are many, and the way to the file is long: it stays open. Whoever
// moves a running daemon to another group is answered by the first one's counter.
struct GroupCounter {
  fs::path path = oom_counter_file(read_whole("/proc/self/cgroup"), read_whole("/proc/self/mountinfo"));
  UniqueFd file{path.empty() ? -1 : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};

  std::optional<std::uint64_t> kills() const {
    std::array<char, 4096> text{};
    const ssize_t count = file ? ::pread(file.get(), text.data(), text.size(), 0) : -1;
    if (count < 0) return std::nullopt;
    return oom_kills_in({text.data(), static_cast<std::size_t>(count)});
  }
};

const GroupCounter& own_group() {
  static const GroupCounter group;
  return group;
}

}  // namespace

OomCounters OomCounters::read() {
  OomCounters counters;
  counters.group_ = own_group().kills();
  // Of v1 the kernel does not tell where a dead process was, so its group decides alone.
  counters.group_alone_ = counters.group_ && own_group().path.filename() == kV1File;
  if (!counters.group_alone_) counters.machine_ = machine_kills();
  return counters;
}

bool OomCounters::have_risen(pid_t worker) const {
  if (!group_) return rose(machine_, machine_kills());
  if (rose(group_, own_group().kills())) return true;
  if (group_alone_) return false;
  const std::string where = read_whole("/proc/" + std::to_string(worker) + "/cgroup");
  const auto its = membership(where);
  const auto ours = membership(read_whole("/proc/self/cgroup"));
  const bool moved =
      its && ours && its->path != ours->path && !its->path.starts_with(ours->path == "/" ? "/" : ours->path + "/");
  return moved && rose(machine_, machine_kills());
}

}  // namespace ts::shell
