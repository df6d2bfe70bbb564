// The event journal as its readers find it: events.jsonl, and the older events.jsonl.1, .2, … in the state directory.
// supervisorctl reads it without a supervisor, the supervisor what is no longer in memory.
//
// What is no event is passed over: half a line, other people's lines, a file of another kind. Threading: blocking
// reads; beside a writer, what is being renamed just then may be missed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "common/checkpoint/directory.h"
#include "supervisor/api/event.h"

namespace ts::api {

inline constexpr std::uint64_t kJournalFileBytesMax = std::uint64_t{2} << 20;  // then the next file is begun
inline constexpr int kJournalFilesMax = 8;                                     // the current one included

// 0: the current one.
std::string journal_file_name(int number);

EventPage read_events(const checkpoint::Directory& directory, const EventQuery& query);

}  // namespace ts::api
