// Sends a Stream to one client as HTTP/1.1 chunks, until the client goes, cannot keep up, or the server leaves.
// Internal to supervisor/api.
//
// A comment every 15 s shows both ends that the other is there. A client that does not take what it was sent within 10
// s is cut off. A client that goes, or sends anything, ends it.
//
// Threading: the io_context's thread.
#pragma once

#include <memory>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>

#include "supervisor/api/changes.h"
#include "supervisor/api/stream.h"

namespace ts::api {

using ClientStream = boost::beast::basic_stream<boost::asio::generic::stream_protocol>;

// When the server leaves, what there is by then is still sent.
struct Leaving {
  bool asked = false;
  Changes changes;
};

boost::asio::awaitable<void> send_stream(ClientStream& out, Stream& source, std::shared_ptr<Leaving> leaving);

}  // namespace ts::api
