#include "supervisor/api/http_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "common/base/text.h"
#include "supervisor/api/gate.h"
#include "supervisor/api/listening.h"
#include "supervisor/api/routes.h"
#include "supervisor/api/stream_sender.h"
#include "supervisor/api/version.h"

namespace ts::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>;

constexpr std::uint32_t kHeaderBytesMax = 8 * 1024;
constexpr std::uint64_t kBodyBytesMax = 64 * 1024;
constexpr std::chrono::seconds kRequestTimeout{10};
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr auto use_tuple = asio::as_tuple(asio::use_awaitable);

struct Limits {
  std::size_t connections;
  std::size_t streams;  // of them
};
constexpr Limits kUnixLimits{64, 16};
constexpr Limits kTcpLimits{32, 8};

Peer peer_of(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return {};
  return {credentials.pid, credentials.uid};
}

Peer peer_at(const ClientStream& stream) {
  boost::system::error_code error;
  const auto remote = stream.socket().remote_endpoint(error);
  asio::ip::tcp::endpoint endpoint;
  if (error || remote.size() > endpoint.capacity()) return {0, 0, "a client that has gone"};
  std::memcpy(endpoint.data(), remote.data(), remote.size());
  endpoint.resize(remote.size());
  const std::string host = endpoint.address().to_string();
  return {0, 0, (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(endpoint.port())};
}

}  // namespace

// The io_context may destroy a connection after the server is gone, so this belongs to both.
struct Door {
  Door(Acceptor listening, Limits limited, bool is_local)
      : acceptor(std::move(listening)), limits(limited), local(is_local) {}

  Acceptor acceptor;
  Limits limits;
  bool local;           // a unix socket: whoever could connect may do everything
  std::string token{};  // of those who may do everything over TCP
  std::size_t connections = 0;
  std::size_t streams = 0;
  std::shared_ptr<Leaving> leaving = std::make_shared<Leaving>();
  std::function<void()> streams_gone{};  // wanted by the server, while there is one
};

namespace {

// Counts a connection, or a stream, for as long as its coroutine lives, however it ends.
class Counted {
 public:
  Counted(std::shared_ptr<Door> door, std::size_t Door::*count) : door_(std::move(door)), count_(count) {
    ++(*door_.*count_);
  }
  Counted(Counted&&) noexcept = default;
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  Counted& operator=(Counted&&) = delete;
  ~Counted() {
    if (!door_) return;
    --(*door_.*count_);
    if (door_->streams == 0 && door_->streams_gone) std::exchange(door_->streams_gone, nullptr)();
  }

 private:
  std::shared_ptr<Door> door_;
  std::size_t Door::*count_;
};

asio::awaitable<bool> send_reply(ClientStream& out, Reply reply, bool keep_alive) {
  http::response<http::string_body> response(static_cast<http::status>(reply.status), 11);
  response.set(http::field::server, kServer);
  response.set(http::field::content_type, reply.content_type);
  response.set(http::field::cache_control, "no-store");
  if (reply.status == 401) response.set(http::field::www_authenticate, "Bearer");
  response.body() = std::move(reply.body);
  response.keep_alive(keep_alive);
  response.prepare_payload();
  out.expires_after(kRequestTimeout);
  const auto [error, written] = co_await http::async_write(out, response, use_tuple);
  co_return !error;
}

Request request_of(const http::request<http::string_body>& request) {
  return {std::string(request.method_string()), std::string(request.target()), request.body(),
          std::string(request["Last-Event-ID"])};
}

Claims claims_of(const http::request<http::string_body>& request) {
  const auto once = [&](http::field name) {
    return request.count(name) == 1 ? std::string(request[name]) : std::string();
  };
  return {once(http::field::host), once(http::field::origin), request.count(http::field::origin) > 0,
          once(http::field::authorization)};
}

asio::awaitable<Reply> reply_to(const http::request<http::string_body>& request, const Peer& peer, Backend& backend,
                                const Door& door) {
  Access access = Access::everything;
  if (!door.local) {
    const auto granted = access_of(claims_of(request), door.token);
    if (!granted) co_return problem(403, granted.error().message);
    access = *granted;
  }
  const Request asked = request_of(request);
  auto reply = co_await answer(asked, peer, backend, access);
  co_return reply;
}

asio::awaitable<void> serve(ClientStream stream, Backend& backend, std::shared_ptr<Door> door,
                            [[maybe_unused]] Counted connection) {
  const Peer peer = door->local ? peer_of(stream.socket().native_handle()) : peer_at(stream);
  beast::flat_buffer buffer;
  while (true) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(kHeaderBytesMax);
    parser.body_limit(kBodyBytesMax);
    stream.expires_after(kRequestTimeout);
    const auto [read_error, bytes] = co_await http::async_read(stream, buffer, parser, use_tuple);
    if (read_error == http::error::end_of_stream || read_error == beast::error::timeout) co_return;
    Reply reply;
    bool keep_alive = false;
    if (read_error) {
      reply = problem(400, "The request could not be read: " + read_error.message() + ".");
    } else {
      keep_alive = parser.get().keep_alive();
      reply = co_await reply_to(parser.get(), peer, backend, *door);
    }
    if (reply.stream && door->streams >= door->limits.streams) {
      reply = problem(503, "There are " + std::to_string(door->streams) + " streams already; end one of them first.");
    }
    if (reply.stream) {
      const Counted counted(door, &Door::streams);
      co_await send_stream(stream, *reply.stream, door->leaving);
      co_return;
    }
    const bool sent = co_await send_reply(stream, std::move(reply), keep_alive);
    if (!sent || !keep_alive) co_return;
  }
}

asio::awaitable<void> accept_loop(std::shared_ptr<Door> door, Backend& backend) {
  while (true) {
    auto [error, socket] = co_await door->acceptor.async_accept(use_tuple);
    if (error == asio::error::operation_aborted || !door->acceptor.is_open()) co_return;
    if (error) {
      // Out of descriptors or memory: the waiting client stays in the queue, so without a pause this loop would spin.
      asio::steady_timer pause(door->acceptor.get_executor(), kAcceptPause);
      co_await pause.async_wait(use_tuple);
      continue;
    }
    if (door->connections >= door->limits.connections) continue;  // closed at once
    asio::co_spawn(door->acceptor.get_executor(),
                   serve(ClientStream(std::move(socket)), backend, door, Counted(door, &Door::connections)),
                   asio::detached);
  }
}

}  // namespace

HttpServer::HttpServer(asio::io_context& io, std::filesystem::path path, Backend& backend)
    : io_(io), path_(std::move(path)), backend_(backend) {}

HttpServer::~HttpServer() {
  for (const auto& door : doors_) {
    door->streams_gone = nullptr;
    boost::system::error_code ignored;
    door->acceptor.close(ignored);
  }
  ::unlink(path_.c_str());
}

void HttpServer::open(std::shared_ptr<Door> door) {
  asio::co_spawn(io_, accept_loop(door, backend_), asio::detached);
  doors_.push_back(std::move(door));
}

void HttpServer::finish(std::function<void()> done) {
  const auto left = std::make_shared<std::size_t>(doors_.size());
  const auto empty = [left, done = std::move(done)] {
    if (--*left == 0) done();
  };
  for (const auto& door : doors_) {
    door->acceptor.close();
    if (door->streams == 0) {
      empty();
      continue;
    }
    door->streams_gone = empty;
    door->leaving->asked = true;
    door->leaving->changes.tell();
  }
}

Result<std::unique_ptr<HttpServer>> HttpServer::listen(asio::io_context& io, const std::filesystem::path& path,
                                                       Backend& backend) {
  auto listening = listen_on_unix(path);
  if (!listening) return listening.error();
  std::unique_ptr<HttpServer> server(new HttpServer(io, path, backend));
  Acceptor acceptor(io, asio::local::stream_protocol(), listening->release());
  server->open(std::make_shared<Door>(std::move(acceptor), kUnixLimits, true));
  return server;
}

Result<> HttpServer::listen_on_tcp(const std::string& address, std::string token) {
  auto listening = listen_on_loopback(address);
  if (!listening) return listening.error();
  const auto protocol = address.starts_with('[') ? asio::ip::tcp::v6() : asio::ip::tcp::v4();
  Acceptor acceptor(io_, protocol, listening->release());
  auto door = std::make_shared<Door>(std::move(acceptor), kTcpLimits, false);
  door->token = std::move(token);
  open(std::move(door));
  return {};
}

}  // namespace ts::api
