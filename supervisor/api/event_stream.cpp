#include "supervisor/api/event_stream.h"

#include "supervisor/api/server_sent.h"

namespace ts::api {
namespace {

constexpr std::size_t kEventsAtOnce = 64;  // with kEventBytesMax this bounds what one client costs

}  // namespace

boost::asio::awaitable<Result<std::string>> EventStream::more() {
  const auto page = co_await backend_.events({since_, kEventsAtOnce});
  if (!page) co_return page.error();
  std::string frames;
  for (const auto& event : page->events) {
    frames += frame({std::to_string(event->id), event->type, event->json});
    since_ = event->id;
  }
  co_return frames;
}

}  // namespace ts::api
