// The control API over a real unix socket, with clients that are slow, big or gone (P7).
#include "supervisor/api/http_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include "common/base/unique_fd.h"
#include "supervisor/ctl/client.h"
#include "tests/unit/session/temp_directory.h"
#include "tests/unit/supervisor/fake_backend.h"

namespace ts::api {
namespace {

class Server : public testing::Test {
 protected:
  void SetUp() override {
    auto listening = HttpServer::listen(io_, path_, backend_);
    ASSERT_TRUE(listening) << listening.error().message;
    server_ = std::move(*listening);
    thread_ = std::thread([this] { io_.run(); });
  }
  // In the order of the supervisor's end: the loop stops, the server goes, the loop goes with what still hangs in it.
  void TearDown() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
    server_.reset();
  }

  UniqueFd connect() const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.string().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const timeval patience{20, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
  }
  // Sends all of it, and reads until the server closes.
  static std::string exchange(const UniqueFd& fd, const std::string& text) {
    std::size_t sent = 0;
    while (sent < text.size()) {
      const ssize_t count = ::send(fd.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) break;
      sent += static_cast<std::size_t>(count);
    }
    std::string reply;
    char buffer[4096];
    ssize_t count = 0;
    while ((count = ::recv(fd.get(), buffer, sizeof buffer, 0)) > 0)
      reply.append(buffer, static_cast<std::size_t>(count));
    return reply;
  }
  bool answers() const {
    const auto reply = ctl::Client(path_).request("GET", "/v1/status");
    return reply && reply->status == 200;
  }

  TempDirectory directory_;
  std::filesystem::path path_ = directory_ / "control.sock";
  FakeBackend backend_;
  boost::asio::io_context io_{1};
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

TEST_F(Server, AnswersItsClient) {
  const auto reply = ctl::Client(path_).request("GET", "/v1/status");
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->status, 200U);
  EXPECT_NE(reply->body.find("\"state\": \"running\""), std::string::npos);
  const auto refused = ctl::Client(path_).request("POST", "/v1/restart", "{");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 400U);
}

TEST_F(Server, KnowsWhoAsks) {
  EXPECT_TRUE(ctl::Client(path_).request("POST", "/v1/stop"));
  TearDown();
  EXPECT_EQ(backend_.last_peer.pid, ::getpid());
  EXPECT_EQ(backend_.last_peer.uid, static_cast<long>(::getuid()));
}

TEST_F(Server, AnswersManyRequestsOnOneConnection) {
  const std::string request = "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string last = "GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const std::string replies = exchange(connect(), request + request + last);
  std::size_t count = 0;
  for (auto at = replies.find("200 OK"); at != std::string::npos; at = replies.find("200 OK", at + 1)) ++count;
  EXPECT_EQ(count, 3U);
}

TEST_F(Server, IsForItsUserAndGroupOnly) {
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_TRUE(S_ISSOCK(status.st_mode));
  EXPECT_EQ(status.st_mode & 0777U, 0660U);
}

TEST_F(Server, RefusesAHeaderOrABodyBeyondItsLimit) {
  const std::string header =
      exchange(connect(), "GET /v1/status HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n");
  EXPECT_NE(header.find(" 400 "), std::string::npos) << header;
  const std::string body =
      exchange(connect(), "POST /v1/restart HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n");
  EXPECT_NE(body.find(" 400 "), std::string::npos) << body;
  EXPECT_NE(exchange(connect(), "what is this\r\n\r\n").find(" 400 "), std::string::npos);
  EXPECT_TRUE(answers());
}

TEST_F(Server, IsNotHeldUpByASlowClient) {
  const UniqueFd silent = connect();
  const UniqueFd slow = connect();
  ASSERT_EQ(::send(slow.get(), "GET /v1/sta", 11, MSG_NOSIGNAL), 11);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(answers());
  // Those connections are still open when the server goes; TearDown must not mind.
}

TEST_F(Server, SurvivesClientsThatGoAway) {
  const std::string request = "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n";
  for (int i = 0; i < 50; ++i) {
    const UniqueFd fd = connect();
    if (i % 2 == 0) ::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
  }
  EXPECT_TRUE(answers());
}

TEST_F(Server, TurnsAwayTheCrowdAndServesAgainAfterIt) {
  {
    std::vector<UniqueFd> crowd;
    for (int i = 0; i < 64; ++i) crowd.push_back(connect());
    EXPECT_EQ(exchange(connect(), ""), "");  // the one too many is closed at once
  }
  bool served = false;
  for (int i = 0; i < 200 && !served; ++i) {
    served = answers();
    if (!served) std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
  EXPECT_TRUE(served);
}

TEST_F(Server, TakesItsSocketWithIt) {
  TearDown();
  EXPECT_FALSE(std::filesystem::exists(path_));
  const auto reply = ctl::Client(path_).request("GET", "/v1/status");
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().kind, ErrorKind::unavailable);
  EXPECT_NE(reply.error().message.find(path_.string()), std::string::npos);
}

TEST(Listening, ReplacesADeadOnesSocketButNothingElse) {
  const TempDirectory directory;
  const auto path = directory / "control.sock";
  FakeBackend backend;
  boost::asio::io_context io;
  {
    const UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.string().copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  EXPECT_TRUE(HttpServer::listen(io, path, backend));
  write_text(path, "precious");
  const auto refused = HttpServer::listen(io, path, backend);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("it is no socket"), std::string::npos) << refused.error().message;
  EXPECT_EQ(read_text(path), "precious");
}

TEST(Listening, IsRefusedBesideALivingOne) {
  const TempDirectory directory;
  FakeBackend backend;
  boost::asio::io_context io;
  const auto first = HttpServer::listen(io, directory / "control.sock", backend);
  ASSERT_TRUE(first);
  const auto second = HttpServer::listen(io, directory / "control.sock", backend);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::locked);
  EXPECT_TRUE(std::filesystem::exists(directory / "control.sock"));
}

TEST(Listening, NamesTheSettingWhenThePathIsTooLong) {
  FakeBackend backend;
  boost::asio::io_context io;
  const auto refused = HttpServer::listen(io, "/tmp/" + std::string(120, 'x'), backend);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::configuration);
  EXPECT_NE(refused.error().message.find("supervisor.control_socket"), std::string::npos);
}

}  // namespace
}  // namespace ts::api
