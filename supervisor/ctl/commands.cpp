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
#include "supervisor/ctl/status_reading.h"

namespace ts::ctl {
namespace {

namespace json = boost::json;

constexpr std::chrono::milliseconds kPollInterval{100};

// Sends a command; its sentence is printed whether it was accepted or not. Programs get it only where nothing follows.
Exit send(const Client& client, const std::string& target, const WaitOptions& options, const std::string& body = {}) {
  const auto reply = client.request("POST", target, body);
  if (!reply) return complain(reply.error());
  const auto answer = object_in(*reply);
  if (!answer) return complain(answer.error());
  if (reply->status < 300) {
    const std::string message = string_member(*answer, "message").value_or("Done.");
    return options.wait && options.as_json ? Exit::ok : conclude(message, Exit::ok, std::nullopt, options.as_json);
  }
  const bool bad = reply->status == 422 || reply->status == 400;
  return conclude(detail_in(*reply), bad ? Exit::usage : Exit::failed, std::nullopt, options.as_json);
}

// Why a save that was asked for may not be there yet.
std::string worker_words(const json::object& status) {
  const auto* worker = object_member(status, "worker");
  const auto says = worker == nullptr ? std::nullopt : string_member(*worker, "says");
  return says ? "the worker says: " + escape_control(*says) : "no newer checkpoint is durable yet.";
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
    const std::string sentence = sentence_of(*status);
    const bool relaunched = integer_member(*status, "attempt").value_or(0) > attempt_before;
    const bool there =
        goal == Goal::down ? !is_active(state) : relaunched && (state == "running" || state == "finished");
    const auto end = [&](const std::string& how, Exit exit) { return conclude(how, exit, *status, options.as_json); };
    if (there) return end(sentence + ".", Exit::ok);
    if (goal == Goal::up && state == "fatal") return end(sentence + ".", Exit::failed);
    if (std::chrono::steady_clock::now() > until) {
      return end("timed out after " + std::to_string(options.timeout.count()) + " s, and it goes on; " + sentence +
                     ". supervisorctl wait --until " + (goal == Goal::down ? "stopped" : "running") +
                     " waits for longer.",
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

Exit start(const Client& client, const WaitOptions& wait) {
  const auto before = read_status(client);
  if (!before) return complain(before.error());
  const Exit sent = send(client, "/v1/start", wait);
  if (sent != Exit::ok) return sent;
  // One that runs already, or is finished, makes no new attempt.
  return await(client, Goal::up, -1, wait);
}

Exit stop(const Client& client, const WaitOptions& wait) {
  const Exit sent = send(client, "/v1/stop", wait);
  return sent == Exit::ok ? await(client, Goal::down, 0, wait) : sent;
}

// Until what was completed when it was asked for is durable.
Exit checkpoint(const Client& client, const WaitOptions& wait) {
  const auto before = read_status(client);
  if (!before) return complain(before.error());
  const std::int64_t episode = integer_member(*before, "episode").value_or(0);
  const auto asked = std::chrono::steady_clock::now();
  const Exit sent = send(client, "/v1/checkpoint", wait);
  if (sent != Exit::ok || !wait.wait) return sent;
  while (true) {
    const auto status = read_status(client);
    if (!status) return complain(status.error());
    const auto end = [&](const std::string& how, Exit exit) { return conclude(how, exit, *status, wait.as_json); };
    const auto waited = std::chrono::steady_clock::now() - asked;
    const auto* saved = object_member(*status, "checkpoint");
    if (saved != nullptr && integer_member(*saved, "episode").value_or(-1) >= episode) {
      return end("Saved: " + escape_control(string_member(*saved, "path").value_or("?")) + ", episode " +
                     std::to_string(integer_member(*saved, "episode").value_or(0)) + ".",
                 Exit::ok);
    }
    if (string_member(*status, "state") != "running") {
      return end("the worker ended before it had saved; " + sentence_of(*status), Exit::failed);
    }
    if (waited > wait.timeout) return end("timed out; " + worker_words(*status), Exit::timed_out);
    std::this_thread::sleep_for(kPollInterval);
  }
}

Exit fresh(const Client& client, const WaitOptions& wait) {
  const std::int64_t before = attempt_of(client);
  const Exit sent = send(client, "/v1/fresh", wait);
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
  return complain(detail_in(*reply), reply->status == 422 ? Exit::usage : Exit::failed);
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
  const Exit sent = send(client, "/v1/restart", wait, from ? compact_json(body) : std::string());
  return sent == Exit::ok ? await(client, Goal::up, before, wait) : sent;
}

}  // namespace ts::ctl
