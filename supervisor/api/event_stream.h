// The events as one client follows them: each once, in order, without a gap, from the place that it names.
//
// Threading: the io_context's thread. Ownership: refers to the backend.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "supervisor/api/backend.h"
#include "supervisor/api/stream.h"

namespace ts::api {

class EventStream final : public Stream {
 public:
  // Begins with the first event after `since`.
  EventStream(Backend& backend, const Peer& peer, std::int64_t since) : backend_(backend), peer_(peer), since_(since) {}

  boost::asio::awaitable<Result<std::string>> more() override;
  Changes& changes() override { return backend_.event_changes(); }
  void was_too_slow() override { backend_.cut_off(peer_, "events", std::to_string(since_)); }

 private:
  Backend& backend_;
  Peer peer_;
  std::int64_t since_;
};

}  // namespace ts::api
