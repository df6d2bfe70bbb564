#include "supervisor/api/settings.h"

#include <array>

#include "common/base/text.h"

namespace ts::api {
namespace {

namespace json = boost::json;
using config::Applies;

constexpr std::int64_t kFormat = 1;

struct When {
  Applies applies;
  const char* words;  // what follows the list of changes
};

constexpr std::array<When, 3> kWhens = {
    {{Applies::at_once, "in force now"},
     {Applies::next_launch, "from the worker's next launch on (supervisorctl restart)"},
     {Applies::supervisor_restart,
      "only when the supervisor itself is started again; until then the old value stays"}}};

}  // namespace

json::object settings_document(const std::string& file, const std::vector<config::Setting>& settings) {
  json::array list;
  for (const config::Setting& setting : settings) {
    json::object out;
    out["key"] = setting.key;
    out["value"] = setting.value;
    out["line"] = setting.place ? json::value(setting.place->line) : json::value(nullptr);
    out["column"] = setting.place ? json::value(setting.place->column) : json::value(nullptr);
    out["applies"] = config::to_string(setting.applies);
    list.push_back(std::move(out));
  }
  json::object out;
  out["format"] = kFormat;
  out["file"] = escape_control(file);
  out["settings"] = std::move(list);
  return out;
}

json::array changes_document(const std::vector<config::Change>& changes) {
  json::array list;
  for (const config::Change& change : changes) {
    json::object out;
    out["key"] = change.key;
    out["from"] = change.from;
    out["to"] = change.to;
    out["applies"] = config::to_string(change.applies);
    list.push_back(std::move(out));
  }
  return list;
}

std::string what_reload_did(const std::string& file, const std::vector<config::Change>& changes) {
  const std::string name = escape_control(file);
  if (changes.empty()) return "Nothing has changed in " + name + ".";
  std::string out = "Read " + name + " again.";
  for (const When& when : kWhens) {
    std::string list;
    for (const config::Change& change : changes) {
      if (change.applies != when.applies) continue;
      list += (list.empty() ? "" : ", ") + change.key + " (" + change.from + " -> " + change.to + ")";
    }
    if (!list.empty()) out += " " + list + ": " + when.words + ".";
  }
  return out;
}

}  // namespace ts::api
