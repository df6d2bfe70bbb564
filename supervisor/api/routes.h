// Requests to replies: the control API without its transport.
#pragma once

#include <string>

#include <boost/asio/awaitable.hpp>

#include "supervisor/api/backend.h"

namespace ts::api {

struct Request {
  std::string method;
  std::string target;
  std::string body;
};

struct Reply {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
};

// RFC 9457 (application/problem+json): {"type", "title", "status", "detail"}.
Reply problem(unsigned status, const std::string& detail);

boost::asio::awaitable<Reply> answer(const Request& request, const Peer& peer, Backend& backend);

}  // namespace ts::api
