#include "supervisor/api/routes.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "common/base/json.h"
#include "common/base/text.h"
#include "supervisor/api/event_stream.h"
#include "supervisor/api/incident_report.h"

namespace ts::api {
namespace {

namespace json = boost::json;

constexpr std::size_t kBodyBytesMax = 64 * 1024;
constexpr std::int64_t kEventsMax = 1000;  // in one reply

std::string_view title_of(unsigned status) {
  switch (status) {
    case 400: return "Bad request";
    case 404: return "Not found";
    case 405: return "Method not allowed";
    case 409: return "Refused";
    case 422: return "No usable checkpoint";
    case 503: return "Not now";
    default: return "Failed";
  }
}

Reply accepted(const std::string& sentence) {
  json::object out;
  out["message"] = sentence;
  return {202, "application/json", compact_json(out) + "\n"};
}

// A target that does not exist or does not verify is the asker's mistake, anything else a refusal.
Reply reply_to(const Result<std::string>& result) {
  if (result) return accepted(*result);
  const ErrorKind kind = result.error().kind;
  const bool bad_target = kind == ErrorKind::not_found || kind == ErrorKind::checkpoint;
  return problem(bad_target ? 422 : 409, result.error().message);
}

// {"from": "ep200"}, or nothing at all.
Result<std::optional<std::string>> parse_restart(const std::string& body) {
  if (body.empty()) return std::optional<std::string>();
  const auto document = parse_json(body, "the request's body", kBodyBytesMax);
  if (!document) return document.error();
  const json::object* object = document->if_object();
  if (object == nullptr) return make_error(ErrorKind::data, "the request's body is no JSON object.");
  for (const auto& member : *object) {
    if (member.key() != "from" || !member.value().is_string()) {
      return make_error(ErrorKind::data, "the request's body may hold \"from\", a text, and nothing else.");
    }
  }
  return string_member(*object, "from");
}

Reply reply_to(const Result<json::object>& document) {
  if (document) return {200, "application/json", pretty_json(*document)};
  const bool unknown = document.error().kind == ErrorKind::not_found;
  return problem(unknown ? 404 : 500, document.error().message);
}

// /v1/incidents, /v1/incidents?limit=5 and /v1/incidents/ID.
struct IncidentTarget {
  std::string resource;
  std::string selector;  // empty: all of them
  std::size_t limit = kIncidentsMax;
  std::string problem;  // with the query; empty: none
};

std::optional<IncidentTarget> incident_target(std::string_view target) {
  constexpr std::string_view kResource = "/v1/incidents";
  if (!target.starts_with(kResource)) return std::nullopt;
  const std::string_view rest = target.substr(kResource.size());
  IncidentTarget out{std::string(kResource), {}, kIncidentsMax, {}};
  if (rest.size() > 1 && rest.front() == '/') {
    out.resource += "/ID";
    out.selector = rest.substr(1);
    return out;
  }
  if (rest.empty()) return out;
  if (rest.front() != '?') return std::nullopt;
  constexpr std::string_view kLimit = "?limit=";
  const auto limit = rest.starts_with(kLimit) ? parse_plain_integer(rest.substr(kLimit.size())) : std::nullopt;
  if (limit && *limit > 0) {
    out.limit = std::min(kIncidentsMax, static_cast<std::size_t>(*limit));
  } else {
    out.problem = "/v1/incidents understands ?limit=N, a whole number from 1 on, and nothing else.";
  }
  return out;
}

// "since=12&limit=50", whole numbers only.
Result<EventQuery> parse_event_query(std::string_view text) {
  EventQuery query;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    const std::size_t equals = std::min(part.find('='), part.size());
    const std::string_view name = part.substr(0, equals);
    const auto number = parse_plain_integer(part.substr(std::min(part.size(), equals + 1)));
    if (name == "since" && number) {
      query.since = *number;
    } else if (name == "limit" && number && *number >= 1 && *number <= kEventsMax) {
      query.limit = static_cast<std::size_t>(*number);
    } else {
      return make_error(ErrorKind::data, "the request may ask for since= an event's number and limit= 1 to " +
                                             std::to_string(kEventsMax) + ", not for " + escape_control(part) + ".");
    }
  }
  return query;
}

boost::asio::awaitable<Reply> answer_events(std::string_view asked, Backend& backend) {
  const auto query = parse_event_query(asked);
  if (!query) co_return problem(400, query.error().message);
  const auto page = co_await backend.events(*query);
  if (!page) co_return problem(503, page.error().message);
  co_return Reply{200, "application/json", to_json(*page)};
}

// A place in the header is where the client stands by now, one in the request where it once began.
boost::asio::awaitable<Reply> stream_events(std::string_view asked, const Request& request, const Peer& peer,
                                            Backend& backend) {
  auto query = parse_event_query(asked);
  if (!query) co_return problem(400, query.error().message);
  if (!request.last_event_id.empty()) {
    const auto place = parse_plain_integer(request.last_event_id);
    if (!place) co_return problem(400, "Last-Event-ID must be an event's number.");
    query->since = *place;
  }
  if (!query->since) {
    const auto page = co_await backend.events({std::nullopt, 1});
    if (!page) co_return problem(503, page.error().message);
    query->since = page->newest;
  }
  co_return Reply{200, "text/event-stream", {}, std::make_unique<EventStream>(backend, peer, *query->since)};
}

}  // namespace

Reply problem(unsigned status, const std::string& detail) {
  json::object out;
  out["type"] = "about:blank";
  out["title"] = title_of(status);
  out["status"] = status;
  out["detail"] = detail;
  return {status, "application/problem+json", compact_json(out) + "\n"};
}

boost::asio::awaitable<Reply> answer(const Request& request, const Peer& peer, Backend& backend) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kRoutes = {{
      {"GET", "/metrics"},
      {"GET", "/v1/status"},
      {"GET", "/v1/events"},
      {"GET", "/v1/events/stream"},
      {"POST", "/v1/start"},
      {"POST", "/v1/stop"},
      {"POST", "/v1/restart"},
      {"POST", "/v1/fresh"},
  }};
  const std::string_view target = request.target;
  const std::string_view path = target.substr(0, target.find('?'));
  const std::string_view asked = target.substr(std::min(target.size(), path.size() + 1));
  for (const auto& [method, known] : kRoutes) {
    const bool takes_questions = known.starts_with("/v1/events");
    if ((takes_questions ? path : target) != known || request.method == method) continue;
    co_return problem(405, std::string(known) + " wants " + std::string(method) + ".");
  }
  if (path == "/v1/events") co_return co_await answer_events(asked, backend);
  if (path == "/v1/events/stream") co_return co_await stream_events(asked, request, peer, backend);
  if (target == "/v1/status") co_return Reply{200, "application/json", pretty_json(backend.status())};
  if (target == "/metrics") co_return Reply{200, kMetricsContentType, to_prometheus(backend.measures())};
  if (target == "/v1/start") co_return reply_to(backend.start(peer));
  if (target == "/v1/stop") co_return reply_to(backend.stop(peer));
  if (target == "/v1/fresh") co_return reply_to(backend.fresh(peer));
  if (target == "/v1/restart") {
    const auto from = parse_restart(request.body);
    if (!from) co_return problem(400, from.error().message);
    co_return reply_to(co_await backend.restart(peer, *from));
  }
  if (const auto incident = incident_target(request.target)) {
    if (request.method != "GET") co_return problem(405, incident->resource + " wants GET.");
    if (!incident->problem.empty()) co_return problem(400, incident->problem);
    // Each in a statement of its own: GCC 12 destroys what a conditional with two co_awaits makes twice.
    if (!incident->selector.empty()) {
      const auto document = co_await backend.incident(incident->selector);
      co_return reply_to(document);
    }
    const auto document = co_await backend.incidents(incident->limit);
    co_return reply_to(document);
  }
  co_return problem(404, "There is no " + escape_control(request.target) + "; docs/PROTOCOL.md lists what there is.");
}

}  // namespace ts::api
