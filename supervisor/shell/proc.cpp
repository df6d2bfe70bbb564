#include "supervisor/shell/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>

#include "common/base/unique_fd.h"

namespace ts::shell {
namespace {

template <class Number>
bool parse(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

std::optional<ProcessFacts> facts_from_stat(std::string_view stat) {
  // The command may hold blanks and parentheses itself, so the fields are counted from its end.
  const std::size_t open = stat.find('(');
  const std::size_t close = stat.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open || open == 0) return {};
  ProcessFacts facts;
  facts.command = std::string(stat.substr(open + 1, close - open - 1));
  if (!parse(stat.substr(0, open - 1), facts.pid)) return {};
  std::string_view rest = stat.substr(close + 1);
  constexpr int kState = 3;
  constexpr int kParent = 4;
  constexpr int kGroup = 5;
  constexpr int kSession = 6;
  constexpr int kUserTime = 14;
  constexpr int kSystemTime = 15;
  constexpr int kStartTime = 22;
  for (int number = kState; number <= kStartTime; ++number) {
    if (!rest.starts_with(' ')) return {};
    rest.remove_prefix(1);
    const std::string_view field = rest.substr(0, rest.find_first_of(" \n"));
    rest.remove_prefix(field.size());
    if (number == kState) {
      if (field.size() != 1) return {};
      facts.state = field.front();
      facts.ended = facts.state == 'Z' || facts.state == 'X';
    }
    std::uint64_t ticks = 0;
    if ((number == kUserTime || number == kSystemTime) && !parse(field, ticks)) return {};
    facts.cpu_ticks += ticks;
    if (number == kParent && !parse(field, facts.parent)) return {};
    if (number == kGroup && !parse(field, facts.group)) return {};
    if (number == kSession && !parse(field, facts.session)) return {};
    if (number == kStartTime && !parse(field, facts.start_ticks)) return {};
  }
  return facts;
}

std::optional<ProcessFacts> look_at(pid_t pid) {
  if (pid <= 0) return {};
  const auto text = read_proc("/proc/" + std::to_string(pid) + "/stat");
  return text ? facts_from_stat(*text) : std::nullopt;
}

bool catches(std::string_view status, int signal) {
  constexpr std::string_view kKey = "\nSigCgt:\t";
  const std::size_t key = status.find(kKey);
  if (key == std::string_view::npos || signal < 1 || signal > 64) return false;
  const std::string_view rest = status.substr(key + kKey.size());
  const std::string_view digits = rest.substr(0, rest.find('\n'));
  std::uint64_t caught = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), caught, 16);
  if (error != std::errc{} || end != digits.data() + digits.size()) return false;
  return (caught >> (signal - 1) & 1U) != 0;
}

bool catches(pid_t pid, int signal) {
  const auto status = read_proc("/proc/" + std::to_string(pid) + "/status", std::size_t{16} << 10);
  return status && catches(*status, signal);
}

std::optional<std::string> read_proc(const std::string& path, std::size_t bytes_max) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return std::nullopt;
  std::string text(bytes_max, '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const auto count = ::read(file.get(), text.data() + filled, text.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::nullopt;
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  text.resize(filled);
  return text;
}

std::vector<pid_t> numbers_in(const std::string& directory, std::size_t number_max) {
  std::vector<pid_t> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (!stream) return out;
  while (out.size() < number_max) {
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    pid_t number = 0;
    if (parse(std::string_view(entry->d_name), number) && number > 0) out.push_back(number);
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace ts::shell
