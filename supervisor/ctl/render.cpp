#include "supervisor/ctl/render.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "common/base/json.h"
#include "common/base/text.h"
#include "supervisor/api/version.h"
#include "supervisor/ctl/columns.h"

namespace ts::ctl {
namespace {

namespace json = boost::json;

// The status comes over a socket: whatever its numbers are, within what a duration can hold.
std::string seconds(double value) {
  constexpr double kSecondsMax = 1e12;
  const double bounded = std::clamp(value, -kSecondsMax, kSecondsMax);
  return human_duration(std::chrono::milliseconds(static_cast<std::int64_t>(bounded * 1000.0)));
}

std::string count_of(std::int64_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string text_of(const json::object& object, std::string_view key) {
  return escape_control(string_member(object, key).value_or("?"));
}

std::string worker_line(const json::object& worker) {
  std::string line = "process " + std::to_string(integer_member(worker, "pid").value_or(0)) + ", attempt " +
                     std::to_string(integer_member(worker, "attempt").value_or(0)) + ", up " +
                     seconds(number_member(worker, "uptime_s").value_or(0));
  return line;
}

// Beats come every moment; one that has sent none for so long may be gone, and its pace with it.
bool is_silent(const json::object& status) {
  constexpr double kSilentS = 3.0;
  constexpr double kPartOfLimit = 1.0 / 6.0;
  const auto* worker = object_member(status, "worker");
  const auto age = worker == nullptr ? std::nullopt : number_member(*worker, "heartbeat_age_s");
  if (!age) return false;
  return *age > std::max(kSilentS, number_member(*worker, "heartbeat_limit_s").value_or(0) * kPartOfLimit);
}

// What comes next by itself and when, or what a person has to do.
std::string next_line(const json::object& status) {
  const std::string state = text_of(status, "state");
  const auto left = number_member(status, "deadline_in_s");
  const std::string in = left ? seconds(std::max(0.0, *left)) : std::string();
  if (state == "fatal" && !left) {
    return "nothing by itself: mend what the reason names, then supervisorctl start; supervisorctl incidents tells "
           "what "
           "happened, supervisorctl doctor what was set aside";
  }
  if (!left) return "";
  if (state == "fatal") return "it tries again in " + in + ", or at once with supervisorctl start";
  if (state == "backoff") return "the next launch in " + in;
  if (state == "starting") return "the worker has " + in + " left to get ready";
  if (state == "stopping") return "the worker has " + in + " left to end";
  return "";
}

std::string episode_line(const json::object& status) {
  std::string line = std::to_string(integer_member(status, "episode").value_or(0)) + "/" +
                     std::to_string(integer_member(status, "total_episodes").value_or(0));
  if (is_silent(status)) return line;
  if (const auto rate = number_member(status, "episodes_per_s")) line += ", " + format_fixed(*rate, 1) + " a second";
  if (const auto eta = number_member(status, "eta_s")) line += ", ETA " + seconds(*eta);
  return line;
}

std::string metrics_line(const json::object& metrics) {
  std::string line;
  for (const auto& member : metrics) {
    if (!member.value().is_number()) continue;
    if (!line.empty()) line += ", ";
    line += escape_control(member.key()) + " " + format_fixed(member.value().to_number<double>(), 3);
  }
  return line.empty() ? "none yet" : line;
}

std::string restarts_line(const json::object& restarts) {
  std::int64_t total = 0;
  std::string causes;
  for (const auto& member : restarts) {
    const auto* count = member.value().if_int64();
    if (count == nullptr) continue;
    if (__builtin_add_overflow(total, *count, &total)) total = std::numeric_limits<std::int64_t>::max();
    if (!causes.empty()) causes += ", ";
    causes += escape_control(member.key()) + " " + std::to_string(*count);
  }
  return std::to_string(total) + (causes.empty() ? "" : " (" + causes + ")");
}

std::string resumed_line(const json::object& resumed) {
  const auto why = string_member(resumed, "why");
  return "from episode " + std::to_string(integer_member(resumed, "episode").value_or(0)) + " (" +
         text_of(resumed, "path") + ")" + (why && !why->empty() ? "; " + escape_control(*why) : "");
}

// "last heartbeat 1s ago (at most 30s), progress 0s ago (at most 5m 00s)"
std::string alive_line(const json::object& worker) {
  const auto clock = [&](const std::string& what, std::string_view age, std::string_view limit) -> std::string {
    const auto so_long = number_member(worker, age);
    if (!so_long) return "";
    const auto at_most = number_member(worker, limit);
    return what + seconds(*so_long) + " ago" + (at_most ? " (at most " + seconds(*at_most) + ")" : "");
  };
  const std::string beat = clock("last heartbeat ", "heartbeat_age_s", "heartbeat_limit_s");
  const std::string progress = clock("progress ", "progress_age_s", "progress_limit_s");
  return beat + (beat.empty() || progress.empty() ? "" : ", ") + progress;
}

std::string best_line(const json::object& best) {
  return text_of(best, "path") + " (episode " + std::to_string(integer_member(best, "episode").value_or(0)) + ", " +
         text_of(best, "metric") + " " + format_fixed(number_member(best, "value").value_or(0), 3) + ")";
}

std::string risk_line(const json::object& risk) {
  return count_of(integer_member(risk, "memory").value_or(0), "episode") + " if the worker dies, " +
         std::to_string(integer_member(risk, "disk").value_or(0)) + " if the power goes";
}

// "hang: 1 episode lost, noticed in 2s, relaunched in 14ms"
std::string last_incident_line(const json::object& last) {
  std::string line = text_of(last, "cause");
  if (const auto lost = integer_member(last, "lost_episodes")) line += ": " + count_of(*lost, "episode") + " lost";
  if (const auto detect = number_member(last, "detect_s")) line += ", noticed in " + seconds(*detect);
  if (const auto relaunch = number_member(last, "relaunch_s")) line += ", relaunched in " + seconds(*relaunch);
  if (const auto step = number_member(last, "first_step_s")) line += ", training after " + seconds(*step);
  return line;
}

// By what a person should think of it: green, yellow, red.
std::string colored(const std::string& state) {
  const bool good = state == "running" || state == "finished";
  const char* color = good ? "32" : state == "fatal" ? "31" : "33";
  return std::string("\033[1;") + color + "m" + state + "\033[0m";
}

// What the save cost, where the supervisor is new enough to say so.
std::string cost_of(const json::object& checkpoint) {
  const auto stall = number_member(checkpoint, "stall_ms");
  const auto durable = number_member(checkpoint, "durable_ms");
  if (!stall || !durable) return "";
  return "; training waited " + format_fixed(*stall, 1) + " ms, durable in " + format_fixed(*durable, 1) + " ms";
}

std::string checkpoint_line(const json::object& saved) {
  return text_of(saved, "path") + " (episode " + std::to_string(integer_member(saved, "episode").value_or(0)) + ", " +
         seconds(number_member(saved, "age_s").value_or(0)) + " ago" + cost_of(saved) + ")";
}

}  // namespace

std::string render_status(const json::object& status, const Look& look) {
  constexpr std::size_t kIndent = 17;
  const std::string state = text_of(status, "state");
  const std::string rest =
      " for " + seconds(number_member(status, "state_for_s").value_or(0)) + ": " + text_of(status, "reason");
  std::string out = wrapped(state + rest, 2, look.width) + "\n";
  if (look.color) out.replace(0, state.size(), colored(state));
  const auto row = [&](const std::string& name, const std::string& text) {
    out += "  " + padded(name, kIndent - 2) + wrapped(text, kIndent, look.width) + "\n";
  };
  if (const std::string line = next_line(status); !line.empty()) row("next", line);
  row("episode", episode_line(status));
  if (const auto* worker = object_member(status, "worker")) {
    row("worker", worker_line(*worker));
    if (const auto* resumed = object_member(*worker, "resumed_from")) row("resumed", resumed_line(*resumed));
    if (const std::string line = alive_line(*worker); !line.empty()) row("signs of life", line);
    if (const auto says = string_member(*worker, "says")) row("it says", escape_control(*says));
  }
  if (const auto* metrics = object_member(status, "metrics")) row("metrics", metrics_line(*metrics));
  const auto* saved = object_member(status, "checkpoint");
  row("checkpoint", saved == nullptr ? "none yet" : checkpoint_line(*saved));
  if (const auto* best = object_member(status, "best")) row("best", best_line(*best));
  if (const auto* risk = object_member(status, "at_risk")) row("at risk", risk_line(*risk));
  if (const auto* restarts = object_member(status, "restarts")) row("restarts", restarts_line(*restarts));
  if (const auto* last = object_member(status, "last_incident")) row("last incident", last_incident_line(*last));
  if (const auto goodput = number_member(status, "goodput")) {
    row("goodput", format_fixed(*goodput * 100.0, 1) + " % of the time went into episodes that count; " +
                       count_of(integer_member(status, "lost_episodes").value_or(0), "episode") + " lost");
  }
  const auto exact = bool_member(status, "exact");
  row("exact", exact ? (*exact ? "yes, every resume so far was bit-exact" : "no, see the log for what differs")
                     : "nothing was resumed and saved yet");
  row("run", text_of(status, "run_id") + ", supervisor process " +
                 std::to_string(integer_member(status, "supervisor_pid").value_or(0)));
  const std::string version = text_of(status, "version");
  if (version != api::kVersion) {
    row("version", "the supervisor is " + version + ", this supervisorctl is " + std::string(api::kVersion) +
                       "; the worker lives on when the supervisor is started anew");
  }
  return out;
}

std::string render_event(const json::object& event) {
  return text_of(event, "time") + "  " + padded(text_of(event, "level"), 5) + "  " +
         padded(text_of(event, "type"), 10) + "  " + text_of(event, "message") + "\n";
}

}  // namespace ts::ctl
