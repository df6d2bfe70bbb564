// The status as the verbs read it. Internal to supervisor/ctl.
#pragma once

#include <cstdint>
#include <string>

#include <boost/json/object.hpp>

#include "common/base/json.h"
#include "common/base/text.h"
#include "supervisor/ctl/answers.h"

namespace ts::ctl {

// Errors: `unavailable` without a supervisor; `internal` for an answer that is no status of a format known here.
inline Result<boost::json::object> read_status(const Client& client) {
  constexpr std::int64_t kFormat = 1;
  const auto reply = client.request("GET", "/v1/status");
  if (!reply) return reply.error();
  if (reply->status != 200) return make_error(ErrorKind::internal, detail_in(*reply));
  auto status = object_in(*reply);
  if (!status) return status;
  const auto format = integer_member(*status, "format");
  if (format == kFormat) return status;
  return make_error(ErrorKind::internal,
                    "the supervisor's status has format " + (format ? std::to_string(*format) : std::string("none")) +
                        ", and this supervisorctl (" + std::string(api::kVersion) +
                        ") reads format 1. Use the one of " + "the supervisor's version" +
                        (reply->version.empty() ? "." : ", " + escape_control(reply->version) + "."));
}

inline bool is_active(const std::string& state) {
  return state == "starting" || state == "running" || state == "stopping" || state == "backoff";
}

// "running: attempt 1 is training"
inline std::string sentence_of(const boost::json::object& status) {
  return escape_control(string_member(status, "state").value_or("?") + ": " +
                        string_member(status, "reason").value_or("?"));
}

}  // namespace ts::ctl
