#include "supervisor/ctl/client.h"

#include <cerrno>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "common/base/text.h"

namespace ts::ctl {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

constexpr std::chrono::seconds kReplyTimeout{30};

Error no_daemon(const std::string& socket, const boost::system::error_code& error) {
  std::string why = "no supervisor answers on " + socket + " (" + error.message() + ").";
  if (error.value() == EACCES || error.value() == EPERM) {
    why += " Ask as the user who runs it, or as a member of the socket's group.";
  } else {
    why +=
        " Start one with ./run_training.sh or systemctl start trainer-supervisor, or say with --config or --socket "
        "where it is.";
  }
  return make_error(ErrorKind::unavailable, why);
}

}  // namespace

Result<HttpReply> Client::request(const std::string& method, const std::string& target, const std::string& body) const {
  const std::string name = escape_control(socket_.string());
  asio::io_context io;
  beast::basic_stream<asio::local::stream_protocol> stream(io);
  boost::system::error_code error;
  if (socket_.string().size() >= 108) {
    return make_error(ErrorKind::unavailable, "the socket's path " + name + " is longer than a socket's can be.");
  }
  stream.socket().connect(asio::local::stream_protocol::endpoint(socket_.string()), error);
  if (error) return no_daemon(name, error);

  http::request<http::string_body> request(http::string_to_verb(method), target, 11);
  request.set(http::field::host, "localhost");
  request.set(http::field::content_type, "application/json");
  request.body() = body;
  request.keep_alive(false);
  request.prepare_payload();
  beast::flat_buffer buffer;
  http::response<http::string_body> response;
  bool answered = false;
  stream.expires_after(kReplyTimeout);
  http::async_write(stream, request, [&](const boost::system::error_code& write_error, std::size_t) {
    error = write_error;
    if (error) return;
    http::async_read(stream, buffer, response, [&](const boost::system::error_code& read_error, std::size_t) {
      error = read_error;
      answered = !read_error;
    });
  });
  io.run();
  if (!answered) {
    return make_error(ErrorKind::unavailable,
                      "the supervisor on " + name + " gave no answer (" + error.message() + ").");
  }
  return HttpReply{response.result_int(), response.body()};
}

}  // namespace ts::ctl
