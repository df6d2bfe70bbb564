// The control API: HTTP/1.1 and JSON on a unix socket, with Boost.Beast. docs/PROTOCOL.md lists the requests.
//
// Every connection has limits (header, body, time, number), so that a slow or hostile client harms nobody; streams have
// a lower number of their own, so that they leave room for commands. Who may
// connect is decided by the socket's mode: on Linux, connecting needs write permission on it.
//
// Ownership: owns the listening socket and its file. Threading: the io_context's thread.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "common/base/result.h"
#include "supervisor/api/backend.h"

namespace ts::api {

struct Crowd;  // who is connected

class HttpServer {
 public:
  // `backend` must outlive the server and the io_context's run.
  static Result<std::unique_ptr<HttpServer>> listen(boost::asio::io_context& io, const std::filesystem::path& path,
                                                    Backend& backend);
  ~HttpServer();

  // Takes no more connections and ends the streams with what there is to send by now; `done` is called when none is
  // left, maybe at once.
  void finish(std::function<void()> done);

 private:
  HttpServer(boost::asio::io_context& io, boost::asio::local::stream_protocol::acceptor acceptor,
             std::filesystem::path path, Backend& backend);
  boost::asio::awaitable<void> accept_loop();

  boost::asio::local::stream_protocol::acceptor acceptor_;
  std::filesystem::path path_;
  Backend& backend_;
  std::shared_ptr<Crowd> crowd_;
};

}  // namespace ts::api
