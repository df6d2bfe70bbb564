// What goes on being written, as one client reads it by server-sent events: the events, for one.
//
// Nothing is kept for a client but its place: it is given what follows that place whenever it has taken what it was
// given before. So a slow one costs one piece of memory, and one that comes back goes on from its place.
//
// Ownership: a Stream may outlive the server, but then nothing but its destructor is called. Threading: the
// io_context's thread.
#pragma once

#include <string>

#include <boost/asio/awaitable.hpp>

#include "common/base/result.h"
#include "supervisor/api/changes.h"

namespace ts::api {

class Stream {
 public:
  virtual ~Stream() = default;

  // The frames that follow (server_sent.h), a bounded piece of them; empty: there is nothing more by now. An error ends
  // the stream with its sentence.
  virtual boost::asio::awaitable<Result<std::string>> more() = 0;

  // Tell when there may be more.
  virtual Changes& changes() = 0;

  // Its reader did not take what it was sent, and has been cut off.
  virtual void was_too_slow() = 0;
};

}  // namespace ts::api
