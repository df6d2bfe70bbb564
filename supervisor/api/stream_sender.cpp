#include "supervisor/api/stream_sender.h"

#include <chrono>
#include <string>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http.hpp>

#include "common/base/text.h"
#include "supervisor/api/server_sent.h"
#include "supervisor/api/version.h"

namespace ts::api {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

constexpr std::chrono::seconds kKeepAlive{15};
constexpr std::chrono::seconds kTakeTimeout{10};
constexpr auto use_tuple = asio::as_tuple(asio::use_awaitable);

// What ends a wait; shared with whoever does so, since they may come after the stream has ended.
struct Wake {
  explicit Wake(const asio::any_io_executor& executor) : timer(executor) {}

  asio::steady_timer timer;
  bool changed = false;
  bool gone = false;  // the client
};

std::function<void()> waker(const std::shared_ptr<Wake>& wake) {
  return [wake] {
    wake->changed = true;
    wake->timer.cancel();
  };
}

asio::awaitable<boost::system::error_code> send_header(ClientStream& out) {
  http::response<http::empty_body> response(http::status::ok, 11);
  response.set(http::field::server, kServer);
  response.set(http::field::content_type, "text/event-stream");
  response.set(http::field::cache_control, "no-store");
  response.keep_alive(false);
  response.chunked(true);
  http::response_serializer<http::empty_body> serializer(response);
  out.expires_after(kTakeTimeout);
  const auto [error, written] = co_await http::async_write_header(out, serializer, use_tuple);
  co_return error;
}

asio::awaitable<boost::system::error_code> send_piece(ClientStream& out, const std::string& frames) {
  out.expires_after(kTakeTimeout);
  const auto [error, written] = co_await asio::async_write(out, http::make_chunk(asio::buffer(frames)), use_tuple);
  co_return error;
}

asio::awaitable<void> send_end(ClientStream& out, std::string why) {
  const std::string last = comment_frame(why);
  const boost::system::error_code error = co_await send_piece(out, last);
  if (error) co_return;
  out.expires_after(kTakeTimeout);
  co_await asio::async_write(out, http::make_chunk_last(), use_tuple);
}

// Until there may be more to send, or a sign of life is due.
asio::awaitable<void> wait(Wake& wake) {
  if (wake.changed || wake.gone) co_return;
  wake.timer.expires_after(kKeepAlive);
  co_await wake.timer.async_wait(use_tuple);
}

}  // namespace

asio::awaitable<void> send_stream(ClientStream& out, Stream& source, std::shared_ptr<Leaving> leaving) {
  const auto wake = std::make_shared<Wake>(out.get_executor());
  const auto more_to_send = source.changes().subscribe(waker(wake));
  const auto leaves = leaving->changes.subscribe(waker(wake));
  // Readable: the client has closed its end, or sends what nobody asked for.
  out.socket().async_wait(asio::socket_base::wait_read, [wake](const boost::system::error_code&) {
    wake->gone = true;
    wake->timer.cancel();
  });
  const std::string sign_of_life = comment_frame("still here");
  boost::system::error_code error = co_await send_header(out);
  while (!error && !wake->gone) {
    wake->changed = false;
    const bool last = leaving->asked;
    const auto frames = co_await source.more();
    if (!frames) {
      co_await send_end(out, escape_control(frames.error().message));
      co_return;
    }
    if (!frames->empty()) {
      error = co_await send_piece(out, *frames);
      continue;
    }
    if (last) {
      co_await send_end(out, "the supervisor is leaving");
      co_return;
    }
    co_await wait(*wake);
    if (!wake->changed && !wake->gone) error = co_await send_piece(out, sign_of_life);
  }
  if (error == beast::error::timeout) source.was_too_slow();
}

}  // namespace ts::api
