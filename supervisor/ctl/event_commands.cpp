// supervisorctl events.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/checkpoint/directory.h"
#include "supervisor/api/event_file.h"
#include "supervisor/ctl/answers.h"
#include "supervisor/ctl/commands.h"
#include "supervisor/ctl/following.h"
#include "supervisor/ctl/render.h"

namespace ts::ctl {
namespace {

namespace json = boost::json;

void print(const json::object& event, bool as_json) {
  std::fputs((as_json ? compact_json(event) + "\n" : render_event(event)).c_str(), stdout);
}

// From the file, as the supervisor would have answered it.
Exit show_journal(const Error& no_daemon, const Result<config::Config>& config, const EventsOptions& options) {
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
  const api::EventPage page = api::read_events(*directory, {std::nullopt, options.count});
  for (const auto& event : page.events) {
    const auto parsed = parse_json(event->json, "an event", api::kEventBytesMax);
    if (parsed && parsed->is_object()) print(parsed->get_object(), options.as_json);
  }
  return Exit::ok;
}

}  // namespace

Exit show_events(const Client& client, const Result<config::Config>& config, const EventsOptions& options) {
  const std::size_t asked = options.count > 0 ? options.count : 1;
  const auto reply = client.request("GET", "/v1/events?limit=" + std::to_string(asked));
  if (!reply) {
    const bool no_daemon = reply.error().kind == ErrorKind::unavailable;
    return no_daemon && !options.follow ? show_journal(reply.error(), config, options) : complain(reply.error());
  }
  if (reply->status != 200) return complain(detail_in(*reply), Exit::failed);
  const auto page = object_in(*reply);
  if (!page) return complain(page.error());
  const json::value* events = page->if_contains("events");
  if (events == nullptr || !events->is_array()) {
    return complain("the supervisor's answer has no events.", Exit::failed);
  }
  for (const json::value& event : events->get_array()) {
    if (options.count > 0 && event.is_object()) print(event.get_object(), options.as_json);
  }
  std::fflush(stdout);
  if (!options.follow) return Exit::ok;
  return follow_stream(
      client, "/v1/events/stream", std::to_string(integer_member(*page, "newest").value_or(0)),
      [](const std::string& place) { return "after event " + place; },
      [&](const api::ServerSent& sent) {
        const auto event = parse_json(sent.data, "an event", api::kEventBytesMax);
        if (event && event->is_object()) print(event->get_object(), options.as_json);
      });
}

}  // namespace ts::ctl
