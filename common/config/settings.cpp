#include "common/config/settings.h"

#include "common/config/schema.h"

namespace ts::config {

std::string_view to_string(Applies applies) {
  switch (applies) {
    case Applies::at_once: return "at_once";
    case Applies::next_launch: return "next_launch";
    case Applies::supervisor_restart: return "supervisor_restart";
  }
  return "next_launch";
}

std::vector<Setting> settings_of(const ConfigFile& file) {
  std::vector<Setting> settings;
  for (const Key& key : schema()) {
    const auto place = file.places.find(key.full_name());
    settings.push_back({key.full_name(), key.show(file.config),
                        place == file.places.end() ? std::nullopt : std::optional<Place>(place->second), key.applies});
  }
  return settings;
}

std::vector<Change> changes_between(const Config& from, const Config& to) {
  std::vector<Change> changes;
  for (const Key& key : schema()) {
    std::string before = key.show(from);
    std::string after = key.show(to);
    if (before != after) changes.push_back({key.full_name(), std::move(before), std::move(after), key.applies});
  }
  return changes;
}

Config reloaded(const Config& running, const Config& file) {
  Config config = file;
  for (const Key& key : schema()) {
    if (key.applies == Applies::supervisor_restart) key.copy(running, config);
  }
  return config;
}

std::string to_yaml(const Config& config) {
  std::string out;
  std::string_view section;
  for (const Key& key : schema()) {
    if (key.section != section) out += std::string(key.section) + ":\n";
    section = key.section;
    out += "  " + std::string(key.name) + ": " + key.show(config) + "\n";
  }
  return out;
}

}  // namespace ts::config
