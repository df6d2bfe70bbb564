#include "supervisor/ctl/client.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "common/base/text.h"
#include "supervisor/ctl/sockets.h"

namespace ts::ctl {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

constexpr std::chrono::seconds kReplyTimeout{30};
constexpr std::chrono::seconds kSilenceMax{45};  // a stream gives a sign of life every 15 s
constexpr std::size_t kSocketPathMax = 108;
constexpr std::size_t kPieceBytes = 16 * 1024;

std::string name_of_group(gid_t group) {
  const ::group* entry = ::getgrgid(group);
  return entry == nullptr ? "number " + std::to_string(group) : escape_control(entry->gr_name);
}

std::string name_of_user(uid_t user) {
  const ::passwd* entry = ::getpwuid(user);
  return entry == nullptr ? "number " + std::to_string(user) : escape_control(entry->pw_name);
}

// Who may use the socket, as far as that can be seen from here.
std::string who_may(const std::string& socket) {
  struct stat status {};
  if (::stat(socket.c_str(), &status) != 0) return "Ask as the user who runs it, or as a member of its group.";
  const std::string group = name_of_group(status.st_gid);
  // Whoever is made a member of root's group gets far more than this socket.
  const bool worth_joining = (status.st_mode & S_IWGRP) != 0 && status.st_gid != 0;
  return "It belongs to the user " + name_of_user(status.st_uid) + " and the group " + group +
         ": ask as that user, or " +
         (worth_joining ? "become a member of that group (sudo usermod -aG " + group + " \"$USER\", then log in again)."
                        : "with sudo.");
}

Error no_daemon(const std::string& socket, const std::string& origin, const boost::system::error_code& error) {
  const std::string where = escape_control(socket) + (origin.empty() ? "" : " (" + origin + ")");
  if (error.value() == EACCES || error.value() == EPERM) {
    return make_error(ErrorKind::unavailable, "you may not ask the supervisor on " + where + ". " + who_may(socket));
  }
  const std::string how = "./run_training.sh or systemctl start trainer-supervisor";
  const std::string nobody = "no supervisor answers on " + where + ": " + error.message() + ". ";
  // One that was started before its configuration named another place runs on, and a second beside it is not wanted.
  std::vector<std::string> others;
  for (const std::string& other : control_sockets_here(socket)) others.push_back(escape_control(other));
  if (!others.empty()) {
    return make_error(ErrorKind::unavailable,
                      nobody + "But one listens on " + join(others, ", and one on ") +
                          ": if that is the one, because the configuration has changed since it was started, ask it "
                          "with --socket " +
                          others.front() + ". Else start one with " + how + ".");
  }
  return make_error(ErrorKind::unavailable,
                    nobody + "Start one with " + how + ", or say with --config or --socket where it is.");
}

// One operation to its end. Only asynchronous ones have time limits.
template <class Start>
boost::system::error_code finish(asio::io_context& io, Start&& start) {
  boost::system::error_code out;
  start([&out](const boost::system::error_code& error, std::size_t) { out = error; });
  io.restart();
  io.run();
  return out;
}

// "Server: trainer-supervisor/0.1.0"
template <class Message>
std::string version_in(const Message& message) {
  const auto found = message.find(http::field::server);
  if (found == message.end()) return {};
  const std::string_view server(found->value().data(), found->value().size());
  return std::string(server.substr(std::min(server.size(), server.find('/') + 1)));
}

class Connection {
 public:
  Connection(const std::filesystem::path& socket, std::string origin)
      : path_(socket.string()), origin_(std::move(origin)), name_(escape_control(path_)), stream_(io_) {}

  Result<> open() {
    if (path_.size() >= kSocketPathMax) {
      return make_error(ErrorKind::unavailable, "the socket's path " + name_ + " is longer than a socket's can be.");
    }
    boost::system::error_code error;
    stream_.socket().connect(asio::local::stream_protocol::endpoint(path_), error);
    if (error) return no_daemon(path_, origin_, error);
    return {};
  }

  boost::system::error_code send(http::request<http::string_body>& request) {
    request.set(http::field::host, "localhost");
    request.keep_alive(false);
    request.prepare_payload();
    return finish(io_, [&](auto done) {
      stream_.expires_after(kReplyTimeout);
      http::async_write(stream_, request, done);
    });
  }

  template <class Parser>
  boost::system::error_code read_header(Parser& parser) {
    return finish(io_, [&](auto done) {
      stream_.expires_after(kReplyTimeout);
      http::async_read_header(stream_, buffer_, parser, done);
    });
  }

  // What has come of the body, up to the size of `into`.
  Result<std::string_view> read_some(http::response_parser<http::buffer_body>& parser, std::span<char> into) {
    auto& body = parser.get().body();
    body.data = into.data();
    body.size = into.size();
    const auto error = finish(io_, [&](auto done) {
      stream_.expires_after(kSilenceMax);
      http::async_read_some(stream_, buffer_, parser, done);
    });
    if (error && error != http::error::need_buffer) return broke_off(error);
    return std::string_view(into.data(), into.size() - body.size);
  }

  boost::system::error_code read(http::response<http::string_body>& response) {
    return finish(io_, [&](auto done) {
      stream_.expires_after(kReplyTimeout);
      http::async_read(stream_, buffer_, response, done);
    });
  }

  Error broke_off(const boost::system::error_code& error) const {
    return make_error(ErrorKind::unavailable,
                      "the supervisor on " + name_ + " gave no answer (" + error.message() + ").");
  }

 private:
  std::string path_;
  std::string origin_;
  std::string name_;  // for sentences
  asio::io_context io_;
  beast::basic_stream<asio::local::stream_protocol> stream_;
  beast::flat_buffer buffer_;
};

}  // namespace

Result<HttpReply> Client::request(const std::string& method, const std::string& target, const std::string& body) const {
  Connection connection(socket_, origin_);
  if (const auto opened = connection.open(); !opened) return opened.error();
  http::request<http::string_body> request(http::string_to_verb(method), target, 11);
  request.set(http::field::content_type, "application/json");
  request.body() = body;
  if (const auto error = connection.send(request)) return connection.broke_off(error);
  http::response<http::string_body> response;
  if (const auto error = connection.read(response)) return connection.broke_off(error);
  return HttpReply{response.result_int(), response.body(), version_in(response)};
}

Result<HttpReply> Client::follow(const std::string& target, const std::string& place,
                                 const std::function<void()>& on_open,
                                 const std::function<void(const api::ServerSent&)>& on_event) const {
  Connection connection(socket_, origin_);
  if (const auto opened = connection.open(); !opened) return opened.error();
  http::request<http::string_body> request(http::verb::get, target, 11);
  request.set("Last-Event-ID", place);
  if (const auto error = connection.send(request)) return connection.broke_off(error);
  http::response_parser<http::buffer_body> parser;
  parser.body_limit(boost::none);
  if (const auto error = connection.read_header(parser)) return connection.broke_off(error);
  HttpReply reply{parser.get().result_int(), {}, version_in(parser.get())};
  const bool streams = reply.status == 200;
  if (streams) on_open();
  api::ServerSentReader reader(on_event);
  std::array<char, kPieceBytes> piece;
  while (!parser.is_done()) {
    const auto bytes = connection.read_some(parser, piece);
    if (!bytes) return bytes.error();
    if (!streams && reply.body.size() < kPieceBytes) reply.body += *bytes;
    if (streams && !reader.feed(*bytes)) {
      return make_error(ErrorKind::internal, "the supervisor's answer is no stream of events.");
    }
  }
  return reply;
}

}  // namespace ts::ctl
