#include "supervisor/api/routes.h"

#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "common/base/json.h"
#include "common/base/text.h"
#include "supervisor/api/event_stream.h"
#include "supervisor/api/incident_report.h"
#include "supervisor/api/output_stream.h"
#include "supervisor/api/settings.h"
#include "supervisor/api/worker_output.h"

namespace ts::api {
namespace {

namespace json = boost::json;

constexpr std::size_t kBodyBytesMax = 64 * 1024;
constexpr std::size_t kEventsMax = 1000;  // in one reply

using Answering = boost::asio::awaitable<Reply>;

// A request and whom to ask. What is viewed here is the request's, which outlives the answer.
struct Call {
  const Request& request;
  const Peer& peer;
  Backend& backend;
  std::string_view named;  // what stands in the place of {…} in the path
  std::string_view asked;  // behind the '?'
};

std::string_view title_of(unsigned status) {
  switch (status) {
    case 400: return "Bad request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not found";
    case 405: return "Method not allowed";
    case 409: return "Refused";
    case 422: return "Unprocessable content";
    case 503: return "Not now";
    default: return "Failed";
  }
}

Reply document(const json::object& object) {
  return {200, "application/json", pretty_json(object)};
}

// A target that does not exist or does not verify is the asker's mistake, anything else a refusal.
Reply reply_to(const Result<std::string>& result) {
  if (result) return {202, "application/json", compact_json(json::object{{"message", *result}}) + "\n"};
  const ErrorKind kind = result.error().kind;
  const bool bad_target = kind == ErrorKind::not_found || kind == ErrorKind::checkpoint;
  return problem(bad_target ? 422 : 409, result.error().message);
}

Reply reply_to(const Result<Reloaded>& result) {
  if (!result) return problem(result.error().kind == ErrorKind::configuration ? 422 : 409, result.error().message);
  return document({{"message", result->message}, {"changes", changes_document(result->changes)}});
}

Reply reply_to(const Result<json::object>& result) {
  if (result) return document(*result);
  const bool unknown = result.error().kind == ErrorKind::not_found;
  return problem(unknown ? 404 : 500, result.error().message);
}

// {"from": "ep200"}, or nothing at all.
Result<std::optional<std::string>> parse_restart(const std::string& body) {
  if (body.empty()) return std::optional<std::string>();
  const auto parsed = parse_json(body, "the request's body", kBodyBytesMax);
  if (!parsed) return parsed.error();
  const json::object* object = parsed->if_object();
  if (object == nullptr) return make_error(ErrorKind::data, "the request's body is no JSON object.");
  for (const auto& member : *object) {
    if (member.key() != "from" || !member.value().is_string()) {
      return make_error(ErrorKind::data, "the request's body may hold \"from\", a text, and nothing else.");
    }
  }
  return string_member(*object, "from");
}

// What stands behind the '?'.
struct Asked {
  std::optional<std::string_view> since;
  std::size_t limit = 100;
};

// Where a stream or a page may begin.
struct Places {
  bool (*is_one)(std::string_view);  // null: nowhere in particular
  std::string_view name;             // for sentences
};

constexpr Places kNowhere{nullptr, ""};
constexpr Places kEventNumbers{[](std::string_view text) { return parse_plain_integer(text).has_value(); },
                               "an event's number"};
constexpr Places kOutputPlaces{[](std::string_view text) { return parse_output_place(text).has_value(); },
                               "a place that the log's answers name"};

// "since=12&limit=50"; `since` where that has a meaning.
Result<Asked> parse_query(std::string_view text, const Places& places, std::size_t limit_max) {
  Asked asked;
  asked.limit = std::min(asked.limit, limit_max);
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    const std::size_t equals = std::min(part.find('='), part.size());
    const std::string_view name = part.substr(0, equals);
    const std::string_view value = part.substr(std::min(part.size(), equals + 1));
    const auto number = parse_plain_integer(value);
    if (places.is_one != nullptr && name == "since" && places.is_one(value)) {
      asked.since = value;
    } else if (name == "limit" && number && *number >= 1 && static_cast<std::uint64_t>(*number) <= limit_max) {
      asked.limit = static_cast<std::size_t>(*number);
    } else {
      const std::string since = places.is_one == nullptr ? "" : "since= " + std::string(places.name) + " and ";
      return make_error(ErrorKind::data, "the request may ask for " + since + "limit= 1 to " +
                                             std::to_string(limit_max) + ", not for " + escape_control(part) + ".");
    }
  }
  return asked;
}

// A place in the header is where the client stands by now, one in the request where it once began.
Result<Asked> parse_stream_query(const Call& call, const Places& places, std::size_t limit_max) {
  auto asked = parse_query(call.asked, places, limit_max);
  const std::string_view header = call.request.last_event_id;
  if (!asked || header.empty()) return asked;
  if (!places.is_one(header)) {
    return make_error(ErrorKind::data, "Last-Event-ID must be " + std::string(places.name) + ".");
  }
  asked->since = header;
  return asked;
}

Answering answer_metrics(Call call) {
  co_return Reply{200, kMetricsContentType, to_prometheus(call.backend.measures())};
}

Answering answer_status(Call call) {
  co_return document(call.backend.status());
}

Answering answer_config(Call call) {
  co_return document(call.backend.settings());
}

Answering answer_events(Call call) {
  const auto asked = parse_query(call.asked, kEventNumbers, kEventsMax);
  if (!asked) co_return problem(400, asked.error().message);
  EventQuery query{std::nullopt, asked->limit};
  if (asked->since) query.since = parse_plain_integer(*asked->since);
  const auto page = co_await call.backend.events(query);
  if (!page) co_return problem(503, page.error().message);
  co_return Reply{200, "application/json", to_json(*page)};
}

Answering stream_events(Call call) {
  const auto asked = parse_stream_query(call, kEventNumbers, kEventsMax);
  if (!asked) co_return problem(400, asked.error().message);
  auto since = asked->since ? parse_plain_integer(*asked->since) : std::nullopt;
  if (!since) {
    const auto page = co_await call.backend.events({std::nullopt, 1});
    if (!page) co_return problem(503, page.error().message);
    since = page->newest;
  }
  co_return Reply{200, "text/event-stream", {}, std::make_unique<EventStream>(call.backend, call.peer, *since)};
}

Answering answer_logs(Call call) {
  const auto asked = parse_query(call.asked, kNowhere, kOutputLinesMax);
  if (!asked) co_return problem(400, asked.error().message);
  const auto page = co_await call.backend.newest_output(asked->limit);
  if (!page) co_return problem(503, page.error().message);
  co_return Reply{200, "application/json", to_json(*page, call.backend.output_file())};
}

Answering stream_logs(Call call) {
  const auto asked = parse_stream_query(call, kOutputPlaces, kOutputLinesMax);
  if (!asked) co_return problem(400, asked.error().message);
  auto since = asked->since ? parse_output_place(*asked->since) : std::nullopt;
  if (!since) {
    const auto page = co_await call.backend.newest_output(1);
    if (!page) co_return problem(503, page.error().message);
    since = page->place;
  }
  co_return Reply{200, "text/event-stream", {}, std::make_unique<OutputStream>(call.backend, call.peer, *since)};
}

Answering answer_incidents(Call call) {
  const auto query = parse_query(call.asked, kNowhere, kIncidentsMax);
  if (!query) co_return problem(400, query.error().message);
  const auto incidents = co_await call.backend.incidents(query->limit);
  co_return reply_to(incidents);
}

Answering answer_incident(Call call) {
  const auto incident = co_await call.backend.incident(std::string(call.named));
  co_return reply_to(incident);
}

template <Result<std::string> (Backend::*command)(const Peer&)>
Answering carry_out(Call call) {
  co_return reply_to((call.backend.*command)(call.peer));
}

Answering fresh(Call call) {
  const auto started = co_await call.backend.fresh(call.peer);
  co_return reply_to(started);
}

Answering restart(Call call) {
  const auto from = parse_restart(call.request.body);
  if (!from) co_return problem(400, from.error().message);
  const auto restarted = co_await call.backend.restart(call.peer, *from);
  co_return reply_to(restarted);
}

Answering reload(Call call) {
  const auto reloaded = co_await call.backend.reload(call.peer);
  co_return reply_to(reloaded);
}

// Who is answered: what lies in files that not everybody may read (the log, values of environment variables) is not for
// everybody either.
enum class For { everybody, holders_of_the_token };
constexpr For kAll = For::everybody;
constexpr For kHolders = For::holders_of_the_token;

struct Route {
  std::string_view method;
  std::string_view path;  // a {…} at its end stands for anything but nothing
  For whom;
  bool takes_questions;
  Answering (*answer)(Call);
};

// What there is. docs/PROTOCOL.md says it in words.
constexpr auto kRoutes = std::to_array<Route>({
    {"GET", "/metrics", kAll, false, answer_metrics},
    {"GET", "/v1/status", kAll, false, answer_status},
    {"GET", "/v1/config", kHolders, false, answer_config},
    {"GET", "/v1/events", kAll, true, answer_events},
    {"GET", "/v1/events/stream", kAll, true, stream_events},
    {"GET", "/v1/logs", kHolders, true, answer_logs},
    {"GET", "/v1/logs/stream", kHolders, true, stream_logs},
    {"GET", "/v1/incidents", kAll, true, answer_incidents},
    {"GET", "/v1/incidents/{id}", kHolders, false, answer_incident},
    {"POST", "/v1/start", kHolders, false, carry_out<&Backend::start>},
    {"POST", "/v1/stop", kHolders, false, carry_out<&Backend::stop>},
    {"POST", "/v1/checkpoint", kHolders, false, carry_out<&Backend::checkpoint>},
    {"POST", "/v1/fresh", kHolders, false, fresh},
    {"POST", "/v1/restart", kHolders, false, restart},
    {"POST", "/v1/reload", kHolders, false, reload},
});

// What stands in the place of {…}, or nothing when the path is another one.
std::optional<std::string_view> match(std::string_view pattern, std::string_view path) {
  const std::size_t fixed = pattern.find('{');
  if (fixed == std::string_view::npos) return pattern == path ? std::optional(std::string_view()) : std::nullopt;
  if (path.size() <= fixed || !path.starts_with(pattern.substr(0, fixed))) return std::nullopt;
  return path.substr(fixed);
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

boost::asio::awaitable<Reply> answer(const Request& request, const Peer& peer, Backend& backend, Access access) {
  const std::string_view target = request.target;
  const std::string_view path = target.substr(0, target.find('?'));
  const std::string_view asked = target.substr(std::min(target.size(), path.size() + 1));
  for (const Route& route : kRoutes) {
    const auto named = match(route.path, path);
    if (!named) continue;
    if (request.method != route.method) {
      co_return problem(405, std::string(route.path) + " wants " + std::string(route.method) + ".");
    }
    if (access == Access::looking && route.whom == For::holders_of_the_token) {
      if (route.method != "GET") backend.turned_away(peer, request.method + " " + std::string(route.path));
      co_return problem(401, std::string(route.path) +
                                 " over TCP needs the token of http.token in the state directory: "
                                 "Authorization: Bearer TOKEN.");
    }
    if (!asked.empty() && !route.takes_questions) {
      co_return problem(400, std::string(route.path) + " takes nothing behind a '?'.");
    }
    co_return co_await route.answer(Call{request, peer, backend, *named, asked});
  }
  co_return problem(404, "There is no " + escape_control(request.target) + "; docs/PROTOCOL.md lists what there is.");
}

}  // namespace ts::api
