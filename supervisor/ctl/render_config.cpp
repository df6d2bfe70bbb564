#include <string>
#include <vector>

#include "common/base/text.h"
#include "supervisor/ctl/columns.h"
#include "supervisor/ctl/render.h"

namespace ts::ctl {
namespace {

std::string when(config::Applies applies) {
  switch (applies) {
    case config::Applies::at_once: return "counts once it is reloaded";
    case config::Applies::next_launch: return "counts at the worker's next launch, once it is reloaded";
    case config::Applies::supervisor_restart: return "counts when the supervisor itself is started again";
  }
  return "";
}

}  // namespace

std::string render_settings(const std::string& file, const std::vector<config::Setting>& settings) {
  std::vector<std::vector<std::string>> rows;
  std::string section;
  for (const config::Setting& setting : settings) {
    const std::size_t dot = setting.key.find('.');
    if (setting.key.substr(0, dot) != section) {
      section = setting.key.substr(0, dot);
      rows.push_back({section});
    }
    // The value last: some are long.
    rows.push_back({"  " + setting.key.substr(dot + 1),
                    setting.place ? "line " + std::to_string(setting.place->line) : "default",
                    escape_control(setting.value)});
  }
  return escape_control(file) + " is right.\n\n" + table(rows);
}

std::string render_differences(const std::vector<config::Change>& changes) {
  if (changes.empty()) return "\nThe supervisor runs with these very values.\n";
  std::vector<std::vector<std::string>> rows;
  for (const config::Change& change : changes) {
    rows.push_back(
        {"  " + change.key, escape_control(change.from) + " -> " + escape_control(change.to), when(change.applies)});
  }
  return "\nThe supervisor runs with other values (supervisorctl reload):\n" + table(rows);
}

}  // namespace ts::ctl
