#include "supervisor/api/output_stream.h"

#include <chrono>

#include <boost/asio/this_coro.hpp>

#include "supervisor/api/server_sent.h"

namespace ts::api {
namespace {

constexpr std::chrono::milliseconds kBetweenLooks{250};

}  // namespace

boost::asio::awaitable<Result<std::string>> OutputStream::more() {
  std::string frames;
  // The end of a file is a piece of its own, maybe without a line: what follows it stands in the next one.
  OutputPlace before;
  do {
    before = since_;
    const auto page = co_await backend_.output_after(since_);
    if (!page) co_return page.error();
    for (const OutputLine& line : page->lines) frames += frame({to_text(line.after), "line", to_json(line)});
    since_ = page->place;
  } while (frames.empty() && since_ != before);
  if (frames.empty()) look_again_later(co_await boost::asio::this_coro::executor);
  co_return frames;
}

void OutputStream::look_again_later(const boost::asio::any_io_executor& executor) {
  if (!timer_) timer_.emplace(executor);
  timer_->expires_after(kBetweenLooks);
  timer_->async_wait([changes = changes_](const boost::system::error_code& error) {
    if (!error) changes->tell();
  });
}

}  // namespace ts::api
