// What the control API can ask of the supervisor. The shell implements it; the API knows nothing of the shell.
//
// Threading: called on the io_context's thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include "common/base/result.h"
#include "common/config/settings.h"
#include "supervisor/api/changes.h"
#include "supervisor/api/event.h"
#include "supervisor/api/metrics.h"
#include "supervisor/api/peer.h"
#include "supervisor/api/worker_output.h"

namespace ts::api {

// What came of reading the configuration file again.
struct Reloaded {
  std::string message;
  std::vector<config::Change> changes;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual boost::json::object status() = 0;
  virtual Measures measures() = 0;
  // What it runs with: settings_document() of supervisor/api/settings.h.
  virtual boost::json::object settings() = 0;

  // Each returns a sentence on what is being done now, or a refusal that changed nothing.
  virtual Result<std::string> start(const Peer& peer) = 0;
  virtual Result<std::string> stop(const Peer& peer) = 0;
  virtual Result<std::string> checkpoint(const Peer& peer) = 0;  // save now
  // Both are answered when a kill can no longer undo them, and `restart` verifies its target before anything is
  // disturbed, which takes the disk: hence coroutines.
  virtual boost::asio::awaitable<Result<std::string>> fresh(const Peer& peer) = 0;
  virtual boost::asio::awaitable<Result<std::string>> restart(const Peer& peer, std::optional<std::string> from) = 0;
  // Reads a file: hence a coroutine. A file that is wrong is an error of the kind `configuration`, and nothing changes.
  virtual boost::asio::awaitable<Result<Reloaded>> reload(const Peer& peer) = 0;

  // The documents of supervisor/api/incidents.h; kind not_found: no such incident.
  virtual boost::asio::awaitable<Result<boost::json::object>> incidents(std::size_t limit) = 0;
  virtual boost::asio::awaitable<Result<boost::json::object>> incident(std::string selector) = 0;

  // May take disk reads. Errors: `unavailable` when those do not end.
  virtual boost::asio::awaitable<Result<EventPage>> events(EventQuery query) = 0;
  virtual Changes& event_changes() = 0;

  // What the worker printed: the newest lines, or those after a place. Takes disk reads, as above.
  virtual boost::asio::awaitable<Result<OutputPage>> newest_output(std::size_t limit) = 0;
  virtual boost::asio::awaitable<Result<OutputPage>> output_after(OutputPlace since) = 0;
  virtual std::filesystem::path output_file() const = 0;

  // Somebody asked for `what` and may not; the audit.
  virtual void turned_away(const Peer& peer, const std::string& what) = 0;

  // A reader of the stream `what` was too slow, and can go on after `place`.
  virtual void cut_off(const Peer& peer, const std::string& what, const std::string& place) = 0;
};

}  // namespace ts::api
