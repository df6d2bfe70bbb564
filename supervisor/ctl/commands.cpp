#include "supervisor/ctl/commands.h"

#include <cstdio>
#include <thread>
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/checkpoint/names.h"
#include "supervisor/ctl/answers.h"
#include "supervisor/ctl/render.h"

namespace ts::ctl {
namespace {

namespace json = boost::json;

constexpr std::chrono::milliseconds kPollInterval{100};

Result<json::object> read_status(const Client& client) {
  const auto reply = client.request("GET", "/v1/status");
  if (!reply) return reply.error();
  return object_in(*reply);
}

bool is_active(const std::string& state) {
  return state == "starting" || state == "running" || state == "stopping" || state == "backoff";
}

// Sends a command; its sentence is printed whether it was accepted or not.
Exit send(const Client& client, const std::string& target, const std::string& body = {}) {
  const auto reply = client.request("POST", target, body);
  if (!reply) return complain(reply.error());
  const auto answer = object_in(*reply);
  if (!answer) return complain(answer.error());
  if (reply->status < 300) {
    say(string_member(*answer, "message").value_or("Done."));
    return Exit::ok;
  }
  return complain(string_member(*answer, "detail").value_or("The supervisor refused."),
                  reply->status == 422 || reply->status == 400 ? Exit::usage : Exit::failed);
}

enum class Goal { up, down };

// Polls until the goal is reached or cannot be any more. `attempt_before` is that of the launch to leave behind.
Exit await(const Client& client, Goal goal, std::int64_t attempt_before, const WaitOptions& options) {
  if (!options.wait) return Exit::ok;
  const auto until = std::chrono::steady_clock::now() + options.timeout;
  while (true) {
    const auto status = read_status(client);
    if (!status) return complain(status.error());
    const std::string state = string_member(*status, "state").value_or("");
    const std::string sentence = state + ": " + string_member(*status, "reason").value_or("");
    const bool relaunched = integer_member(*status, "attempt").value_or(0) > attempt_before;
    const bool there =
        goal == Goal::down ? !is_active(state) : relaunched && (state == "running" || state == "finished");
    if (there) {
      say(escape_control(sentence) + ".");
      return Exit::ok;
    }
    if (goal == Goal::up && state == "fatal") return complain(escape_control(sentence), Exit::failed);
    if (std::chrono::steady_clock::now() > until) {
      return complain("timed out after " + std::to_string(options.timeout.count()) + " s; it is " + state + " now.",
                      Exit::timed_out);
    }
    std::this_thread::sleep_for(kPollInterval);
  }
}

std::int64_t attempt_of(const Client& client) {
  const auto status = read_status(client);
  return status ? integer_member(*status, "attempt").value_or(0) : 0;
}

}  // namespace

Exit show_status(const Client& client, bool as_json) {
  const auto status = read_status(client);
  if (!status) return complain(status.error());
  std::fputs((as_json ? pretty_json(*status) : render_status(*status)).c_str(), stdout);
  return is_active(string_member(*status, "state").value_or("")) ? Exit::ok : Exit::not_running;
}

Exit start(const Client& client, const WaitOptions& wait) {
  const auto before = read_status(client);
  if (!before) return complain(before.error());
  const Exit sent = send(client, "/v1/start");
  if (sent != Exit::ok) return sent;
  // One that runs already, or is finished, makes no new attempt.
  return await(client, Goal::up, -1, wait);
}

Exit stop(const Client& client, const WaitOptions& wait) {
  const Exit sent = send(client, "/v1/stop");
  return sent == Exit::ok ? await(client, Goal::down, 0, wait) : sent;
}

Exit fresh(const Client& client, const WaitOptions& wait) {
  const std::int64_t before = attempt_of(client);
  const Exit sent = send(client, "/v1/fresh");
  return sent == Exit::ok ? await(client, Goal::up, before, wait) : sent;
}

Exit reload(const Client& client, bool as_json) {
  const auto reply = client.request("POST", "/v1/reload");
  if (!reply) return complain(reply.error());
  const auto answer = object_in(*reply);
  if (!answer) return complain(answer.error());
  if (as_json) std::fputs(pretty_json(*answer).c_str(), stdout);
  if (reply->status < 300) {
    if (!as_json) say(string_member(*answer, "message").value_or("Done."));
    return Exit::ok;
  }
  return complain(string_member(*answer, "detail").value_or("The supervisor refused."),
                  reply->status == 422 ? Exit::usage : Exit::failed);
}

Exit restart(const Client& client, const std::optional<std::string>& from, const WaitOptions& wait) {
  const std::int64_t before = attempt_of(client);
  json::object body;
  if (from) {
    const auto selector = checkpoint::parse_selector(*from);
    // The supervisor may run in another directory than we do.
    const bool is_path = selector && std::holds_alternative<checkpoint::AtPath>(*selector);
    body["from"] = is_path ? std::filesystem::absolute(*from).string() : *from;
  }
  const Exit sent = send(client, "/v1/restart", from ? compact_json(body) : std::string());
  return sent == Exit::ok ? await(client, Goal::up, before, wait) : sent;
}

}  // namespace ts::ctl
