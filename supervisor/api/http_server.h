// The control API: HTTP/1.1 and JSON on a unix socket, and on loopback TCP where that is wanted, with Boost.Beast.
// docs/PROTOCOL.md lists the requests.
//
// Every connection has limits (header, body, time, number), so that a slow or hostile client harms nobody; streams have
// a lower number of their own, so that they leave room for commands, and so have clients over TCP, where everybody on
// the machine may connect. Who may connect to the unix socket is decided by its mode: on Linux, connecting needs write
// permission on it. Over TCP gate.h decides.
//
// Ownership: owns the listening sockets and the unix socket's file. Threading: the io_context's thread.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "common/base/result.h"
#include "supervisor/api/backend.h"

namespace ts::api {

struct Door;  // one of the listening sockets, and who came in by it

class HttpServer {
 public:
  // `backend` must outlive the server and the io_context's run.
  static Result<std::unique_ptr<HttpServer>> listen(boost::asio::io_context& io, const std::filesystem::path& path,
                                                    Backend& backend);
  ~HttpServer();

  // Also on "127.0.0.1:9100". Whoever presents `token` may do there what the socket's clients may; with an empty one
  // nobody. After an error nothing has changed.
  Result<> listen_on_tcp(const std::string& address, std::string token);

  // Takes no more connections and ends the streams with what there is to send by now; `done` is called when none is
  // left, maybe at once.
  void finish(std::function<void()> done);

 private:
  HttpServer(boost::asio::io_context& io, std::filesystem::path path, Backend& backend);
  void open(std::shared_ptr<Door> door);

  boost::asio::io_context& io_;
  std::filesystem::path path_;
  Backend& backend_;
  std::vector<std::shared_ptr<Door>> doors_;
};

}  // namespace ts::api
