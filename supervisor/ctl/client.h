// supervisorctl's end of the control API: one request, one reply, over the unix socket.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "common/base/result.h"

namespace ts::ctl {

struct HttpReply {
  unsigned status = 0;
  std::string body;
};

class Client {
 public:
  explicit Client(std::filesystem::path socket) : socket_(std::move(socket)) {}

  // Errors: `unavailable` when there is no daemon (or no permission to ask it), with a sentence that says where it was
  // looked for; `internal` when the daemon answered with something else than HTTP.
  Result<HttpReply> request(const std::string& method, const std::string& target, const std::string& body = {}) const;

 private:
  std::filesystem::path socket_;
};

}  // namespace ts::ctl
