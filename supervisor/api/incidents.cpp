#include "supervisor/api/incidents.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <system_error>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "common/base/text.h"

namespace ts::api {
namespace {

namespace json = boost::json;
using checkpoint::Directory;

constexpr const char* kLog = "log.txt";
constexpr std::size_t kLogBytesMax = std::size_t{2} << 20;
constexpr std::size_t kLogLinesMax = 20;
constexpr std::size_t kLineBytesMax = 400;
constexpr std::size_t kListedTextMax = 500;  // of one text in the list; the whole is in the report
constexpr std::size_t kFilesMax = 64;
constexpr std::size_t kNamedMax = 10;
constexpr std::size_t kSelectorMax = 255;

template <class Number>
json::value optional_number(const std::optional<Number>& number) {
  return number ? json::value(*number) : json::value(nullptr);
}

bool is_real_folder(const Directory& directory, const std::string& name) {
  struct stat status {};
  return ::fstatat(directory.fd(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

json::object listed(const std::string& id, const Result<IncidentReport>& report) {
  const auto name = parse_incident_id(id);
  json::object out;
  out["id"] = id;
  out["time"] = name ? name->time : "";
  out["attempt"] = name ? name->attempt : 0;
  out["cause"] = name ? core::to_string(name->cause) : "unknown";
  out["problem"] = report ? json::value(nullptr) : json::value(report.error().message);
  const IncidentReport& known = report ? *report : IncidentReport{};
  out["episode"] = report ? json::value(known.episode) : json::value(nullptr);
  out["what"] = shorten(known.what, kListedTextMax);
  out["decision"] = shorten(known.decision, kListedTextMax);
  out["lost_episodes"] = optional_number(known.lost_episodes);
  out["resumed_from"] = optional_number(known.resumed_from);
  return out;
}

// What lies beside the report: regular files only.
json::array files_of(const Directory& folder) {
  json::array out;
  auto names = folder.list();
  if (!names) return out;
  std::sort(names->begin(), names->end());
  for (const std::string& name : *names) {
    struct stat status {};
    const bool there = ::fstatat(folder.fd(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there || !S_ISREG(status.st_mode) || name == kIncidentReport || name.starts_with('.')) continue;
    if (out.size() == kFilesMax) break;
    out.push_back(json::object{{"name", escape_control(name)}, {"bytes", static_cast<std::int64_t>(status.st_size)}});
  }
  return out;
}

json::value log_tail_of(const Directory& folder) {
  const auto log = folder.read_file(kLog, kLogBytesMax);
  if (!log) return nullptr;
  std::vector<std::string> lines;  // the last one first
  std::string_view text = log->text();
  while (!text.empty() && lines.size() < kLogLinesMax) {
    if (text.back() == '\n') text.remove_suffix(1);
    const std::size_t newline = text.rfind('\n');
    const std::size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    lines.push_back(shorten(escape_control(shorten(text.substr(begin), kLineBytesMax)), kLineBytesMax));
    text = text.substr(0, begin);
  }
  json::array out;
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) out.emplace_back(*line);
  return out;
}

std::string names_of(const std::vector<std::string>& ids) {
  const std::vector<std::string> shown(
      ids.begin(), std::next(ids.begin(), static_cast<std::ptrdiff_t>(std::min(ids.size(), kNamedMax))));
  const std::size_t more = ids.size() - shown.size();
  return join(shown, ", ") + (more > 0 ? " and " + std::to_string(more) + " older ones" : "");
}

std::vector<std::string> those(const std::vector<std::string>& ids,
                               const std::function<bool(const std::string&)>& wanted) {
  std::vector<std::string> out;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(out), wanted);
  return out;
}

}  // namespace

Result<IncidentReader> IncidentReader::open(const std::filesystem::path& state_directory) {
  // Absolute, because whoever is told of it may be in another directory than the daemon.
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::absolute(state_directory, error);
  const std::filesystem::path path = (error ? state_directory : whole) / kIncidentsFolder;
  auto state = Directory::open(state_directory, Directory::Create::no);
  if (!state && state.error().kind != ErrorKind::not_found) return state.error();
  if (!state) return IncidentReader(path, std::nullopt);
  auto directory = state->open_subdirectory(kIncidentsFolder);
  if (directory) return IncidentReader(path, std::move(*directory));
  if (directory.error().kind != ErrorKind::not_found) return directory.error();
  return IncidentReader(path, std::nullopt);
}

std::string IncidentReader::path_of(std::string_view name) const {
  return escape_control((name.empty() ? path_ : path_ / name).string());
}

Result<std::vector<std::string>> IncidentReader::ids() const {
  if (!directory_) return std::vector<std::string>();
  auto names = directory_->list();
  if (!names) return names.error();
  std::erase_if(*names, [&](const auto& name) { return !is_incident_id(name) || !is_real_folder(*directory_, name); });
  std::sort(names->begin(), names->end(), std::greater<>());
  return names;
}

Result<Directory> IncidentReader::folder(const std::string& id) const {
  if (!directory_ || !is_incident_id(id)) {
    return make_error(ErrorKind::not_found,
                      "there is no incident " + shorten(escape_control(id), kSelectorMax) + " in " + path_of("") + ".");
  }
  return directory_->open_subdirectory(id);
}

Result<IncidentReport> IncidentReader::read(const std::string& id) const {
  const auto opened = folder(id);
  if (!opened) return opened.error();
  const auto file = opened->read_file(kIncidentReport, kReportBytesMax);
  if (!file) return make_error(ErrorKind::unavailable, file.error().message);
  auto report = parse_incident(file->text(), opened->path_of(kIncidentReport));
  if (report) report->id = id;  // the name is what finds it
  return report;
}

Result<std::string> resolve_incident(std::string_view selector, const std::vector<std::string>& newest_first) {
  const auto refuse = [](const std::string& why) { return make_error(ErrorKind::not_found, why); };
  if (newest_first.empty()) {
    return refuse("there is no incident on record: no worker has ended unplanned, or its record was removed.");
  }
  if (selector == "latest") return newest_first.front();
  const auto attempt = parse_plain_integer(selector);
  const auto of_attempt = those(newest_first, [&](const std::string& id) {
    const auto name = parse_incident_id(id);
    return attempt && name && name->attempt == *attempt;
  });
  if (!of_attempt.empty()) return of_attempt.front();
  const auto exact = std::find(newest_first.begin(), newest_first.end(), selector);
  if (exact != newest_first.end()) return *exact;
  const auto beginning = those(
      newest_first, [&](const std::string& id) { return !selector.empty() && id.starts_with(std::string(selector)); });
  if (beginning.size() == 1) return beginning.front();
  const std::string shown = shorten(escape_control(selector), kSelectorMax);
  if (!beginning.empty()) {
    return refuse(shown + " is the beginning of " + std::to_string(beginning.size()) +
                  " incidents: " + names_of(beginning) + ".");
  }
  return refuse("there is no incident " + shown + ". There are " + names_of(newest_first) +
                "; name one of them, its beginning, its attempt's number, or latest.");
}

Result<json::object> incidents_document(const std::filesystem::path& state_directory, std::size_t limit) {
  const auto reader = IncidentReader::open(state_directory);
  if (!reader) return reader.error();
  const auto ids = reader->ids();
  if (!ids) return ids.error();
  json::array incidents;
  for (const std::string& id : *ids) {
    if (incidents.size() == std::min(limit, kIncidentsMax)) break;
    incidents.push_back(listed(id, reader->read(id)));
  }
  json::object out;
  out["format"] = kIncidentsFormat;
  out["directory"] = reader->path_of("");
  out["total"] = static_cast<std::int64_t>(ids->size());
  out["incidents"] = std::move(incidents);
  return out;
}

Result<json::object> incident_document(const std::filesystem::path& state_directory, std::string_view selector) {
  const auto reader = IncidentReader::open(state_directory);
  if (!reader) return reader.error();
  const auto ids = reader->ids();
  if (!ids) return ids.error();
  const auto id = resolve_incident(selector, *ids);
  if (!id) return id.error();
  const auto report = reader->read(*id);
  const auto folder = reader->folder(*id);
  json::object out;
  out["format"] = kIncidentsFormat;
  out["id"] = *id;
  out["folder"] = reader->path_of(*id);
  out["report"] = report ? json::value(to_object(*report)) : json::value(nullptr);
  out["problem"] = report ? json::value(nullptr) : json::value(report.error().message);
  out["files"] = folder ? files_of(*folder) : json::array();
  out["log_tail"] = folder ? log_tail_of(*folder) : json::value(nullptr);
  return out;
}

}  // namespace ts::api
