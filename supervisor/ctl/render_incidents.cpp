// Incidents as a person reads them who was woken up for it and knows nothing of the program.
#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>

#include "common/base/json.h"
#include "common/base/text.h"
#include "supervisor/api/incident_report.h"
#include "supervisor/ctl/columns.h"
#include "supervisor/ctl/incidents.h"

namespace ts::ctl {
namespace {

namespace json = boost::json;
using std::chrono::system_clock;

constexpr std::size_t kIndent = 17;
constexpr std::int64_t kSigKill = 9;

std::string text_of(const json::object& object, std::string_view key) {
  return escape_control(string_member(object, key).value_or(""));
}

std::string count_of(std::int64_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string span(double seconds) {
  constexpr double kSecondsMax = 1e12;  // whatever the report says, within what a duration can hold
  return human_duration(
      std::chrono::milliseconds(static_cast<std::int64_t>(std::clamp(seconds, 0.0, kSecondsMax) * 1000.0)));
}

// As a sentence: a capital first, a full stop last.
std::string sentence(std::string text) {
  if (text.empty()) return text;
  if (text.front() >= 'a' && text.front() <= 'z') text.front() = static_cast<char>(text.front() - 'a' + 'A');
  if (text.back() != '.' && text.back() != '!' && text.back() != '?') text += '.';
  return text;
}

// "2026-01-31T12:00:00.123Z", as rfc3339_utc writes it.
std::optional<system_clock::time_point> parse_time(std::string_view text) {
  constexpr std::array<std::pair<std::size_t, std::size_t>, 6> kFields = {
      {{0, 4}, {5, 2}, {8, 2}, {11, 2}, {14, 2}, {17, 2}}};
  if (text.size() < 20 || text.back() != 'Z') return std::nullopt;
  std::array<int, kFields.size()> values{};
  for (std::size_t i = 0; i < kFields.size(); ++i) {
    for (const char digit : text.substr(kFields[i].first, kFields[i].second)) {
      if (digit < '0' || digit > '9') return std::nullopt;
      values[i] = values[i] * 10 + (digit - '0');
    }
  }
  const std::chrono::year_month_day date{std::chrono::year{values[0]},
                                         std::chrono::month{static_cast<unsigned>(values[1])},
                                         std::chrono::day{static_cast<unsigned>(values[2])}};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(values[3]) + std::chrono::minutes(values[4]) +
         std::chrono::seconds(values[5]);
}

// "2026-01-31 12:00:00 UTC (2h 10m ago)".
std::string moment(const std::string& time, system_clock::time_point now, bool with_age) {
  const auto when = parse_time(time);
  if (!when) return time.empty() ? "at a time that is not known" : escape_control(time);
  std::string out = time.substr(0, 10) + " " + time.substr(11, 8) + " UTC";
  if (with_age && now >= *when) {
    out += " (" + human_duration(std::chrono::duration_cast<std::chrono::milliseconds>(now - *when)) + " ago)";
  }
  return out;
}

std::string cause_in_words(std::string_view name) {
  using core::Cause;
  switch (core::parse_cause(name).value_or(Cause::unknown)) {
    case Cause::finished: return "The worker ended as if the training were finished, but it is not";
    case Cause::interrupted: return "The worker saved its state and ended, though nobody here had asked it to";
    case Cause::asked: return "The supervisor ended the worker";
    case Cause::killed_outside: return "Somebody outside sent the worker a signal to end";
    case Cause::crash: return "The worker crashed";
    case Cause::out_of_memory: return "The kernel killed the worker because memory had run out";
    case Cause::error_exit: return "The worker ended with an error";
    case Cause::start_timeout: return "The worker was started and never got ready";
    case Cause::heartbeat_lost: return "The worker fell silent: it was there, but gave no sign of life any more";
    case Cause::no_progress: return "The worker was alive but its training stood still";
    case Cause::wrong_resume: return "The worker went on from another checkpoint than it was told to";
    case Cause::bad_configuration: return "The worker says that its configuration is wrong";
    case Cause::bad_data: return "The worker cannot use its data or its checkpoint";
    case Cause::cannot_save: return "The worker could not write to the disk";
    case Cause::exec_failed: return "The worker could not be started at all";
    case Cause::cannot_prepare:
      return "The worker was not started, because no checkpoint to go on from could be settled";
    case Cause::unknown: return "The worker ended and nobody can tell how";
  }
  return "The worker ended";
}

// No program sends itself a SIGKILL in an error of its own.
std::string cause_in_words(const json::object& report) {
  const std::string cause = string_member(report, "cause").value_or("");
  const json::object* exit = object_member(report, "exit");
  const bool killed = exit != nullptr && integer_member(*exit, "signal") == kSigKill;
  if (killed && core::parse_cause(cause) == core::Cause::crash) {
    return "The worker was killed (SIGKILL) by somebody, or by the system; it did not fail by itself";
  }
  return cause_in_words(cause);
}

// Whether the worker had ever told anything: one that speaks no protocol of ours has told of no episode either.
bool had_told(const json::object& report) {
  return number_member(report, "last_heard_s") || integer_member(report, "episode").value_or(0) > 0;
}

std::string noticed_in_words(const json::object& report) {
  const std::string by = string_member(report, "detected_by").value_or("");
  std::string out;
  if (by == "heartbeat") {
    out = "Its heartbeat stayed away: a worker sends a sign of life every moment, and this one's did not come in time.";
  } else if (by == "progress") {
    out = "It went on sending signs of life, but no step, episode or save came of them for longer than it ever took.";
  } else if (by == "no READY=1") {
    out = "It did not say that it was ready within the time it has for starting.";
  } else if (by == "X_TRAINER_RESUMED") {
    out = "It said itself from which episode it went on, and that was not the one it had been given.";
  } else if (by == "launch") {
    out = "The launch failed, so there was never a process to watch.";
  } else if (by == "exit") {
    out = "The kernel told the supervisor at once that the process had ended.";
  } else {
    out = "By this: " + (by.empty() ? std::string("it is not on record") : escape_control(by)) + ".";
  }
  if (const auto heard = number_member(report, "last_heard_s")) {
    out += " Its last sign of life had come " + span(*heard) + " before.";
  } else if (by != "launch") {
    out += " It had never given a sign of life.";
  }
  return out;
}

std::string machine_in_words(const json::object& report) {
  const json::object* silence = object_member(report, "silence");
  if (silence == nullptr) {
    const bool quiet = string_member(report, "detected_by") == "heartbeat";
    return quiet ? "Nobody looked at it before the worker was ended."
                 : "There was no reason to look: it was no silence.";
  }
  const std::string why = text_of(*silence, "why");
  const bool starved = string_member(*silence, "verdict") == "starved";
  return (starved ? "The worker was starved, so the machine was to blame: "
                  : "The worker hung, and not for want of anything: ") +
         (why.empty() ? "no reason is on record" : why) + ".";
}

std::string exit_in_words(const json::object& report) {
  const json::object* exit = object_member(report, "exit");
  if (exit == nullptr) {
    return integer_member(report, "pid").value_or(0) == 0 ? "It never ran."
                                                          : "It has not ended yet, as far as is on record.";
  }
  core::ExitStatus status;
  if (const auto code = integer_member(*exit, "code"))
    status.code = static_cast<int>(std::clamp<std::int64_t>(*code, 0, 255));
  if (const auto number = integer_member(*exit, "signal"); number && !status.code) {
    status.signal = static_cast<int>(std::clamp<std::int64_t>(*number, 0, 255));
  }
  return "The process " + core::describe(status) + ".";
}

std::string lost_in_words(const json::object& report) {
  const auto lost = integer_member(report, "lost_episodes");
  if (!had_told(report)) return "Not known: it had told of no episode.";
  const std::string reached =
      "It had completed episode " + std::to_string(integer_member(report, "episode").value_or(0)) + ".";
  if (!lost) return "Not known yet: the training has not gone on since, as far as is on record. " + reached;
  if (*lost <= 0) return "No completed episode; only what was under way in the next one. " + reached;
  return count_of(*lost, "completed episode") + (*lost == 1 ? " was" : " were") +
         " lost and had to be trained again. " + reached;
}

std::string done_in_words(const json::object& report) {
  const std::string decision = text_of(report, "decision");
  std::string out = decision.empty() ? "Nothing yet, as far as is on record." : sentence(decision);
  const auto resumed = integer_member(report, "resumed_from");
  if (resumed && *resumed > 0) out += " The next attempt went on from episode " + std::to_string(*resumed) + ".";
  if (resumed && *resumed <= 0) out += " The next attempt was given no checkpoint to go on from.";
  if (!resumed) out += " No attempt has begun after it, as far as is on record.";
  return out;
}

// Words in lines that an ordinary terminal can show, under each other.
std::string paragraph(const std::string& label, const std::string& text) {
  constexpr std::size_t kColumns = 100;
  std::string out = padded(label, kIndent);
  std::size_t column = kIndent;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    if (column > kIndent && column + word.size() + 1 > kColumns) {
      out += "\n" + std::string(kIndent, ' ');
      column = kIndent;
    }
    if (column > kIndent) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out + "\n";
}

std::string evidence_lines(const json::object& document, const json::object* report) {
  std::string out = paragraph("Evidence:", "In " + text_of(document, "folder") + "/");
  const auto row = [&](const std::string& text) { out += std::string(kIndent, ' ') + text + "\n"; };
  const auto objects = [](const json::object* object, const char* key) {
    std::vector<const json::object*> found;
    const json::value* values = object != nullptr ? object->if_contains(key) : nullptr;
    if (values == nullptr || !values->is_array()) return found;
    for (const json::value& value : values->get_array()) {
      if (value.is_object()) found.push_back(&value.get_object());
    }
    return found;
  };
  const auto parts = objects(report, "evidence");
  for (const json::object* file : objects(&document, "files")) {
    const std::string name = text_of(*file, "name");
    const auto bytes =
        static_cast<std::uint64_t>(std::max<std::int64_t>(0, integer_member(*file, "bytes").value_or(0)));
    std::string line = padded(name, 20) + human_bytes(bytes);
    for (const json::object* part : parts) {
      const std::string why_not = text_of(*part, "why_not");
      if (text_of(*part, "name") == name && !why_not.empty()) line += ", a part only: " + why_not;
    }
    row(line);
  }
  for (const json::object* part : parts) {
    if (!integer_member(*part, "bytes")) row(padded(text_of(*part, "name"), 20) + "none: " + text_of(*part, "why_not"));
  }
  return out;
}

std::string log_lines(const json::object& document, bool readable) {
  const json::value* lines = document.if_contains("log_tail");
  if (lines == nullptr || !lines->is_array()) {
    return paragraph("Its last words:", readable ? "None are on record." : "None that can be read.");
  }
  if (lines->get_array().empty()) return paragraph("Its last words:", "It had printed nothing.");
  std::string out = "Its last words:\n";
  for (const json::value& line : lines->get_array()) {
    if (line.is_string()) out += "  | " + escape_control(line.get_string()) + "\n";
  }
  return out;
}

std::size_t widest_line(std::string_view text) {
  std::size_t widest = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    widest = std::max(widest, end);
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return widest;
}

// The table's rows for a terminal that is too narrow for it.
std::string one_below_the_other(const std::vector<std::vector<std::string>>& rows, std::size_t width) {
  constexpr std::size_t kBelow = 2;
  std::string out;
  for (std::size_t i = 1; i < rows.size(); ++i) {
    const auto& row = rows[i];
    out += row[0] + "\n";
    for (const std::string& text : {row[1] + ", episode " + row[3] + ", lost " + row[4], row[5]}) {
      out += std::string(kBelow, ' ') + wrapped(text, kBelow, width) + "\n";
    }
  }
  return out;
}

}  // namespace

std::string render_incidents(const json::object& document, system_clock::time_point now, std::size_t width) {
  const json::value* incidents = document.if_contains("incidents");
  if (incidents == nullptr || !incidents->is_array() || incidents->get_array().empty()) {
    return "There is no incident on record: no worker has ended unplanned.\n";
  }
  std::vector<std::vector<std::string>> rows = {{"ID", "WHEN", "CAUSE", "EPISODE", "LOST", "WHAT WAS DONE"}};
  for (const json::value& value : incidents->get_array()) {
    if (!value.is_object()) continue;
    const json::object& incident = value.get_object();
    const auto number = [&](const char* key) {
      const auto known = integer_member(incident, key);
      return known ? std::to_string(*known) : std::string("?");
    };
    const auto resumed = integer_member(incident, "resumed_from");
    std::string done = text_of(incident, "decision");
    if (done.empty()) done = "nothing yet";
    if (resumed)
      done += *resumed > 0 ? "; went on from episode " + std::to_string(*resumed) : "; went on without a checkpoint";
    if (const auto problem = string_member(incident, "problem")) done = "unreadable: " + escape_control(*problem);
    rows.push_back({text_of(incident, "id"), moment(string_member(incident, "time").value_or(""), now, true),
                    text_of(incident, "cause"), number("episode"), number("lost_episodes"), shorten(done, 200)});
  }
  std::string out = table(rows);
  if (width > 0 && widest_line(out) > width) out = one_below_the_other(rows, width);
  const auto total = integer_member(document, "total").value_or(0);
  const auto shown = static_cast<std::int64_t>(rows.size()) - 1;
  if (total > shown) out += "and " + std::to_string(total - shown) + " older; -n shows more of them\n";
  return out + "For the story of one: supervisorctl incidents show latest (or its ID, or its attempt's number)\n";
}

std::string render_incident(const json::object& document, system_clock::time_point now) {
  std::string out = "Incident " + text_of(document, "id") + "\n\n";
  const json::object* report = object_member(document, "report");
  if (report == nullptr) {
    out += paragraph("What happened:", "The report on it cannot be read: " + text_of(document, "problem") +
                                           " What lies beside it may tell more.");
  } else {
    const std::string what = sentence(text_of(*report, "what"));
    out += paragraph("What happened:", cause_in_words(*report) + ". " +
                                           (what.empty() ? "" : "In the supervisor's words: " + what + " ") +
                                           exit_in_words(*report));
    const std::string phase = text_of(*report, "phase");
    const auto pid = integer_member(*report, "pid").value_or(0);
    out += paragraph("When:", moment(string_member(*report, "time").value_or(""), now, true) + ", in attempt " +
                                  std::to_string(integer_member(*report, "attempt").value_or(0)) +
                                  (pid > 0 ? ", process " + std::to_string(pid) : "") + "." +
                                  (phase.empty() ? "" : " What it was doing, as it had said last: " + phase + "."));
    out += paragraph("Noticed by:", noticed_in_words(*report));
    out += paragraph("The machine:", machine_in_words(*report));
    out += paragraph("What was lost:", lost_in_words(*report));
    out += paragraph("What was done:", done_in_words(*report));
  }
  return out + evidence_lines(document, report) + log_lines(document, report != nullptr);
}

}  // namespace ts::ctl
