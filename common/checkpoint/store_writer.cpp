#include "common/checkpoint/store_writer.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "common/base/text.h"
#include "common/checkpoint/digest.h"
#include "common/checkpoint/pins.h"
#include "common/checkpoint/set_aside.h"

namespace ts::checkpoint {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

}  // namespace

std::string StoreWriter::next_temporary(const std::string& final_name) {
  return temporary_name({final_name, ::getpid(), sequence_++});
}

Result<> StoreWriter::require_space(std::uint64_t bytes) const {
  const auto free = directory_.free_bytes();
  const std::uint64_t needed = space_needed(bytes);
  // Where the question has no answer the reservation that follows gives one.
  if (free && *free < needed) {
    return make_error(ErrorKind::cannot_write, "there is not enough space in " + directory_.path_of("") +
                                                   ": a checkpoint needs " + human_bytes(needed) + ", " +
                                                   human_bytes(*free) +
                                                   " are free; free some space on this file system.");
  }
  return {};
}

Result<std::string> StoreWriter::write_temporary(const std::string& final_name, std::span<const std::byte> bytes,
                                                 const Besides& besides) {
  std::string temporary = next_temporary(final_name);
  const auto look = [&]() -> Result<> { return besides.before_sync ? besides.before_sync(temporary) : Result<>(); };
  const auto written = directory_.write_synced(temporary, bytes, look);
  if (!written) return written.error();
  return temporary;
}

// Written and synced, and under its final name when this returns without an error. Way is made when the bytes are
// written, so that a full disk is met while whatever stands under the name still stands.
Result<> StoreWriter::write_named(const std::string& final_name, std::span<const std::byte> bytes,
                                  const Besides& besides) {
  const auto temporary = write_temporary(final_name, bytes, besides);
  if (!temporary) return temporary.error();
  const auto clear = besides.make_way ? besides.make_way() : Result<>();
  const auto named = clear ? directory_.rename_new(*temporary, final_name) : clear;
  if (!named) {
    [[maybe_unused]] const auto removed = directory_.unlink(*temporary);
    return named.error();
  }
  return {};
}

// The same, and the name is durable too.
Result<> StoreWriter::place(const std::string& final_name, std::span<const std::byte> bytes) {
  const auto named = write_named(final_name, bytes, {});
  if (!named) return named.error();
  return directory_.sync();
}

Result<Notes> StoreWriter::recover() {
  Notes notes;
  const Store store(directory_);
  const auto listing = store.list();
  if (!listing) return listing.error();
  for (const std::string& temporary : listing->temporaries) {
    const auto removed = directory_.unlink(temporary);
    // Litter that cannot be removed (somebody made a directory of that name) is no reason not to train.
    notes.push_back(removed ? "removed " + directory_.path_of(temporary) + ", left behind by a save that never finished"
                            : removed.error().message);
  }
  // The best model is worth no refusal to train: commit_best tries this again before anything else.
  const auto best = complete_best(*listing, notes);
  if (!best) notes.push_back(best.error().message);
  if (listing->intent) {
    const auto carried_out = carry_out_intent(notes);
    if (!carried_out) return carried_out.error();
  }
  // A writer may have died between naming a file and syncing the directory: what can be chosen now must also last. A
  // directory without any file of ours was left by no writer in the middle of anything.
  if (listing->holds_nothing()) return notes;
  const auto synced = directory_.sync();
  if (!synced) return synced.error();
  return notes;
}

// Either moves whatever stands under this episode's names out of the way, or finds nothing there. `displaced` says what
// of a valid pair may have been moved, also when this fails.
Result<> StoreWriter::make_way_for(const Sidecar& successor, std::optional<Displaced>& displaced) {
  const Episode episode = successor.episode;
  const Store store(directory_);
  const auto listing = store.list();
  if (!listing) return listing.error();
  const auto found = listing->episodes.find(episode);
  if (found == listing->episodes.end()) return {};
  if (!found->second.sidecar) {
    // The very content that is about to be named, from a save whose sidecar did not make it. To keep a copy for each
    // attempt would fill the disk.
    const auto orphan = directory_.digest_file(archive_name(episode), successor.bytes);
    if (orphan && *orphan == successor.digest) return directory_.unlink(archive_name(episode));
  }
  const auto standing = store.verify(episode);
  const std::vector<std::string> names = pair_files(episode, found->second);
  auto destination = make_set_aside_directory(directory_, standing ? kSupersededDirectory : kQuarantineDirectory,
                                              "ep" + std::to_string(episode));
  if (!destination) return destination.error();
  if (!standing) {
    // Without it the move is right all the same.
    [[maybe_unused]] const auto written = write_reason(*destination, standing.error().message);
    return move_files(names, *destination);
  }
  displaced.emplace(std::move(*destination), names);
  return move_files(names, displaced->place);
}

// The way back for a pair whose successor was refused: the sidecar last, since it makes the pair exist. What was never
// moved is where it belongs.
Result<> StoreWriter::put_back(const Displaced& displaced) {
  for (auto name = displaced.names.rbegin(); name != displaced.names.rend(); ++name) {
    const auto moved = displaced.place.rename_new_into(*name, directory_, *name);
    if (!moved && moved.error().kind != ErrorKind::not_found) return moved.error();
  }
  const auto left = displaced.place.sync();
  if (!left) return left.error();
  return directory_.sync();
}

Result<Sidecar> StoreWriter::commit(std::span<const std::byte> archive, Sidecar sidecar, const Finish& finish) {
  sidecar.file = archive_name(sidecar.episode);
  sidecar.bytes = archive.size();
  const auto existing = Store(directory_).verify(sidecar.episode);
  const bool same_run = existing && existing->sidecar.run_id == sidecar.run_id;
  if (same_run && sidecar.digest.empty()) sidecar.digest = digest_of(archive);
  if (same_run && existing->sidecar.digest == sidecar.digest) {
    // This very state is there already; if it was this sync that failed before, it is not durable yet.
    const auto synced = directory_.sync();
    if (!synced) return synced.error();
    return existing->sidecar;
  }
  const auto space = require_space(archive.size());
  if (!space) return space.error();
  return commit_pair(archive, std::move(sidecar), finish);
}

Result<Sidecar> StoreWriter::commit_pair(std::span<const std::byte> archive, Sidecar sidecar, const Finish& finish) {
  std::optional<Displaced> displaced;
  const auto written = write_pair(archive, sidecar, finish, displaced);
  if (!written) {
    // With a sidecar it is a pair, though not known to be durable: the next try finds it. Without one the archive is
    // worth nothing, and a file system on which save after save ends here would be full of them.
    const auto sidecar_there = directory_.file_size(sidecar_name(sidecar.episode));
    const bool is_pair = sidecar_there || sidecar_there.error().kind != ErrorKind::not_found;
    const auto orphan = directory_.digest_file(sidecar.file, sidecar.bytes);
    if (!is_pair && orphan && *orphan == sidecar.digest) {
      [[maybe_unused]] const auto removed = directory_.unlink(sidecar.file);
    }
    const auto returned = !is_pair && displaced ? put_back(*displaced) : Result<>();
    if (!returned) return make_error(written.error().kind, written.error().message + " " + returned.error().message);
    return written.error();
  }
  const auto confirmed = confirm(sidecar);
  if (!confirmed) return confirmed.error();
  return sidecar;
}

Result<> StoreWriter::write_pair(std::span<const std::byte> archive, Sidecar& sidecar, const Finish& finish,
                                 std::optional<Displaced>& displaced) {
  Besides besides;
  // While the device writes: the digest, and the file read again. The sync that follows waits for what is left.
  besides.before_sync = [&](const std::string& temporary) -> Result<> {
    if (sidecar.digest.empty()) sidecar.digest = digest_of(archive);
    const auto written = directory_.digest_file(temporary, sidecar.bytes);
    if (!written) return written.error();
    if (*written == sidecar.digest) return {};
    return make_error(ErrorKind::cannot_write, directory_.path_of(temporary) +
                                                   " does not read back as it was written; check the disk and the "
                                                   "memory of this machine.");
  };
  besides.make_way = [&] { return make_way_for(sidecar, displaced); };
  const auto content = write_named(sidecar.file, archive, besides);
  if (!content) return content.error();
  const auto durable = directory_.sync();
  if (!durable) return durable.error();
  if (finish) finish(sidecar);
  return place(sidecar_name(sidecar.episode), bytes_of(to_json(sidecar)));
}

// Pruning follows a commit, so what stands under the final names is looked at before anything older may go. (The
// archive's content has been read again before it had its name.)
Result<> StoreWriter::confirm(const Sidecar& committed) const {
  const auto record = Store(directory_).read_sidecar(committed.episode);
  if (!record) return record.error();
  const auto size = directory_.file_size(committed.file);
  if (!size) return size.error();
  if (record->digest == committed.digest && record->run_id == committed.run_id && *size == committed.bytes) return {};
  return make_error(ErrorKind::cannot_write, directory_.path_of(committed.file) +
                                                 " and its sidecar are not what was written; does somebody else write "
                                                 "this directory?");
}

Result<> StoreWriter::commit_best(std::span<const std::byte> archive, Sidecar sidecar) {
  const Store store(directory_);
  const auto listing = store.list();
  if (!listing) return listing.error();
  Notes notes;
  const auto settled = complete_best(*listing, notes);
  if (!settled) return settled.error();

  const std::string archive_file(kBestArchive);
  const std::string sidecar_file(kBestSidecar);
  const std::string sidecar_next(kBestSidecarNext);
  sidecar.file = archive_file;
  sidecar.bytes = archive.size();
  sidecar.digest = digest_of(archive);

  std::string temporary = next_temporary(archive_file);
  const auto episode_pair = store.read_sidecar(sidecar.episode);
  const bool same_content = episode_pair && episode_pair->digest == sidecar.digest;
  if (!same_content || !directory_.link_into(archive_name(sidecar.episode), directory_, temporary)) {
    const auto space = require_space(archive.size());
    if (!space) return space.error();
    const auto written = directory_.write_synced(temporary, archive);
    if (!written) return written.error();
  }
  const auto prepared = [&]() -> Result<> {
    const auto record = write_temporary(sidecar_file, bytes_of(to_json(sidecar)));
    if (!record) return record.error();
    const auto next = directory_.rename_over(*record, sidecar_next);
    if (!next) {
      [[maybe_unused]] const auto removed = directory_.unlink(*record);
      return next.error();
    }
    return directory_.sync();
  }();
  // From here on complete_best can finish the job: the next sidecar is durable and says which content it belongs to.
  const auto content = prepared ? directory_.rename_over(temporary, archive_file) : prepared;
  if (!content) {
    [[maybe_unused]] const auto removed = directory_.unlink(temporary);
    return content.error();
  }
  // Renaming one link of a file over another does nothing and reports success, so the temporary name may still stand.
  const auto cleared = directory_.unlink(temporary);
  if (!cleared) return cleared.error();
  const auto content_synced = directory_.sync();
  if (!content_synced) return content_synced.error();
  const auto record = directory_.rename_over(sidecar_next, sidecar_file);
  if (!record) return record.error();
  return directory_.sync();
}

// A crash inside commit_best leaves the next sidecar: it goes into place when the content is there already, else away.
Result<> StoreWriter::complete_best(const Listing& listing, Notes& notes) {
  if (!listing.best_sidecar_next) return {};
  const std::string next(kBestSidecarNext);
  const auto record = directory_.read_file(next, kSidecarBytesMax);
  // What cannot be read just now may say that the content is in place: to undo then would part a valid pair.
  if (!record && record.error().kind == ErrorKind::unavailable) return record.error();
  const auto parsed =
      record ? parse_sidecar(record->text(), directory_.path_of(next), kBestArchive) : Result<Sidecar>(record.error());
  bool content_arrived = false;
  if (parsed && listing.best_archive) {
    const auto content = directory_.read_file(std::string(kBestArchive), parsed->bytes);
    if (!content && content.error().kind == ErrorKind::unavailable) return content.error();
    content_arrived = content && digest_of(content->bytes()) == parsed->digest;
  }
  if (content_arrived) {
    const auto renamed = directory_.rename_over(next, std::string(kBestSidecar));
    if (!renamed) return renamed.error();
    notes.push_back("completed the interrupted saving of " + directory_.path_of(kBestArchive));
  } else {
    const auto removed = directory_.unlink(next);
    if (!removed) return removed.error();
    notes.push_back("undid the interrupted saving of " + directory_.path_of(kBestArchive));
  }
  return directory_.sync();
}

// Sidecars first and durably: no record may ever point to nothing. Returns whose they were. Holds the lock that keeps
// pins from being made between the look at them and the removal.
Result<std::vector<Episode>> StoreWriter::prune_sidecars(const std::string& run_id, Episode verified,
                                                         const RetentionPolicy& policy) {
  const auto lock = PinLock::acquire(directory_);
  if (!lock) return lock.error();
  const Store store(directory_);
  const auto listing = store.list();
  if (!listing) return listing.error();
  std::vector<Episode> committed;
  for (const auto& [episode, files] : listing->episodes) {
    if (files.archive && files.sidecar) committed.push_back(episode);
  }
  std::vector<Episode> victims =
      plan_prune(std::move(committed), verified, policy, listing->pinned, [&](Episode episode) {
        const auto sidecar = store.read_sidecar(episode);
        return sidecar && sidecar->run_id == run_id;
      });
  for (const Episode episode : victims) {
    const auto removed = directory_.unlink(sidecar_name(episode));
    if (!removed) return removed.error();
  }
  return victims;
}

Result<std::vector<Episode>> StoreWriter::prune(const std::string& run_id, Episode verified,
                                                const RetentionPolicy& policy) {
  const auto removed_records = prune_sidecars(run_id, verified, policy);
  if (!removed_records || removed_records->empty()) return removed_records;
  const std::vector<Episode>& victims = *removed_records;
  const auto synced = directory_.sync();
  if (!synced) return synced.error();
  for (const Episode episode : victims) {
    const auto removed = directory_.unlink(archive_name(episode));
    if (!removed) return removed.error();
  }
  return victims;
}

}  // namespace ts::checkpoint
