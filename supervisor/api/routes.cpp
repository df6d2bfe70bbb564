#include "supervisor/api/routes.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "common/base/json.h"
#include "common/base/text.h"
#include "supervisor/api/incident_report.h"

namespace ts::api {
namespace {

namespace json = boost::json;

constexpr std::size_t kBodyBytesMax = 64 * 1024;

std::string_view title_of(unsigned status) {
  switch (status) {
    case 400: return "Bad request";
    case 404: return "Not found";
    case 405: return "Method not allowed";
    case 409: return "Refused";
    case 422: return "No usable checkpoint";
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
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kRoutes = {{
      {"GET", "/metrics"},
      {"GET", "/v1/status"},
      {"POST", "/v1/start"},
      {"POST", "/v1/stop"},
      {"POST", "/v1/restart"},
      {"POST", "/v1/fresh"},
  }};
  for (const auto& [method, target] : kRoutes) {
    if (request.target != target || request.method == method) continue;
    co_return problem(405, std::string(target) + " wants " + std::string(method) + ".");
  }
  if (request.target == "/v1/status") co_return Reply{200, "application/json", pretty_json(backend.status())};
  if (request.target == "/metrics") co_return Reply{200, kMetricsContentType, to_prometheus(backend.measures())};
  if (request.target == "/v1/start") co_return reply_to(backend.start(peer));
  if (request.target == "/v1/stop") co_return reply_to(backend.stop(peer));
  if (request.target == "/v1/fresh") co_return reply_to(backend.fresh(peer));
  if (request.target == "/v1/restart") {
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
