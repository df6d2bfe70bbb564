// supervisorctl config check: explains a configuration file, and how it differs from what is running.
#include <cstdio>
#include <sstream>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "common/base/json.h"
#include "common/base/text.h"
#include "common/config/load.h"
#include "supervisor/api/settings.h"
#include "supervisor/ctl/commands.h"
#include "supervisor/ctl/render.h"

namespace ts::ctl {
namespace {

namespace json = boost::json;

constexpr std::size_t kReplyBytesMax = std::size_t{4} << 20;
constexpr std::int64_t kFormat = 1;

// What the supervisor there runs with; nothing where none answers.
std::optional<json::object> running_settings(const std::filesystem::path& socket) {
  const auto reply = Client(socket).request("GET", "/v1/config");
  if (!reply || reply->status != 200) return std::nullopt;
  auto document = parse_json(reply->body, "the supervisor's answer", kReplyBytesMax);
  if (!document || !document->is_object()) return std::nullopt;
  return std::move(document->as_object());
}

// By what both call the keys: a supervisor of another version may have others.
std::vector<config::Change> changes_since(const json::object& running, const std::vector<config::Setting>& settings) {
  std::map<std::string, std::string> values;
  const auto* list = running.if_contains("settings");
  if (list != nullptr && list->is_array()) {
    for (const json::value& item : list->get_array()) {
      if (!item.is_object()) continue;
      const auto key = string_member(item.get_object(), "key");
      const auto value = string_member(item.get_object(), "value");
      if (key && value) values[*key] = *value;
    }
  }
  std::vector<config::Change> changes;
  for (const config::Setting& setting : settings) {
    const auto there = values.find(setting.key);
    if (there == values.end() || there->second == setting.value) continue;
    changes.push_back({setting.key, there->second, setting.value, setting.applies});
  }
  return changes;
}

Exit explain_problems(const std::string& file, const Error& error, bool as_json) {
  if (!as_json) {
    std::fprintf(stderr, "supervisorctl: %s\n", error.message.c_str());
    return Exit::usage;
  }
  json::array problems;
  std::istringstream lines(error.message);
  for (std::string line; std::getline(lines, line);) problems.emplace_back(line);
  json::object out;
  out["format"] = kFormat;
  out["file"] = escape_control(file);
  out["valid"] = false;
  out["problems"] = std::move(problems);
  std::fputs(pretty_json(out).c_str(), stdout);
  return Exit::usage;
}

}  // namespace

Exit check_config(const std::string& file, const std::optional<std::filesystem::path>& socket, bool as_json) {
  const auto loaded = config::load_config_file(file);
  if (!loaded) return explain_problems(file, loaded.error(), as_json);
  const auto settings = config::settings_of(*loaded);
  const auto asked = socket.value_or(config::resolved_control_socket(loaded->config));
  const auto running = running_settings(asked);
  const auto changes = running ? changes_since(*running, settings) : std::vector<config::Change>();
  if (as_json) {
    json::object out = api::settings_document(file, settings);
    out["valid"] = true;
    out["differences"] = running ? json::value(api::changes_document(changes)) : json::value(nullptr);
    std::fputs(pretty_json(out).c_str(), stdout);
    return Exit::ok;
  }
  std::fputs(render_settings(file, settings).c_str(), stdout);
  if (running) {
    std::fputs(render_differences(changes).c_str(), stdout);
  } else {
    std::printf("\nNo supervisor answers on %s, so there is nothing to compare it with.\n",
                escape_control(asked.string()).c_str());
  }
  return Exit::ok;
}

}  // namespace ts::ctl
