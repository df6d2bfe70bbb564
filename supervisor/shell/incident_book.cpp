#include "supervisor/shell/incident_book.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "common/base/text.h"

namespace ts::shell {
namespace {

using api::kIncidentReport;
using api::kIncidentsMax;
constexpr int kSameNameMax = 1000;
constexpr std::size_t kNameMax = 255;
constexpr const char* kTemporary = ".report.json.tmp";
// Stacks and logs are for those who run the service (its group), not for everybody on the machine.
constexpr mode_t kFolderMode = 0750;

bool is_real_folder(const checkpoint::Directory& directory, const std::string& name) {
  struct stat status {};
  return ::fstatat(directory.fd(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

// Empties a folder of files and removes it. One that holds a folder is none of ours any more.
void remove_folder(const checkpoint::Directory& parent, const std::string& name, const checkpoint::Directory& folder) {
  const auto names = folder.list();
  if (!names) return;
  if (std::any_of(names->begin(), names->end(), [&](const auto& entry) { return is_real_folder(folder, entry); })) {
    return;
  }
  for (const std::string& entry : *names) {
    if (!folder.unlink(entry)) return;
  }
  ::unlinkat(parent.fd(), name.c_str(), AT_REMOVEDIR);
}

}  // namespace

Result<IncidentBook> IncidentBook::open(const checkpoint::Directory& state_directory) {
  auto directory = state_directory.make_subdirectory(api::kIncidentsFolder);
  if (!directory) return directory.error();
  return IncidentBook(std::move(*directory));
}

Result<IncidentBook::Begun> IncidentBook::begin(IncidentReport report,
                                                std::chrono::system_clock::time_point when) const {
  report.time = rfc3339_utc(when);
  std::string stamp = report.time;
  std::replace(stamp.begin(), stamp.end(), ':', '-');
  const std::string name = stamp + "-attempt" + std::to_string(std::max<std::int64_t>(0, report.attempt)) + "-" +
                           std::string(core::to_string(report.cause));
  report.id = name;
  int made = directory_.fs().make_directory(directory_.fd(), report.id, kFolderMode);
  for (int number = 2; made == -EEXIST && number < kSameNameMax; ++number) {
    report.id = name + "-" + std::to_string(number);
    made = directory_.fs().make_directory(directory_.fd(), report.id, kFolderMode);
  }
  if (made < 0) return directory_.failure("create the directory", report.id, made);
  auto opened = folder(report.id);
  if (!opened) {
    ::unlinkat(directory_.fd(), report.id.c_str(), AT_REMOVEDIR);
    return opened.error();
  }
  Result<> written = write_report(*opened, report);
  if (written) written = directory_.sync();
  if (!written) {
    remove_folder(directory_, report.id, *opened);
    return written.error();
  }
  remove_oldest(report.id);
  return Begun{std::move(report), std::move(*opened)};
}

Result<> IncidentBook::amend(const IncidentReport& report) const {
  const auto opened = folder(report.id);
  if (!opened) return opened.error();
  return write_report(*opened, report);
}

void IncidentBook::sweep() const {
  const auto known = ids();
  if (!known) return;
  for (const std::string& id : *known) {
    const auto opened = folder(id);
    // What cannot be removed goes with its folder.
    if (opened) [[maybe_unused]]
      const auto removed = opened->unlink(kTemporary);
  }
}

Result<std::vector<std::string>> IncidentBook::ids() const {
  auto names = directory_.list();
  if (!names) return names.error();
  std::erase_if(*names,
                [&](const auto& name) { return !api::is_incident_id(name) || !is_real_folder(directory_, name); });
  std::sort(names->begin(), names->end());
  return names;
}

Result<checkpoint::Directory> IncidentBook::folder(const std::string& id) const {
  if (!api::is_incident_id(id) || !is_real_folder(directory_, id)) {
    return make_error(ErrorKind::not_found, "there is no incident " + shorten(escape_control(id), kNameMax) + " in " +
                                                directory_.path_of("") + ".");
  }
  return directory_.make_subdirectory(id);  // it is there: this opens it, and follows no link
}

Result<> IncidentBook::write_report(const checkpoint::Directory& folder, const IncidentReport& report) const {
  const std::string text = to_json(report);
  const auto cleared = folder.unlink(kTemporary);
  if (!cleared) return cleared.error();
  const auto written = folder.write_synced(kTemporary, std::as_bytes(std::span(text)));
  if (!written) return written.error();
  const auto renamed = folder.rename_over(kTemporary, kIncidentReport);
  if (!renamed) return renamed.error();
  return folder.sync();
}

void IncidentBook::remove_oldest(const std::string& but) const {
  const auto known = ids();
  if (!known) return;
  std::size_t left = known->size();
  for (const std::string& id : *known) {
    if (left <= kIncidentsMax) return;
    if (id == but) continue;  // of a clock that was set back
    const auto opened = folder(id);
    if (opened) remove_folder(directory_, id, *opened);
    if (!is_real_folder(directory_, id)) --left;
  }
}

}  // namespace ts::shell
