// Who may ask for what over TCP (P7): the table, and the server's door with it.
#include "supervisor/api/gate.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include "common/base/unique_fd.h"
#include "common/checkpoint/directory.h"
#include "supervisor/api/http_server.h"
#include "supervisor/ctl/client.h"
#include "supervisor/shell/http_token.h"
#include "tests/unit/session/temp_directory.h"
#include "tests/unit/supervisor/fake_backend.h"

namespace ts::api {
namespace {

const std::string kToken(64, 'a');

TEST(TheGate, TakesEveryNameOfThisMachineAndNoOther) {
  for (const char* host :
       {"localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:9100", "127.1.2.3:9100", "[::1]", "[::1]:9100"}) {
    EXPECT_TRUE(access_of({host, "", false, ""}, kToken)) << host;
  }
  for (const char* host : {"", "example.org", "example.org:9100", "127.0.0.1.example.org", "localhost.example.org",
                           "10.0.0.1", "[::2]:9100", "[::1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:-1", "127.1",
                           "2130706433", "::1", "localhost:80@example.org", "localhost\x1b[2J"}) {
    const auto refused = access_of({host, "", false, ""}, kToken);
    ASSERT_FALSE(refused) << host;
    EXPECT_EQ(refused.error().message.find('\x1b'), std::string::npos);
  }
}

TEST(TheGate, TakesNoPageOfAnotherOrigin) {
  EXPECT_TRUE(access_of({"localhost:9100", "http://localhost:9100", true, ""}, kToken));
  for (const char* origin : {"", "null", "http://localhost:9101", "http://localhost", "https://localhost:9100",
                             "http://127.0.0.1:9100", "http://example.org", "http://localhost:9100/"}) {
    EXPECT_FALSE(access_of({"localhost:9100", origin, true, "Bearer " + kToken}, kToken)) << origin;
  }
}

TEST(TheGate, OpensForTheTokenOnly) {
  const auto access = [](const std::string& authorization, const std::string& token) {
    return access_of({"localhost", "", false, authorization}, token).value();
  };
  EXPECT_EQ(access("Bearer " + kToken, kToken), Access::everything);
  EXPECT_EQ(access("bearer " + kToken, kToken), Access::everything) << "RFC 9110: a scheme has no case";
  for (const std::string& wrong :
       {std::string(), std::string(kToken), std::string("Bearer "), "Basic " + kToken, "Bearer " + kToken + "a",
        "Bearer " + kToken.substr(1), "Bearer " + std::string(64, 'A')}) {
    EXPECT_EQ(access(wrong, kToken), Access::looking) << wrong;
  }
  EXPECT_EQ(access("Bearer ", ""), Access::looking) << "without a token there is none to present";
}

TEST(TheToken, IsMadeOnceForItsOwnerAndKept) {
  const TempDirectory folder;
  const auto directory = checkpoint::Directory::open(folder.path(), checkpoint::Directory::Create::no);
  const auto made = shell::load_http_token(*directory);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->size(), 64U);
  struct stat status {};
  ASSERT_EQ(::stat((folder / shell::kTokenFile).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(*shell::load_http_token(*directory), *made);
}

TEST(TheToken, P7_ThatIsNoneIsRefusedWithASentence) {
  const TempDirectory folder;
  const auto directory = checkpoint::Directory::open(folder.path(), checkpoint::Directory::Create::no);
  const auto file = folder / shell::kTokenFile;
  const auto refused = [&](const std::string& text, mode_t mode) {
    write_text(file, text);
    ::chmod(file.c_str(), mode);
    const auto token = shell::load_http_token(*directory);
    return !token && token.error().message.find(file.string()) != std::string::npos;
  };
  EXPECT_TRUE(refused("", 0600));
  EXPECT_TRUE(refused("short\n", 0600));
  EXPECT_TRUE(refused(std::string(40, 'a') + " " + std::string(40, 'a'), 0600));
  EXPECT_TRUE(refused(std::string(600, 'a'), 0600));
  EXPECT_TRUE(refused(kToken, 0644)) << "what everybody may read proves nothing";
  EXPECT_FALSE(refused(kToken + "\n", 0640));
  std::filesystem::remove(file);
  std::filesystem::create_symlink("/etc/hostname", file);
  EXPECT_FALSE(shell::load_http_token(*directory)) << "no link is followed";
}

class OverTcp : public testing::Test {
 protected:
  void SetUp() override {
    auto listening = HttpServer::listen(io_, path_, backend_);
    ASSERT_TRUE(listening) << listening.error().message;
    server_ = std::move(*listening);
    port_ = free_port();
    const auto tcp = server_->listen_on_tcp("127.0.0.1:" + std::to_string(port_), kToken);
    ASSERT_TRUE(tcp) << tcp.error().message;
    thread_ = std::thread([this] { io_.run(); });
  }
  void TearDown() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
    server_.reset();
  }
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
  }
  static std::uint16_t free_port() {
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = loopback(0);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    return ntohs(address.sin_port);
  }
  UniqueFd connect() const {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = loopback(port_);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const timeval patience{20, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
  }
  std::string ask(const std::string& method, const std::string& target, const std::string& headers) const {
    const UniqueFd fd = connect();
    const std::string request = method + " " + target + " HTTP/1.1\r\nConnection: close\r\n" + headers + "\r\n";
    EXPECT_EQ(::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
    std::string reply;
    char buffer[4096];
    ssize_t count = 0;
    while ((count = ::recv(fd.get(), buffer, sizeof buffer, 0)) > 0) {
      reply.append(buffer, static_cast<std::size_t>(count));
    }
    return reply;
  }
  unsigned status(const std::string& method, const std::string& target, const std::string& headers) const {
    const std::string reply = ask(method, target, headers);
    return reply.size() < 12 ? 0 : static_cast<unsigned>(std::stoul(reply.substr(9, 3)));
  }

  const std::string kHost = "Host: localhost\r\n";
  const std::string kAuthorized = "Authorization: Bearer " + kToken + "\r\n";
  TempDirectory directory_;
  std::filesystem::path path_ = directory_ / "control.sock";
  FakeBackend backend_;
  boost::asio::io_context io_{1};
  std::unique_ptr<HttpServer> server_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

TEST_F(OverTcp, EverybodyMayLookAtWhatHoldsNoSecrets) {
  for (const char* target : {"/v1/status", "/metrics", "/v1/events", "/v1/incidents"}) {
    EXPECT_EQ(status("GET", target, kHost), 200U) << target;
  }
  for (const char* target : {"/v1/config", "/v1/logs", "/v1/logs/stream", "/v1/incidents/latest"}) {
    EXPECT_EQ(status("GET", target, kHost), 401U) << target;
  }
  EXPECT_EQ(status("GET", "/v1/config", kHost + kAuthorized), 200U);
}

TEST_F(OverTcp, OnlyTheTokenChangesAnything) {
  for (const char* target : {"/v1/start", "/v1/stop", "/v1/restart", "/v1/fresh", "/v1/checkpoint", "/v1/reload"}) {
    const std::string refused = ask("POST", target, kHost + "Content-Length: 0\r\n");
    EXPECT_NE(refused.find(" 401 "), std::string::npos) << target;
    EXPECT_NE(refused.find("WWW-Authenticate: Bearer"), std::string::npos) << refused;
    EXPECT_EQ(status("POST", target, kHost + "Authorization: Bearer x\r\nContent-Length: 0\r\n"), 401U) << target;
  }
  EXPECT_EQ(status("POST", "/v1/stop", kHost + kAuthorized + kAuthorized + "Content-Length: 0\r\n"), 401U);
  EXPECT_EQ(status("POST", "/v1/stop", kHost + kAuthorized + "Content-Length: 0\r\n"), 202U);
  TearDown();
  for (const std::string& asked : backend_.asked)
    EXPECT_TRUE(asked == "stop" || asked.starts_with("turned away: POST "));
  EXPECT_EQ(backend_.asked.size(), 14U);
  EXPECT_TRUE(backend_.last_peer.address.starts_with("127.0.0.1:")) << backend_.last_peer.address;
}

TEST_F(OverTcp, NoStrangersNameAndNoStrangersPage) {
  EXPECT_EQ(status("GET", "/v1/status", ""), 403U);
  EXPECT_EQ(status("GET", "/v1/status", "Host: evil.example\r\n" + kAuthorized), 403U);
  EXPECT_EQ(status("GET", "/v1/status", kHost + kHost), 403U);
  EXPECT_EQ(status("GET", "/v1/status", kHost + "Origin: http://evil.example\r\n"), 403U);
  EXPECT_EQ(status("GET", "/v1/status", kHost + "Origin: http://localhost\r\n"), 200U);
}

TEST_F(OverTcp, P7_ACrowdLeavesTheSocketsClientsAlone) {
  std::vector<UniqueFd> crowd;
  for (int i = 0; i < 100; ++i) crowd.push_back(connect());
  EXPECT_EQ(ctl::Client(path_).request("GET", "/v1/status")->status, 200U);
  EXPECT_EQ(ctl::Client(path_).request("POST", "/v1/stop")->status, 202U) << "the socket needs no token";
}

TEST_F(OverTcp, ListensOnLoopbackOnlyAndSaysWhenItCannot) {
  for (const char* address : {"0.0.0.0:9100", "10.0.0.1:9100", "[::]:9100", "example.org:9100", "127.0.0.1",
                              "127.0.0.1:0", "127.0.0.1:99999", ""}) {
    const auto refused = server_->listen_on_tcp(address, kToken);
    ASSERT_FALSE(refused) << address;
    EXPECT_EQ(refused.error().kind, ErrorKind::configuration);
  }
  const auto taken = server_->listen_on_tcp("127.0.0.1:" + std::to_string(port_), kToken);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().kind, ErrorKind::locked);
  EXPECT_NE(taken.error().message.find("choose another"), std::string::npos) << taken.error().message;
}

}  // namespace
}  // namespace ts::api
