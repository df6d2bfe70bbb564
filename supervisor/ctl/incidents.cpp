#include "supervisor/ctl/incidents.h"

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "common/base/json.h"
#include "common/base/text.h"
#include "supervisor/api/incidents.h"
#include "supervisor/ctl/answers.h"
#include "supervisor/ctl/terminal.h"

namespace ts::ctl {
namespace {

namespace json = boost::json;
using std::chrono::system_clock;

// Of a name, in a request's target.
bool is_plain(std::string_view selector) {
  return !selector.empty() && selector.find_first_not_of(
                                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-._") == std::string_view::npos;
}

Result<json::object> ask(const Client& client, const std::string& target) {
  const auto reply = client.request("GET", target);
  if (!reply) return reply.error();
  const auto document = object_in(*reply);
  if (!document || reply->status == 200) return document;
  return make_error(reply->status == 404 ? ErrorKind::not_found : ErrorKind::internal, detail_in(*reply));
}

// `read` does without the daemon what the target does with it.
template <class Read>
Result<json::object> fetch(const IncidentSource& source, const std::string& target, Read&& read) {
  auto answer = ask(source.client, target);
  const bool alone = !answer && answer.error().kind == ErrorKind::unavailable && source.state_directory;
  return alone ? read(*source.state_directory) : std::move(answer);
}

Exit complain(const Error& error, Exit not_found) {
  return error.kind == ErrorKind::not_found ? ctl::complain(error.message, not_found) : ctl::complain(error);
}

}  // namespace

Exit list_incidents(const IncidentSource& source, std::size_t limit, bool as_json) {
  const auto document = fetch(source, "/v1/incidents?limit=" + std::to_string(limit),
                              [&](const auto& directory) { return api::incidents_document(directory, limit); });
  if (!document) return complain(document.error(), Exit::failed);
  std::fputs(
      (as_json ? pretty_json(*document) : render_incidents(*document, system_clock::now(), look_of_terminal().width))
          .c_str(),
      stdout);
  return Exit::ok;
}

Exit show_incident(const IncidentSource& source, const std::string& selector, bool as_json) {
  if (!is_plain(selector)) {
    return complain(make_error(ErrorKind::not_found, escape_control(selector) +
                                                         " cannot be an incident's name. Name one by its id, the "
                                                         "beginning of it, its attempt's number, or latest; "
                                                         "`supervisorctl incidents` lists them."),
                    Exit::usage);
  }
  const auto document = fetch(source, "/v1/incidents/" + selector,
                              [&](const auto& directory) { return api::incident_document(directory, selector); });
  if (!document) return complain(document.error(), Exit::usage);
  std::fputs((as_json ? pretty_json(*document) : render_incident(*document, system_clock::now())).c_str(), stdout);
  return object_member(*document, "report") != nullptr ? Exit::ok : Exit::failed;
}

}  // namespace ts::ctl
