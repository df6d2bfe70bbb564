#include "supervisor/shell/events.h"

#include <chrono>
#include <optional>
#include <utility>

#include <boost/asio/as_tuple.hpp>

#include "common/base/text.h"

namespace ts::shell {
namespace {

constexpr std::size_t kRemembered = 256;
constexpr std::size_t kMessageBytesMax = 4096;
constexpr std::chrono::seconds kDiskPatience{5};

// An answer on its way from the disk. Only the io_context's thread holds it.
struct Awaited {
  explicit Awaited(asio::io_context& io) : timer(io, kDiskPatience) {}

  asio::steady_timer timer;
  std::optional<api::EventPage> page;
};

}  // namespace

Events::Events(asio::io_context& io, Children& children, checkpoint::Directory directory, std::vector<std::string> hook,
               Log& log, std::function<EventContext()> context)
    : io_(io),
      log_(log),
      context_(std::move(context)),
      ring_(kRemembered),
      journal_(
          std::move(directory),
          [this](JournalNews news) { asio::post(io_, [this, news = std::move(news)] { tell_of_journal(news); }); },
          kRemembered),
      next_id_(journal_.first_id()),
      hooks_(io, children, std::move(hook), [this](std::string message, boost::json::object details) {
        tell(api::EventType::hook, api::EventLevel::warn, std::move(message), std::move(details));
      }) {
  ring_.begin_with(journal_.found());
}

Events::~Events() = default;

void Events::tell(api::EventType type, api::EventLevel level, std::string message, boost::json::object details) {
  EventContext context = context_();
  const api::Event event{next_id_++,
                         rfc3339_utc(std::chrono::system_clock::now()),
                         type,
                         level,
                         shorten(message, kMessageBytesMax),
                         std::move(context.run_id),
                         context.attempt,
                         context.episode,
                         std::move(details)};
  log_.write(event);
  const auto line = std::make_shared<const api::EventLine>(api::to_line(event));
  ring_.add(line);
  journal_.append(line);
  changes_.tell();
  hooks_.run(event);
}

void Events::tell_of_journal(const JournalNews& news) {
  boost::json::object details;
  details["lost"] = news.lost;
  if (news.lost == 0) {
    return tell(api::EventType::trouble, api::EventLevel::warn,
                "Events are not being written: " + news.why + " Going on without.", std::move(details));
  }
  tell(api::EventType::trouble, api::EventLevel::warn,
       std::to_string(news.lost) + (news.lost == 1 ? " event is" : " events are") + " not in the journal: " +
           (news.why.empty() ? "the disk was too slow." : news.why) + " Events are being written again.",
       std::move(details));
}

asio::awaitable<Result<api::EventPage>> Events::answer(api::EventQuery query) {
  if (auto page = ring_.answer(query)) co_return std::move(*page);
  const auto awaited = std::make_shared<Awaited>(io_);
  // What the ring knows best: the file may be behind it.
  if (query.since) query.since = ring_.effective_since(*query.since);
  const bool asked = journal_.ask(query, [this, weak = std::weak_ptr(awaited)](api::EventPage page) {
    asio::post(io_, [weak, page = std::move(page)]() mutable {
      const auto waiting = weak.lock();
      if (!waiting) return;
      waiting->page = std::move(page);
      waiting->timer.cancel();
    });
  });
  if (asked) co_await awaited->timer.async_wait(asio::as_tuple(asio::use_awaitable));
  if (!awaited->page) {
    co_return make_error(ErrorKind::unavailable, "The disk does not answer; the events cannot be read now.");
  }
  api::EventPage& page = *awaited->page;
  // What never reached the file is lost; what came after it is not.
  if (query.since && page.events.empty()) co_return ring_.oldest(query.limit);
  page.newest = ring_.newest();
  if (query.since) page.more = page.events.back()->id < page.newest;
  co_return std::move(page);
}

}  // namespace ts::shell
