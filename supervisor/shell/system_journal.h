// The journal of the machine: what the supervisor says, with its priority and in fields that can be searched for
// (`journalctl TRAINER_EVENT=incident`), when our output goes there anyway.
//
// Written in the journal's native protocol rather than by sd_journal_sendv(3), which waits for a journal that does not
// read: the loop must not. What is not taken at once is for the caller to say on its output.
//
// Sources: https://systemd.io/JOURNAL_NATIVE_PROTOCOL, systemd.exec(5) (JOURNAL_STREAM), systemd.journal-fields(7),
// sd-daemon(3) (priority prefixes). Threading: one thread. Errors: false.
#pragma once

#include <sys/un.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/unique_fd.h"
#include "supervisor/api/event.h"

namespace ts::shell {

inline constexpr std::string_view kSystemJournalSocket = "/run/systemd/journal/socket";

// One entry: MESSAGE, PRIORITY (of syslog(3)), SYSLOG_IDENTIFIER, and TRAINER_EVENT (its type), _EVENT_ID, _RUN_ID,
// _ATTEMPT, _EPISODE and, of an incident, _CAUSE. Pure.
std::string to_journal_entry(const api::Event& event);

// What is put before a line on `descriptor` so that the journal knows its priority: "<3>"; nothing when the descriptor
// does not lead to the journal, whose device and inode are `stream` (JOURNAL_STREAM, or null).
std::string priority_prefix(api::EventLevel level, int descriptor, const char* stream);

class SystemJournal {
 public:
  // Open when `descriptor`, our output, leads to the journal of `stream`.
  SystemJournal(int descriptor, const char* stream, const std::filesystem::path& socket = kSystemJournalSocket);

  // Whether the journal has it.
  bool write(const api::Event& event);

 private:
  UniqueFd fd_;
  sockaddr_un address_{};
};

}  // namespace ts::shell
