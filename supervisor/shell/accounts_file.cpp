#include "supervisor/shell/accounts_file.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include <boost/json/array.hpp>

#include "common/base/json.h"

namespace ts::shell {
namespace {

namespace json = boost::json;

constexpr double kSecondsMax = 1e11;  // three thousand years
constexpr std::int64_t kCountMax = 1'000'000'000;
constexpr std::size_t kMarksMax = 1000;

double bounded(double seconds) {
  return std::isfinite(seconds) ? std::clamp(seconds, 0.0, kSecondsMax) : 0.0;
}

double seconds_in(const json::object& object, std::string_view key) {
  return bounded(number_member(object, key).value_or(0.0));
}

std::int64_t count_in(const json::object& object, std::string_view key) {
  return std::clamp<std::int64_t>(integer_member(object, key).value_or(0), 0, kCountMax);
}

json::object measured_json(const core::Measured& measured) {
  return {{"count", measured.count}, {"sum_s", measured.sum_s}};
}

core::Measured measured_in(const json::object& object, std::string_view key) {
  const json::object* measured = object_member(object, key);
  if (measured == nullptr) return {};
  return {count_in(*measured, "count"), seconds_in(*measured, "sum_s")};
}

template <class Number>
void put(json::object& object, std::string_view key, const std::optional<Number>& number) {
  if (number) object[key] = *number;
}

std::optional<double> optional_seconds(const json::object& object, std::string_view key) {
  const auto number = number_member(object, key);
  return number ? std::optional(bounded(*number)) : std::nullopt;
}

std::vector<core::Mark> marks_in(const json::object& object) {
  std::vector<core::Mark> marks;
  const json::value* list = object.if_contains("marks");
  if (list == nullptr || !list->is_array()) return marks;
  for (const json::value& item : list->get_array()) {
    const json::array* pair = item.if_array();
    const bool two_numbers = pair != nullptr && pair->size() == 2 && (*pair)[0].is_int64() && (*pair)[1].is_number();
    if (!two_numbers || marks.size() == kMarksMax) continue;
    const core::Mark mark{std::clamp<std::int64_t>((*pair)[0].get_int64(), 0, kCountMax),
                          bounded((*pair)[1].to_number<double>())};
    const bool ascends = marks.empty() || (mark.episode > marks.back().episode && mark.good_s >= marks.back().good_s);
    if (ascends) marks.push_back(mark);
  }
  return marks;
}

}  // namespace

RememberedAccounts to_remember(const core::Accounts& accounts, core::Instant now, double now_since_epoch_s) {
  RememberedAccounts out{accounts, now_since_epoch_s, {}};
  out.accounts.wanted_s = core::wanted_s(accounts, now);
  if (accounts.working_since) {
    out.working_s = std::max(0.0, std::chrono::duration<double>(now - *accounts.working_since).count());
  }
  return out;
}

core::Accounts recall(const RememberedAccounts& remembered, core::Instant now, double now_since_epoch_s) {
  if (remembered.written_s == 0.0) return {};
  // A clock that was set back makes no time.
  const double gap_s = bounded(now_since_epoch_s - remembered.written_s);
  return core::remembered(remembered.accounts, gap_s, remembered.working_s, now);
}

json::object to_json(const RememberedAccounts& remembered) {
  const core::Accounts& accounts = remembered.accounts;
  json::array marks;
  for (const core::Mark& mark : accounts.marks) {
    marks.push_back(json::array{mark.episode, mark.good_s});
  }
  json::object out;
  out["written_s"] = remembered.written_s;
  out["wanted_s"] = accounts.wanted_s;
  out["wanted"] = accounts.wanted;
  put(out, "working_s", remembered.working_s);
  out["incidents"] = accounts.incidents;
  out["lost_episodes"] = accounts.lost_episodes;
  out["detection"] = measured_json(accounts.detection);
  out["relaunch"] = measured_json(accounts.relaunch);
  out["first_step"] = measured_json(accounts.first_step);
  if (accounts.last) {
    json::object last;
    last["cause"] = core::to_string(accounts.last->cause);
    last["detect_s"] = accounts.last->detect_s;
    put(last, "lost_episodes", accounts.last->lost_episodes);
    put(last, "relaunch_s", accounts.last->relaunch_s);
    put(last, "first_step_s", accounts.last->first_step_s);
    out["last_incident"] = std::move(last);
  }
  out["marks"] = std::move(marks);
  return out;
}

RememberedAccounts parse_accounts(const json::object& object) {
  RememberedAccounts out;
  core::Accounts& accounts = out.accounts;
  out.written_s = seconds_in(object, "written_s");
  out.working_s = optional_seconds(object, "working_s");
  accounts.wanted_s = seconds_in(object, "wanted_s");
  accounts.wanted = bool_member(object, "wanted").value_or(false);
  accounts.incidents = count_in(object, "incidents");
  accounts.lost_episodes = count_in(object, "lost_episodes");
  accounts.detection = measured_in(object, "detection");
  accounts.relaunch = measured_in(object, "relaunch");
  accounts.first_step = measured_in(object, "first_step");
  accounts.marks = marks_in(object);
  const json::object* last = object_member(object, "last_incident");
  const auto cause = last != nullptr ? core::parse_cause(string_member(*last, "cause").value_or("")) : std::nullopt;
  if (!cause) return out;
  accounts.last = core::IncidentFigures{*cause, seconds_in(*last, "detect_s"), std::nullopt,
                                        optional_seconds(*last, "relaunch_s"), optional_seconds(*last, "first_step_s")};
  if (integer_member(*last, "lost_episodes")) accounts.last->lost_episodes = count_in(*last, "lost_episodes");
  return out;
}

}  // namespace ts::shell
