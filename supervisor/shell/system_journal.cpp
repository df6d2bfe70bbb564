#include "supervisor/shell/system_journal.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>

#include <cstdint>
#include <cstring>

namespace ts::shell {
namespace {

int priority_of(api::EventLevel level) {
  switch (level) {
    case api::EventLevel::debug: return LOG_DEBUG;
    case api::EventLevel::info: return LOG_INFO;
    case api::EventLevel::warn: return LOG_WARNING;
    case api::EventLevel::error: return LOG_ERR;
  }
  return LOG_ERR;
}

bool leads_to_journal(int descriptor, const char* stream) {
  struct stat found {};
  if (stream == nullptr || ::fstat(descriptor, &found) != 0) return false;
  return std::to_string(found.st_dev) + ":" + std::to_string(found.st_ino) == stream;
}

// A value with a line break in it says how long it is: 64 bits, the lowest byte first.
void put(std::string& entry, std::string_view name, std::string_view value) {
  entry += name;
  if (value.find('\n') == std::string_view::npos) {
    entry += '=';
  } else {
    entry += '\n';
    for (int shift = 0; shift < 64; shift += 8)
      entry += static_cast<char>(static_cast<std::uint64_t>(value.size()) >> shift & 0xFF);
  }
  entry.append(value).append("\n");
}

}  // namespace

std::string to_journal_entry(const api::Event& event) {
  std::string entry;
  put(entry, "MESSAGE", event.message);
  put(entry, "PRIORITY", std::to_string(priority_of(event.level)));
  put(entry, "SYSLOG_IDENTIFIER", "trainer-supervisor");
  put(entry, "TRAINER_EVENT", api::to_string(event.type));
  put(entry, "TRAINER_EVENT_ID", std::to_string(event.id));
  put(entry, "TRAINER_RUN_ID", event.run_id);
  put(entry, "TRAINER_ATTEMPT", std::to_string(event.attempt));
  put(entry, "TRAINER_EPISODE", std::to_string(event.episode));
  const auto* cause = event.details.if_contains("cause");
  if (cause != nullptr && cause->is_string()) put(entry, "TRAINER_CAUSE", std::string_view(cause->get_string()));
  return entry;
}

std::string priority_prefix(api::EventLevel level, int descriptor, const char* stream) {
  return leads_to_journal(descriptor, stream) ? "<" + std::to_string(priority_of(level)) + ">" : "";
}

SystemJournal::SystemJournal(int descriptor, const char* stream, const std::filesystem::path& socket) {
  const std::string& path = socket.native();
  if (!leads_to_journal(descriptor, stream) || path.size() >= sizeof address_.sun_path) return;
  address_.sun_family = AF_UNIX;
  std::memcpy(address_.sun_path, path.data(), path.size());
  fd_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// Not connected: a journal that was restarted listens on the same path with another socket.
bool SystemJournal::write(const api::Event& event) {
  if (!fd_) return false;
  const std::string entry = to_journal_entry(event);
  const auto* address = reinterpret_cast<const sockaddr*>(&address_);
  const auto sent = ::sendto(fd_.get(), entry.data(), entry.size(), MSG_NOSIGNAL, address, sizeof address_);
  return sent == static_cast<ssize_t>(entry.size());
}

}  // namespace ts::shell
