#include "supervisor/api/http_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "common/base/text.h"
#include "common/base/unique_fd.h"
#include "supervisor/api/routes.h"
#include "supervisor/api/stream_sender.h"
#include "supervisor/api/version.h"

namespace ts::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

constexpr std::uint32_t kHeaderBytesMax = 8 * 1024;
constexpr std::uint64_t kBodyBytesMax = 64 * 1024;
constexpr std::size_t kConnectionsMax = 64;
constexpr std::size_t kStreamsMax = 16;  // of them
constexpr std::chrono::seconds kRequestTimeout{10};
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr auto use_tuple = asio::as_tuple(asio::use_awaitable);

Peer peer_of(int fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return {};
  return {credentials.pid, credentials.uid};
}

}  // namespace

// The io_context may destroy a connection after the server is gone, so this belongs to both.
struct Crowd {
  std::size_t connections = 0;
  std::size_t streams = 0;
  std::shared_ptr<Leaving> leaving = std::make_shared<Leaving>();
  std::function<void()> streams_gone{};  // wanted by the server, while there is one
};

namespace {

// Counts a connection, or a stream, for as long as its coroutine lives, however it ends.
class Counted {
 public:
  Counted(std::shared_ptr<Crowd> crowd, std::size_t Crowd::*count) : crowd_(std::move(crowd)), count_(count) {
    ++(*crowd_.*count_);
  }
  Counted(Counted&&) noexcept = default;
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  Counted& operator=(Counted&&) = delete;
  ~Counted() {
    if (!crowd_) return;
    --(*crowd_.*count_);
    if (crowd_->streams == 0 && crowd_->streams_gone) std::exchange(crowd_->streams_gone, nullptr)();
  }

 private:
  std::shared_ptr<Crowd> crowd_;
  std::size_t Crowd::*count_;
};

asio::awaitable<bool> send_reply(UnixStream& out, Reply reply, bool keep_alive) {
  http::response<http::string_body> response(static_cast<http::status>(reply.status), 11);
  response.set(http::field::server, kServer);
  response.set(http::field::content_type, reply.content_type);
  response.set(http::field::cache_control, "no-store");
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

asio::awaitable<void> serve(UnixStream stream, Backend& backend, std::shared_ptr<Crowd> crowd,
                            [[maybe_unused]] Counted connection) {
  const Peer peer = peer_of(stream.socket().native_handle());
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
      reply = co_await answer(request_of(parser.get()), peer, backend);
    }
    if (reply.stream && crowd->streams >= kStreamsMax) {
      reply = problem(503, "There are " + std::to_string(kStreamsMax) + " streams already; end one of them first.");
    }
    if (reply.stream) {
      const Counted counted(crowd, &Crowd::streams);
      co_await send_stream(stream, *reply.stream, crowd->leaving);
      co_return;
    }
    const bool sent = co_await send_reply(stream, std::move(reply), keep_alive);
    if (!sent || !keep_alive) co_return;
  }
}

}  // namespace

HttpServer::HttpServer(asio::io_context& io, asio::local::stream_protocol::acceptor acceptor,
                       std::filesystem::path path, Backend& backend)
    : acceptor_(std::move(acceptor)), path_(std::move(path)), backend_(backend), crowd_(std::make_shared<Crowd>()) {
  asio::co_spawn(io, accept_loop(), asio::detached);
}

HttpServer::~HttpServer() {
  crowd_->streams_gone = nullptr;
  ::unlink(path_.c_str());
}

void HttpServer::finish(std::function<void()> done) {
  acceptor_.close();
  if (crowd_->streams == 0) return done();
  crowd_->streams_gone = std::move(done);
  crowd_->leaving->asked = true;
  crowd_->leaving->changes.tell();
}

Result<std::unique_ptr<HttpServer>> HttpServer::listen(asio::io_context& io, const std::filesystem::path& path,
                                                       Backend& backend) {
  const std::string name = path.string();
  const auto fail = [&](std::string_view what, int error) {
    return make_error(ErrorKind::unavailable, "could not " + std::string(what) + " the control socket " +
                                                  escape_control(name) + ": " + std::strerror(error) + ".");
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.size() >= sizeof address.sun_path) {
    return make_error(ErrorKind::configuration, "the path of the control socket " + escape_control(name) +
                                                    " is too long; set supervisor.control_socket to a shorter one.");
  }
  std::memcpy(address.sun_path, name.data(), name.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail("create", errno);
  struct stat old {};
  if (::lstat(name.c_str(), &old) == 0) {
    if (!S_ISSOCK(old.st_mode)) return fail("replace, since it is no socket,", EEXIST);
    // Two configurations may name one socket: whoever answers on it lives.
    const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      return make_error(ErrorKind::locked, "another supervisor answers on " + escape_control(name) +
                                               "; set supervisor.control_socket to a path of its own.");
    }
    ::unlink(name.c_str());
  }
  // The mode is set before the socket exists: changing it afterwards would leave a moment for everybody.
  const mode_t old_mask = ::umask(0117);
  const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int bind_error = errno;
  ::umask(old_mask);
  if (bound != 0) return fail("bind", bind_error);
  if (::listen(fd.get(), SOMAXCONN) != 0) return fail("listen on", errno);
  asio::local::stream_protocol::acceptor acceptor(io, asio::local::stream_protocol(), fd.release());
  return std::unique_ptr<HttpServer>(new HttpServer(io, std::move(acceptor), path, backend));
}

asio::awaitable<void> HttpServer::accept_loop() {
  while (true) {
    auto [error, socket] = co_await acceptor_.async_accept(use_tuple);
    if (error == asio::error::operation_aborted || !acceptor_.is_open()) co_return;
    if (error) {
      // Out of descriptors or memory: the waiting client stays in the queue, so without a pause this loop would spin.
      asio::steady_timer pause(acceptor_.get_executor(), kAcceptPause);
      co_await pause.async_wait(use_tuple);
      continue;
    }
    if (crowd_->connections >= kConnectionsMax) continue;  // closed at once
    asio::co_spawn(acceptor_.get_executor(),
                   serve(UnixStream(std::move(socket)), backend_, crowd_, Counted(crowd_, &Crowd::connections)),
                   asio::detached);
  }
}

}  // namespace ts::api
