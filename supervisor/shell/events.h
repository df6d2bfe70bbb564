// The one way to say something: an event that is told here is in the log, in the journal, in memory for quick answers,
// with everybody who follows the stream, and with the hook.
//
// Ownership: owns the journal and the hooks; the io_context, the children and the log outlive it. Threading: the
// io_context's thread. Nothing here waits for a disk once it is made.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/json/object.hpp>

#include "common/checkpoint/directory.h"
#include "supervisor/api/changes.h"
#include "supervisor/api/event.h"
#include "supervisor/api/event_ring.h"
#include "supervisor/shell/children.h"
#include "supervisor/shell/event_journal.h"
#include "supervisor/shell/hooks.h"
#include "supervisor/shell/log.h"
#include "supervisor/shell/net.h"

namespace ts::shell {

// Where the run stands, which is a part of every event.
struct EventContext {
  std::string run_id;
  std::int64_t attempt = 0;
  std::int64_t episode = 0;
};

class Events {
 public:
  // The journal lies in `directory`; what is in it is read here.
  Events(asio::io_context& io, Children& children, checkpoint::Directory directory, std::vector<std::string> hook,
         Log& log, std::function<EventContext()> context);
  ~Events();
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  void tell(api::EventType type, api::EventLevel level, std::string message, boost::json::object details = {});

  // From memory, or from the journal; an error when the disk does not answer.
  asio::awaitable<Result<api::EventPage>> answer(api::EventQuery query);
  api::Changes& changes() { return changes_; }

  void replace_hook(std::vector<std::string> command) { hooks_.replace(std::move(command)); }
  // `done` is called when the hook has been given everything and has ended, maybe at once.
  void finish(std::function<void()> done) { hooks_.finish(std::move(done)); }

 private:
  void tell_of_journal(const JournalNews& news);

  asio::io_context& io_;
  Log& log_;
  std::function<EventContext()> context_;
  api::EventRing ring_;
  api::Changes changes_;
  EventJournal journal_;
  std::int64_t next_id_;
  Hooks hooks_;
};

}  // namespace ts::shell
