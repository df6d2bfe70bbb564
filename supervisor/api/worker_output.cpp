#include "supervisor/api/worker_output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <iterator>
#include <utility>

#include <boost/json/object.hpp>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/base/unique_fd.h"

namespace ts::api {
namespace {

namespace json = boost::json;

constexpr std::int64_t kFilesMax = 1000;  // more than any configuration keeps
constexpr std::size_t kReadBytes = std::size_t{32} * 1024;

// One of the files, open: it stays the same whatever it is called.
struct File {
  UniqueFd fd;
  OutputPlace begin;
  std::uint64_t size = 0;

  bool is_that_of(const OutputPlace& place) const {
    return begin.inode == place.inode && begin.born_ns == place.born_ns;
  }
  OutputPlace at(std::uint64_t offset) const { return {begin.inode, begin.born_ns, offset}; }
};

Error unreadable(const std::filesystem::path& path, int error) {
  return make_error(ErrorKind::unavailable,
                    "could not read " + escape_control(path.string()) + ": " + std::strerror(error) + ".");
}

// Nothing where there is none. By the rules by which it is written: no link is followed, and it is a regular file.
Result<std::optional<File>> open_file(const std::filesystem::path& path) {
  File file{UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)), {}, 0};
  if (!file.fd) {
    if (errno == ENOENT || errno == ENOTDIR) return std::optional<File>();
    return unreadable(path, errno);
  }
  struct statx status {};
  if (::statx(file.fd.get(), "", AT_EMPTY_PATH, STATX_TYPE | STATX_INO | STATX_SIZE | STATX_BTIME, &status) != 0) {
    return unreadable(path, errno);
  }
  if (!S_ISREG(status.stx_mode)) {
    return make_error(ErrorKind::unavailable, escape_control(path.string()) + " is no regular file.");
  }
  file.begin.inode = status.stx_ino;
  if ((status.stx_mask & STATX_BTIME) != 0) {
    file.begin.born_ns =
        static_cast<std::uint64_t>(status.stx_btime.tv_sec) * 1'000'000'000U + status.stx_btime.tv_nsec;
  }
  file.size = status.stx_size;
  return std::optional(std::move(file));
}

// The supervisor gives old output of a living worker back to the disk, and leaves a hole there.
std::uint64_t behind_what_is_gone(const File& file, std::uint64_t offset) {
  const off_t data = ::lseek(file.fd.get(), static_cast<off_t>(offset), SEEK_DATA);
  return data < 0 ? offset : static_cast<std::uint64_t>(data);
}

Result<std::string> read_at(const File& file, std::uint64_t offset, std::size_t bytes) {
  std::string out(bytes, '\0');
  std::size_t have = 0;
  while (have < bytes) {
    const ssize_t count = ::pread(file.fd.get(), out.data() + have, bytes - have, static_cast<off_t>(offset + have));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return make_error(ErrorKind::unavailable,
                        std::string("could not read the worker's log: ") + std::strerror(errno) + ".");
    }
    if (count == 0) break;
    have += static_cast<std::size_t>(count);
  }
  out.resize(have);
  return out;
}

// Without a character of UTF-8 whose end has not come yet.
std::size_t whole_characters(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0U) == 0x80U) continue;
    const std::size_t length = byte >= 0xF0U ? 4 : byte >= 0xE0U ? 3 : byte >= 0xC0U ? 2 : 1;
    return length > back ? text.size() - back : text.size();
  }
  return text.size();
}

// What `text` holds, which begins at `offset`. The rest, whose meaning is decided by what comes, is left.
std::vector<OutputLine> lines_of(const File& file, std::uint64_t offset, std::string_view text) {
  std::vector<OutputLine> out;
  const auto take = [&](std::size_t length, std::size_t ending) {
    out.push_back({escape_line(text.substr(0, length)), ending > 0, {}});
    text.remove_prefix(length + ending);
    offset += length + ending;
    out.back().after = file.at(offset);
  };
  while (!text.empty()) {
    const std::size_t end = text.find_first_of("\r\n");
    if (std::min(end, text.size()) > kOutputPieceBytesMax) {
      take(whole_characters(text.substr(0, kOutputPieceBytesMax)), 0);
    } else if (end == std::string_view::npos) {
      const std::size_t length = whole_characters(text);
      if (length > 0) take(length, 0);
      return out;
    } else if (text[end] == '\r' && end + 1 == text.size()) {
      if (end > 0) take(end, 0);
      return out;  // a newline may be coming, which belongs to it
    } else {
      take(end, text.substr(end).starts_with("\r\n") ? 2 : 1);
    }
  }
  return out;
}

// The file that `since` lies in, or where reading goes on when that is gone: the oldest that was begun later.
struct Found {
  std::int64_t number = -1;
  std::optional<File> file;
  bool is_the_one = false;
};

Result<Found> find(const std::filesystem::path& file, const OutputPlace& since) {
  Found found;
  for (std::int64_t number = 0; number < kFilesMax; ++number) {
    auto opened = open_file(output_file(file, number));
    if (!opened) return opened.error();
    if (!*opened && number > 0) break;
    if (!*opened) continue;
    const bool is_the_one = (*opened)->is_that_of(since);
    if (is_the_one || (*opened)->begin.born_ns > since.born_ns || number == 0) {
      found = {number, std::move(*opened), is_the_one};
    }
    if (is_the_one) break;
  }
  return found;
}

// What its file ended in the middle of ends there. `rest`: what was left of it, from `offset` on.
Result<OutputPage> end_of_file(const File& file, std::uint64_t offset, std::string rest, const File& next) {
  OutputPage page{{}, next.at(0), false};
  bool in_a_line = !rest.empty();
  if (!in_a_line && offset > 0) {
    const auto last = read_at(file, offset - 1, 1);
    if (!last) return last.error();
    in_a_line = *last != "\n" && *last != "\r";
  }
  if (rest.ends_with('\r')) rest.pop_back();
  if (in_a_line) page.lines.push_back({escape_line(rest), true, next.at(0)});
  return page;
}

}  // namespace

std::filesystem::path output_file(const std::filesystem::path& file, std::int64_t number) {
  return number == 0 ? file : std::filesystem::path(file.string() + "." + std::to_string(number));
}

std::string to_text(const OutputPlace& place) {
  return std::to_string(place.inode) + "." + std::to_string(place.born_ns) + "." + std::to_string(place.offset);
}

std::optional<OutputPlace> parse_output_place(std::string_view text) {
  std::array<std::uint64_t, 3> numbers{};
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (i > 0 && (at == end || *at++ != '.')) return std::nullopt;
    const auto [after, error] = std::from_chars(at, end, numbers[i]);
    if (error != std::errc()) return std::nullopt;
    at = after;
  }
  if (at != end) return std::nullopt;
  return OutputPlace{numbers[0], numbers[1], numbers[2]};
}

Result<OutputPage> newest_output(const std::filesystem::path& file, std::size_t limit) {
  OutputPage page;
  std::size_t budget = kOutputBytesMax;
  bool placed = false;
  for (std::int64_t number = 0; number < kFilesMax; ++number) {
    auto opened = open_file(output_file(file, number));
    if (!opened) return opened.error();
    if (!*opened && number > 0) break;
    if (!*opened) continue;
    const File& current = **opened;
    // Backwards, until there is more than enough: the first of them may be only the end of a line.
    std::vector<OutputLine> lines;
    std::uint64_t begin = current.size;
    while (begin > 0 && budget > 0 && lines.size() + page.lines.size() <= limit) {
      const std::uint64_t piece = std::min({begin, std::uint64_t{kReadBytes}, std::uint64_t{budget}});
      begin -= piece;
      budget -= piece;
      const std::uint64_t there = std::min(behind_what_is_gone(current, begin), begin + piece);
      const auto text = read_at(current, there, current.size - there);
      if (!text) return text.error();
      lines = lines_of(current, there, *text);
      if (there > begin) break;
    }
    if (!placed) page.place = lines.empty() ? current.at(begin) : lines.back().after;
    placed = true;
    if (begin > 0 && !lines.empty()) lines.erase(lines.begin());
    page.lines.insert(page.lines.begin(), std::make_move_iterator(lines.begin()), std::make_move_iterator(lines.end()));
    page.more = begin > 0;
    if (page.lines.size() > limit || begin > 0) break;
  }
  if (page.lines.size() > limit) {
    page.more = true;
    page.lines.erase(page.lines.begin(), page.lines.end() - static_cast<std::ptrdiff_t>(limit));
  }
  return page;
}

Result<OutputPage> output_after(const std::filesystem::path& file, const OutputPlace& since) {
  const auto found = find(file, since);
  if (!found) return found.error();
  if (!found->file) return OutputPage{{}, since, false};
  const File& current = *found->file;
  // One that has become shorter was begun anew.
  const std::uint64_t begin = found->is_the_one && since.offset <= current.size ? since.offset : 0;
  const std::uint64_t offset = behind_what_is_gone(current, begin);
  const auto text = read_at(current, offset, kReadBytes);
  if (!text) return text.error();
  OutputPage page{lines_of(current, offset, *text), current.at(offset), false};
  if (!page.lines.empty()) page.place = page.lines.back().after;
  if (!page.lines.empty() || found->number == 0) return page;
  const auto next = open_file(output_file(file, found->number - 1));
  if (!next) return next.error();
  // Renamed meanwhile, the one before it may not be the next; then it is looked for again later.
  const auto still = open_file(output_file(file, found->number));
  if (!still) return still.error();
  if (!*next || !*still || !(*still)->is_that_of(current.begin)) return page;
  return end_of_file(current, offset, *text, **next);
}

std::string to_json(const OutputLine& line) {
  return compact_json(json::object{{"text", line.text}, {"end", line.ended}});
}

std::string to_json(const OutputPage& page, const std::filesystem::path& file) {
  std::string out = "{\"format\":" + std::to_string(kOutputFormat) +
                    ",\"file\":" + compact_json(json::value(escape_control(file.string()))) + ",\"place\":\"" +
                    to_text(page.place) + "\",\"more\":" + (page.more ? "true" : "false") + ",\"lines\":[";
  for (const OutputLine& line : page.lines) out += (&line == &page.lines.front() ? "" : ",") + to_json(line);
  return out + "]}\n";
}

}  // namespace ts::api
