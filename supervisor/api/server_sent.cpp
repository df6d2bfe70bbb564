#include "supervisor/api/server_sent.h"

#include <utility>

namespace ts::api {
namespace {

constexpr std::size_t kBytesMax = std::size_t{1} << 20;

}  // namespace

std::string frame(const ServerSent& sent) {
  std::string out = "id: " + sent.id + "\n";
  if (!sent.event.empty()) out += "event: " + sent.event + "\n";
  std::string_view rest = sent.data;
  while (true) {
    const std::size_t end = rest.find_first_of("\r\n");
    out += "data: " + std::string(rest.substr(0, end)) + "\n";
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + (rest.substr(end).starts_with("\r\n") ? 2 : 1));
  }
  return out + "\n";
}

std::string comment_frame(std::string_view text) {
  return ": " + std::string(text) + "\n\n";
}

bool ServerSentReader::feed(std::string_view bytes) {
  for (const char letter : bytes) {
    if (broken_) return false;
    if (letter == '\n' && after_cr_) {
      after_cr_ = false;
      continue;
    }
    after_cr_ = letter == '\r';
    if (letter == '\n' || letter == '\r') {
      line(std::exchange(line_, {}));
    } else {
      line_ += letter;
    }
    broken_ = line_.size() > kBytesMax || data_.size() > kBytesMax;
  }
  return !broken_;
}

void ServerSentReader::line(std::string_view line) {
  if (!std::exchange(begun_, true) && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  if (line.empty()) {
    if (has_data_) on_event_({last_id_, event_, data_});
    event_.clear();
    data_.clear();
    has_data_ = false;
    return;
  }
  const std::size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") {
    event_ = value;
  } else if (field == "data") {
    if (std::exchange(has_data_, true)) data_ += '\n';
    data_ += value;
  } else if (field == "id" && value.find('\0') == std::string_view::npos) {
    last_id_ = value;
  }
}

}  // namespace ts::api
