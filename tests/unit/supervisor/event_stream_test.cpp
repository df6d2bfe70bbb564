// The events over the control API: pages, and streams that lose nothing and hold nobody up (P7, P11).
#include <sys/socket.h>
#include <sys/un.h>

#include <future>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include "common/base/unique_fd.h"
#include "supervisor/api/http_server.h"
#include "supervisor/ctl/client.h"
#include "tests/unit/session/temp_directory.h"
#include "tests/unit/supervisor/fake_backend.h"

namespace ts::api {
namespace {

class Streaming : public testing::Test {
 protected:
  void SetUp() override {
    auto listening = HttpServer::listen(io_, path_, backend_);
    ASSERT_TRUE(listening) << listening.error().message;
    server_ = std::move(*listening);
    thread_ = std::thread([this] { io_.run(); });
  }
  void TearDown() override {
    io_.stop();
    if (thread_.joinable()) thread_.join();
    server_.reset();
  }

  template <class Work>
  void on_loop(Work work) {
    boost::asio::post(io_, work);
  }
  void tell(std::int64_t id, const std::string& message = "x") {
    on_loop([this, id, message] { backend_.tell(id, message); });
  }
  UniqueFd ask(const std::string& target, const std::string& header = {}) const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.string().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const timeval patience{20, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const std::string request = "GET " + target + " HTTP/1.1\r\nHost: x\r\n" + header + "\r\n";
    EXPECT_EQ(::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
    return fd;
  }
  // Reads until this has come, or the other end closes.
  static std::string read_until(const UniqueFd& fd, const std::string& wanted) {
    std::string out;
    char buffer[4096];
    while (out.find(wanted) == std::string::npos) {
      const ssize_t count = ::recv(fd.get(), buffer, sizeof buffer, 0);
      if (count <= 0) break;
      out.append(buffer, static_cast<std::size_t>(count));
    }
    return out;
  }
  unsigned status_of(const std::string& target) const { return ctl::Client(path_).request("GET", target)->status; }

  TempDirectory directory_;
  std::filesystem::path path_ = directory_ / "control.sock";
  FakeBackend backend_;
  boost::asio::io_context io_{1};
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

TEST_F(Streaming, PagesAreAskedForByNumber) {
  for (int id = 1; id <= 5; ++id) tell(id);
  const auto reply = ctl::Client(path_).request("GET", "/v1/events?since=2&limit=2");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 200U);
  EXPECT_NE(reply->body.find("\"newest\":5,\"more\":true"), std::string::npos) << reply->body;
  EXPECT_NE(reply->body.find("{\"id\":4,"), std::string::npos) << reply->body;
  EXPECT_EQ(reply->body.find("{\"id\":2,"), std::string::npos) << reply->body;
  EXPECT_EQ(status_of("/v1/events"), 200U);
}

TEST_F(Streaming, P7_NonsenseIsRefusedWithASentence) {
  for (const char* asked : {"?since=x", "?since=-1", "?limit=0", "?limit=1001", "?from=1", "?since",
                            "?since=1&&limit=2", "?since=99999999999999999999"}) {
    EXPECT_EQ(status_of(std::string("/v1/events") + asked), 400U) << asked;
    EXPECT_EQ(status_of(std::string("/v1/events/stream") + asked), 400U) << asked;
  }
  EXPECT_NE(read_until(ask("/v1/events/stream", "Last-Event-ID: x\r\n"), "}").find(" 400 "), std::string::npos);
  EXPECT_EQ(ctl::Client(path_).request("POST", "/v1/events/stream")->status, 405U);
  EXPECT_EQ(status_of("/v1/status?x=1"), 400U);
}

TEST_F(Streaming, GoesOnFromThePlaceOfTheHeader) {
  for (int id = 1; id <= 3; ++id) tell(id);
  const UniqueFd fd = ask("/v1/events/stream?since=0", "Last-Event-ID: 2\r\n");
  const std::string begun = read_until(fd, "id: 3\nevent: supervisor\ndata: {\"id\":3,");
  EXPECT_NE(begun.find("Content-Type: text/event-stream"), std::string::npos) << begun;
  EXPECT_EQ(begun.find("id: 2"), std::string::npos) << begun;
  tell(4);
  EXPECT_NE(read_until(fd, "id: 4").find("id: 4"), std::string::npos);
}

TEST_F(Streaming, BeginsWithWhatComesWhenNoPlaceIsNamed) {
  tell(1);
  const UniqueFd fd = ask("/v1/events/stream");
  EXPECT_NE(read_until(fd, "\r\n\r\n").find(" 200 "), std::string::npos);
  tell(2);
  const std::string told = read_until(fd, "id: 2");
  EXPECT_NE(told.find("id: 2"), std::string::npos);
  EXPECT_EQ(told.find("id: 1\n"), std::string::npos);
}

TEST_F(Streaming, EachEventComesOnceHoweverManyThereAre) {
  std::vector<std::string> ids;
  std::promise<void> opened;
  std::thread reader([&] {
    const auto ended = ctl::Client(path_).follow(
        "/v1/events/stream", "0", [&] { opened.set_value(); }, [&](const ServerSent& sent) { ids.push_back(sent.id); });
    EXPECT_TRUE(ended) << ended.error().message;
  });
  opened.get_future().wait();
  for (int id = 1; id <= 5000; ++id) tell(id, std::string(100, 'x'));
  // The last ones are still sent when the server leaves.
  on_loop([this] { server_->finish([this] { io_.stop(); }); });
  reader.join();
  ASSERT_EQ(ids.size(), 5000U);
  for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(ids[i], std::to_string(i + 1));
}

TEST_F(Streaming, TellsWhatTheWorkerPrints) {
  backend_.output = directory_ / "worker.log";
  write_text(backend_.output, "before\n");
  const UniqueFd fd = ask("/v1/logs/stream");
  EXPECT_NE(read_until(fd, "\r\n\r\n").find(" 200 "), std::string::npos);
  std::ofstream(backend_.output, std::ios::app) << "after\n";
  const std::string told = read_until(fd, "\n\n");
  EXPECT_NE(told.find("event: line\ndata: {\"text\":\"after\",\"end\":true}"), std::string::npos) << told;
  // From the place that it named, and from the beginning.
  const std::size_t id = told.find("id: ") + 4;
  const std::string place = told.substr(id, told.find('\n', id) - id);
  std::ofstream(backend_.output, std::ios::app) << "last\n";
  EXPECT_EQ(read_until(ask("/v1/logs/stream", "Last-Event-ID: " + place + "\r\n"), "last").find("after"),
            std::string::npos);
  EXPECT_NE(read_until(ask("/v1/logs/stream?since=0.0.0"), "last").find("before"), std::string::npos);
  EXPECT_EQ(status_of("/v1/logs?limit=2"), 200U);
  for (const char* asked :
       {"/v1/logs?limit=0", "/v1/logs?limit=1001", "/v1/logs?since=0.0.0", "/v1/logs/stream?since=1"}) {
    EXPECT_EQ(status_of(asked), 400U) << asked;
  }
}

TEST_F(Streaming, P7_CannotLockOutCommands) {
  std::vector<UniqueFd> streams;
  for (int i = 0; i < 16; ++i) {
    streams.push_back(ask("/v1/events/stream"));
    EXPECT_NE(read_until(streams.back(), "\r\n\r\n").find(" 200 "), std::string::npos);
  }
  EXPECT_NE(read_until(ask("/v1/events/stream"), "}").find(" 503 "), std::string::npos);
  EXPECT_EQ(status_of("/v1/status"), 200U);
  streams.clear();
  bool again = false;
  for (int i = 0; i < 500 && !again; ++i) {
    again = read_until(ask("/v1/events/stream"), "\r\n\r\n").find(" 200 ") != std::string::npos;
    if (!again) std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
  EXPECT_TRUE(again) << "those that went away have made room";
}

TEST_F(Streaming, P7_ThatNobodyTakesIsCutOffAndHarmsNobody) {
  for (int id = 1; id <= 2000; ++id) tell(id, std::string(1000, 'x'));
  const UniqueFd slow = ask("/v1/events/stream?since=0");
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{60};
  std::vector<std::string> cut;
  while (cut.empty() && std::chrono::steady_clock::now() < until) {
    EXPECT_EQ(status_of("/v1/status"), 200U);
    std::this_thread::sleep_for(std::chrono::milliseconds{100});
    std::promise<std::vector<std::string>> said;
    on_loop([&] { said.set_value(backend_.cut); });
    cut = said.get_future().get();
  }
  ASSERT_EQ(cut.size(), 1U);
  EXPECT_TRUE(cut[0].starts_with("events ")) << cut[0];
}

}  // namespace
}  // namespace ts::api
