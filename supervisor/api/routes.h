// Requests to replies: the control API without its transport.
#pragma once

#include <memory>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "supervisor/api/backend.h"
#include "supervisor/api/gate.h"
#include "supervisor/api/stream.h"

namespace ts::api {

struct Request {
  std::string method;
  std::string target;
  std::string body;
  std::string last_event_id{};  // the header of that name: where a stream that was cut off goes on
};

struct Reply {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::unique_ptr<Stream> stream{};  // instead of a body: what goes on being sent
};

// RFC 9457 (application/problem+json): {"type", "title", "status", "detail"}.
Reply problem(unsigned status, const std::string& detail);

boost::asio::awaitable<Reply> answer(const Request& request, const Peer& peer, Backend& backend,
                                     Access access = Access::everything);

}  // namespace ts::api
