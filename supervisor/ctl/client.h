// supervisorctl's end of the control API over the unix socket: one request, and one reply or a stream of events.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>

#include "common/base/result.h"
#include "supervisor/api/server_sent.h"

namespace ts::ctl {

struct HttpReply {
  unsigned status = 0;
  std::string body;
  std::string version{};  // of the supervisor; empty: it does not say
};

class Client {
 public:
  // `origin`: how the socket was chosen, for the sentence that nobody answers there.
  explicit Client(std::filesystem::path socket, std::string origin = {})
      : socket_(std::move(socket)), origin_(std::move(origin)) {}

  // Errors: `unavailable` when there is no daemon (or no permission to ask it), with a sentence that says where it was
  // looked for; `internal` when the daemon answered with something else than HTTP.
  Result<HttpReply> request(const std::string& method, const std::string& target, const std::string& body = {}) const;

  // Follows a stream after `place` until it ends: status 200 when the supervisor ended it, else the refusal. Errors:
  // also `unavailable` when it broke off, or nothing was heard for longer than a living supervisor is silent.
  Result<HttpReply> follow(const std::string& target, const std::string& place, const std::function<void()>& on_open,
                           const std::function<void(const api::ServerSent&)>& on_event) const;

 private:
  std::filesystem::path socket_;
  std::string origin_;
};

}  // namespace ts::ctl
