// Writes the event journal (docs/FORMATS.md, "Events"), on a thread of its own: a disk that is full or hangs costs
// events in the file, and never the loop's time.
//
// Lines are appended in order and not synced: what must outlive a power cut has files of its own (state, incidents). A
// file that has grown to its bound is renamed to .1, and the oldest is dropped. A line that came out incomplete, at a
// power cut or on a full disk, is ended before the next one. Of the lines that wait, a bounded number is kept, and the
// oldest are dropped; what was dropped or could not be written is counted and told when writing works again.
//
// Threading: called from one thread; `on_news` is called on the writer's. Nothing blocks but the constructor, which
// reads what is there, and the destructor, which gives the writer two seconds for what it has; one that hangs in the
// kernel is left behind. Nothing throws but for memory. Ownership: the directory's FileSystem
// outlives this, and a writer that is left behind too.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/checkpoint/directory.h"
#include "supervisor/api/event.h"
#include "supervisor/api/event_file.h"

namespace ts::shell {

struct JournalLimits {
  std::uint64_t file_bytes = api::kJournalFileBytesMax;
  std::size_t waiting = 1000;  // lines
  std::size_t questions = 16;  // reads
  std::chrono::milliseconds between_news{10'000};
};

struct JournalNews {
  std::uint64_t lost = 0;  // lines that are not in the file; 0: it has just begun
  std::string why;         // a sentence; empty: they waited too long
};

class EventJournal {
 public:
  using OnNews = std::function<void(JournalNews)>;
  using OnPage = std::function<void(api::EventPage)>;

  EventJournal(checkpoint::Directory directory, OnNews on_news, std::size_t remembered, JournalLimits limits = {});
  ~EventJournal();
  EventJournal(const EventJournal&) = delete;
  EventJournal& operator=(const EventJournal&) = delete;

  // What was there before us, the newest `remembered`.
  const api::EventPage& found() const { return found_; }

  // Greater than any that was told before. After a supervisor that did not leave in order some are passed over: it may
  // have told events that never reached the file.
  std::int64_t first_id() const { return first_id_; }

  void append(std::shared_ptr<const api::EventLine> line);

  // `on_page` is called on the writer's thread. False: too many have asked and wait.
  bool ask(const api::EventQuery& query, OnPage on_page);

 private:
  class Writer;

  api::EventPage found_;
  std::int64_t first_id_ = 1;
  std::shared_ptr<Writer> writer_;  // shared with its thread
};

}  // namespace ts::shell
