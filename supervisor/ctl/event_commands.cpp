// supervisorctl events.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/checkpoint/directory.h"
#include "supervisor/api/event_file.h"
#include "supervisor/ctl/answers.h"
#include "supervisor/ctl/commands.h"
#include "supervisor/ctl/event_filter.h"
#include "supervisor/ctl/following.h"
#include "supervisor/ctl/render.h"

namespace ts::ctl {
namespace {

namespace json = boost::json;

void print(const json::object& event, bool as_json) {
  std::fputs((as_json ? compact_json(event) + "\n" : render_event(event)).c_str(), stdout);
}

// From the file, as the supervisor would have answered it.
Exit show_journal(const Error& no_daemon, const Result<config::Config>& config, const EventFilter& filter,
                  const EventsOptions& options) {
  if (!config) return complain(no_daemon);
  const auto directory =
      checkpoint::Directory::open(config::resolved_state_directory(*config), checkpoint::Directory::Create::no);
  if (!directory) return complain(no_daemon);
  const std::string file = api::journal_file_name(0);
  if (::faccessat(directory->fd(), file.c_str(), R_OK, AT_EACCESS) != 0 && errno == EACCES) {
    return complain(make_error(no_daemon.kind, no_daemon.message + " And " + directory->path_of(file) +
                                                   ", where the events are too, is not yours to read."));
  }
  complain(no_daemon.message + " What follows is from " + directory->path_of(file) + ".", Exit::ok);
  const FetchEvents read = [&](std::optional<std::int64_t> since, std::size_t limit) -> Result<FetchedEvents> {
    const api::EventPage page = api::read_events(*directory, {since, limit});
    FetchedEvents out{{}, page.newest};
    for (const auto& event : page.events) {
      auto parsed = parse_json(event->json, "an event", api::kEventBytesMax);
      if (parsed && parsed->is_object()) out.events.push_back(std::move(parsed->get_object()));
    }
    return out;
  };
  const auto found = newest_events(read, filter, options.count);
  if (!found) return complain(found.error());
  for (const json::object& event : found->events) print(event, options.as_json);
  return Exit::ok;
}

// From the supervisor. A refusal is of another kind than `unavailable`.
Result<FetchedEvents> ask(const Client& client, std::optional<std::int64_t> since, std::size_t limit) {
  const auto reply = client.request("GET", "/v1/events?limit=" + std::to_string(limit) +
                                               (since ? "&since=" + std::to_string(*since) : std::string()));
  if (!reply) return reply.error();
  if (reply->status != 200) return make_error(ErrorKind::internal, detail_in(*reply));
  const auto page = object_in(*reply);
  if (!page) return page.error();
  const json::value* events = page->if_contains("events");
  if (events == nullptr || !events->is_array()) {
    return make_error(ErrorKind::internal, "the supervisor's answer has no events.");
  }
  FetchedEvents out{{}, integer_member(*page, "newest").value_or(0)};
  for (const json::value& event : events->get_array()) {
    if (event.is_object()) out.events.push_back(event.get_object());
  }
  return out;
}

}  // namespace

Exit show_events(const Client& client, const Result<config::Config>& config, const EventsOptions& options) {
  const auto filter = parse_event_filter(options.level, options.type);
  if (!filter) return complain(filter.error().message, Exit::usage);
  const auto found =
      newest_events([&](std::optional<std::int64_t> since, std::size_t limit) { return ask(client, since, limit); },
                    *filter, options.count);
  if (!found) {
    const bool no_daemon = found.error().kind == ErrorKind::unavailable;
    return no_daemon && !options.follow ? show_journal(found.error(), config, *filter, options)
                                        : complain(found.error());
  }
  for (const json::object& event : found->events) print(event, options.as_json);
  std::fflush(stdout);
  if (!options.follow) return Exit::ok;
  return follow_stream(
      client, "/v1/events/stream", std::to_string(found->newest),
      [](const std::string& place) { return "after event " + place; },
      [&](const api::ServerSent& sent) {
        const auto event = parse_json(sent.data, "an event", api::kEventBytesMax);
        if (event && event->is_object() && filter->passes(event->get_object())) {
          print(event->get_object(), options.as_json);
        }
      });
}

}  // namespace ts::ctl
