// StoreWriter: into quarantine/, and out of it again.
#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "common/base/text.h"
#include "common/checkpoint/set_aside.h"
#include "common/checkpoint/store_writer.h"

namespace ts::checkpoint {
namespace {

constexpr std::uint64_t kReasonBytesMax = 64 * 1024;

std::string ep(Episode episode) {
  return "ep" + std::to_string(episode);
}

// The folders of quarantine/ by episode, the newest last.
using Folders = std::multimap<Episode, std::string>;

Result<Folders> folders_in(const Directory& quarantine) {
  auto names = quarantine.list();
  if (!names) return names.error();
  std::sort(names->begin(), names->end());
  Folders folders;
  for (std::string& name : *names) {
    if (const auto episode = episode_of_folder(name)) folders.emplace(*episode, std::move(name));
  }
  return folders;
}

// By an earlier release, which leaves the reason alone there.
bool is_emptied(const Directory& quarantine, Episode episode, const std::string& name) {
  const auto folder = quarantine.open_subdirectory(name);
  const auto is_missing = [&](const std::string& file) {
    const auto size = folder->file_size(file);
    return !size && size.error().kind == ErrorKind::not_found;
  };
  return folder && is_missing(sidecar_name(episode)) && is_missing(archive_name(episode));
}

std::vector<std::string> names_in(const Directory& quarantine, const Folders& folders) {
  std::vector<std::string> names;
  for (const auto& [episode, folder] : folders) {
    const bool named = !names.empty() && names.back() == ep(episode);
    if (!named && !is_emptied(quarantine, episode, folder)) names.push_back(ep(episode));
  }
  return names;
}

Error nothing_to_release(const Directory& directory, Episode episode, const std::vector<std::string>& names) {
  const std::string place = directory.path_of(kQuarantineDirectory);
  return make_error(ErrorKind::not_found, place + " holds nothing of episode " + std::to_string(episode) + "; " +
                                              (names.empty() ? "nothing lies there that could be put back."
                                                             : join(names, ", ") + " can be put back."));
}

struct Found {
  Directory folder;
  Sidecar sidecar;
};

// The newest that verifies; else the error of the newest: the others were set aside before it.
Result<Found> find_quarantined(const Directory& directory, Episode episode) {
  const auto quarantine = directory.open_subdirectory(std::string(kQuarantineDirectory));
  if (!quarantine) {
    const bool none = quarantine.error().kind == ErrorKind::not_found;
    return none ? nothing_to_release(directory, episode, {}) : quarantine.error();
  }
  const auto folders = folders_in(*quarantine);
  if (!folders) return folders.error();
  const auto [first, last] = folders->equal_range(episode);
  if (std::all_of(first, last, [&](const auto& found) { return is_emptied(*quarantine, episode, found.second); })) {
    return nothing_to_release(directory, episode, names_in(*quarantine, *folders));
  }
  std::optional<Error> refusal;
  for (auto at = last; at != first;) {
    --at;
    auto folder = quarantine->open_subdirectory(at->second);
    const auto verified = folder ? Store(*folder).verify(episode) : Result<Verified>(folder.error());
    if (verified) return Found{std::move(*folder), verified->sidecar};
    // One that was emptied by an earlier release is no candidate, unless it is all there is.
    const bool empty = verified.error().kind == ErrorKind::not_found;
    if (!refusal || (refusal->kind == ErrorKind::not_found && !empty)) refusal = verified.error();
  }
  refusal->message = "cannot put " + ep(episode) + " back: " + refusal->message + " Nothing was changed.";
  return *refusal;
}

Error place_taken(const Directory& directory, const std::string& name) {
  return make_error(ErrorKind::cannot_write, "there is a " + directory.path_of(name) +
                                                 " already; move it elsewhere by hand if you want the one in " +
                                                 directory.path_of(kQuarantineDirectory) + ". Nothing was changed.");
}

std::string read_reason(const Directory& folder) {
  const auto file = folder.read_file(std::string(kReasonFile), kReasonBytesMax);
  if (!file) return "";
  std::string_view text = file->text();
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  return escape_control(std::string(text));
}

}  // namespace

Result<Notes> StoreWriter::quarantine(std::span<const Rejection> rejected) {
  Notes notes;
  const auto listing = Store(directory_).list();
  if (!listing) return listing.error();
  for (const Rejection& rejection : rejected) {
    const auto found = listing->episodes.find(rejection.episode);
    if (rejection.damage != Damage::proven || found == listing->episodes.end()) continue;
    const auto destination = make_set_aside_directory(directory_, kQuarantineDirectory, ep(rejection.episode));
    if (!destination) return destination.error();
    // First, so that what lies there has its reason whatever comes in between; without it the move is right all the
    // same.
    const auto written = write_reason(*destination, rejection.reason);
    if (!written) notes.push_back("the reason could not be written down: " + written.error().message);
    const auto moved = move_files(pair_files(rejection.episode, found->second), *destination);
    if (!moved) return moved.error();
    notes.push_back("moved the files of episode " + std::to_string(rejection.episode) + " to " +
                    destination->path_of("") + "; nothing was deleted");
  }
  return notes;
}

Result<Notes> StoreWriter::quarantine_uncommitted_before(Episode episode) {
  const auto listing = Store(directory_).list();
  if (!listing) return listing.error();
  std::vector<Rejection> uncommitted;
  for (const auto& [older, files] : listing->episodes) {
    if (older >= episode || !files.archive || files.sidecar) continue;
    uncommitted.push_back({older,
                           directory_.path_of(archive_name(older)) +
                               " has no sidecar: a save or a pruning was interrupted before it was done.",
                           Damage::proven});
  }
  return quarantine(uncommitted);
}

// Content first and durable under its name; the arrival of the sidecar is the commit. Until then the archive has both
// names, so that an interruption leaves the pair whole where it was.
Result<> StoreWriter::put_in_place(const Directory& folder, const Sidecar& sidecar, bool pinned) {
  const std::string archive = archive_name(sidecar.episode);
  const std::string record = sidecar_name(sidecar.episode);
  if (!folder.link_into(archive, directory_, archive)) {
    // A file system without hard links.
    const auto space = require_space(sidecar.bytes);
    if (!space) return space.error();
    const auto content = folder.map_file(archive, sidecar.bytes);
    if (!content) return content.error();
    const auto copied = write_named(archive, content->bytes(), {});
    if (!copied) return copied.error();
  }
  // Before the sidecar: no interruption may leave a pair that was pinned without it.
  const auto listing = Store(directory_).list();
  if (!listing) return listing.error();
  if (pinned && !listing->pinned.contains(sidecar.episode)) {
    const auto marked = directory_.write_synced(pin_name(sidecar.episode), {});
    if (!marked) return marked.error();
  }
  const auto durable = directory_.sync();
  if (!durable) return durable.error();
  const auto committed = folder.rename_new_into(record, directory_, record);
  if (!committed) return committed.error();
  return directory_.sync();
}

Result<StoreWriter::Released> StoreWriter::release(Episode episode) {
  const auto recovered = recover();
  if (!recovered) return recovered.error();
  const auto listing = Store(directory_).list();
  if (!listing) return listing.error();
  const auto standing = listing->episodes.find(episode);
  const bool free = standing == listing->episodes.end();
  if (!free && standing->second.sidecar) return place_taken(directory_, sidecar_name(episode));
  const auto found = find_quarantined(directory_, episode);
  if (!found) return found.error();
  if (!free) {
    // Of a release that was interrupted, unless it has another content.
    const std::string orphan = archive_name(episode);
    const auto content = directory_.digest_file(orphan, found->sidecar.bytes);
    if (!content || *content != found->sidecar.digest) return place_taken(directory_, orphan);
    const auto removed = directory_.unlink(orphan);
    if (!removed) return removed.error();
  }
  const auto beside = Store(found->folder).list();
  if (!beside) return beside.error();
  const bool pinned = beside->pinned.contains(episode);
  const auto placed = put_in_place(found->folder, found->sidecar, pinned);
  if (!placed) {
    // Without its sidecar the archive is worth nothing here; the pair is whole where it was.
    const auto record = directory_.file_size(sidecar_name(episode));
    if (!record && record.error().kind == ErrorKind::not_found) {
      [[maybe_unused]] const auto removed = directory_.unlink(archive_name(episode));
      if (pinned) [[maybe_unused]]
        const auto unpinned = directory_.unlink(pin_name(episode));
    }
    return placed.error();
  }
  const auto confirmed = confirm(found->sidecar);
  if (!confirmed) return confirmed.error();
  // The pair is back. Another name of its archive that cannot be removed does no harm: without a sidecar it is nothing.
  for (const std::string& name : {archive_name(episode), pin_name(episode)}) {
    [[maybe_unused]] const auto removed = found->folder.unlink(name);
  }
  [[maybe_unused]] const auto synced = found->folder.sync();
  return Released{found->sidecar, found->folder.path(), read_reason(found->folder), pinned};
}

}  // namespace ts::checkpoint
