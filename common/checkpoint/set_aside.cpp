#include "common/checkpoint/set_aside.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <boost/json/object.hpp>

#include "common/base/json.h"
#include "common/base/random_id.h"
#include "common/base/text.h"
#include "common/checkpoint/history.h"
#include "common/checkpoint/store_writer.h"

namespace ts::checkpoint {
namespace {

constexpr std::int64_t kIntentFormat = 1;

std::optional<double> metric_of(const Sidecar& sidecar, const std::string& metric) {
  return number_member(sidecar.metrics, metric);
}

}  // namespace

std::string to_json(const Intent& intent) {
  boost::json::object out;
  out["format"] = kIntentFormat;
  out["newer_than"] = intent.newer_than;
  out["destination"] = intent.destination;
  out["metric"] = intent.metric;
  out["maximize"] = intent.maximize;
  return pretty_json(out);
}

Result<Intent> parse_intent(std::string_view text, std::string_view name) {
  const auto document = parse_json(text, name, kSidecarBytesMax);
  if (!document) return document.error();
  const auto* object = document->if_object();
  const auto refuse = [&] {
    return make_error(ErrorKind::checkpoint, std::string(name) +
                                                 " is no usable record of an interrupted move; look at the "
                                                 "superseded directory, then remove this file.");
  };
  if (object == nullptr || integer_member(*object, "format") != kIntentFormat) return refuse();
  const auto newer_than = integer_member(*object, "newer_than");
  const auto destination = string_member(*object, "destination");
  const auto metric = string_member(*object, "metric");
  const auto maximize = bool_member(*object, "maximize");
  if (!newer_than || *newer_than < -1 || !destination || !metric || !maximize) return refuse();
  // One plain name: the record must not be able to move anything elsewhere.
  if (destination->empty() || destination->find('/') != std::string::npos || destination->starts_with('.')) {
    return refuse();
  }
  return Intent{*newer_than, *destination, *metric, *maximize};
}

std::string set_aside_name(std::string_view label) {
  std::string stamp = rfc3339_utc(std::chrono::system_clock::now());
  std::replace(stamp.begin(), stamp.end(), ':', '-');
  return stamp + "-" + std::string(label) + "-" + make_run_id().substr(0, 4);
}

Result<Directory> make_set_aside_directory(const Directory& directory, std::string_view kind, std::string_view label) {
  const auto parent = directory.make_subdirectory(std::string(kind));
  if (!parent) return parent.error();
  return parent->make_subdirectory(set_aside_name(label));
}

std::optional<Episode> episode_of_folder(std::string_view name) {
  constexpr std::string_view kBefore = "Z-ep";
  const std::size_t found = name.find(kBefore);
  if (found == std::string_view::npos) return std::nullopt;
  const std::string_view rest = name.substr(found + kBefore.size());
  const auto file = parse_episode_file("model_ep" + std::string(rest.substr(0, rest.find('-'))) + ".pt");
  return file ? std::optional(file->episode) : std::nullopt;
}

Result<> write_reason(const Directory& folder, std::string_view why) {
  const std::string text = escape_control(std::string(why)) + "\n";
  return folder.write_synced(std::string(kReasonFile), std::as_bytes(std::span(text)));
}

std::vector<std::string> pair_files(Episode episode, const PairFiles& files) {
  std::vector<std::string> names;
  if (files.sidecar) names.push_back(sidecar_name(episode));
  if (files.archive) names.push_back(archive_name(episode));
  if (files.pin) names.push_back(pin_name(episode));
  return names;
}

Result<> StoreWriter::move_files(const std::vector<std::string>& names, const Directory& destination) {
  for (const std::string& name : names) {
    const auto moved = directory_.rename_new_into(name, destination, name);
    if (!moved && moved.error().kind != ErrorKind::not_found) return moved.error();
  }
  const auto arrived = destination.sync();
  if (!arrived) return arrived.error();
  return directory_.sync();
}

Result<Notes> StoreWriter::set_aside_newer_than(Episode episode, const BestBy& best_by) {
  Notes notes;
  const Store store(directory_);
  auto listing = store.list();
  if (!listing) return listing.error();
  // What an earlier attempt or save left half-way in this process.
  const auto finished = listing->intent ? carry_out_intent(notes) : complete_best(*listing, notes);
  if (!finished) return finished.error();
  listing = store.list();
  if (!listing) return listing.error();
  const bool newer_pairs = listing->episodes.upper_bound(episode) != listing->episodes.end();
  const auto best = store.read_best_sidecar();
  if (!best && best.error().kind == ErrorKind::unavailable) return best.error();
  const bool newer_best = best ? best->episode > episode : (episode < 0 && listing->best_archive);
  const bool old_history = episode < 0 && directory_.file_size(std::string(kHistoryFile));
  if (!newer_pairs && !newer_best && !old_history) return notes;

  const std::string label = episode < 0 ? "fresh" : "newer-than-ep" + std::to_string(episode);
  const Intent intent{episode, set_aside_name(label), best_by.metric, best_by.maximize};
  const std::string text = to_json(intent);
  const auto journaled = place(std::string(kIntentFile), std::as_bytes(std::span(text)));
  if (!journaled) return journaled.error();
  const auto carried_out = carry_out_intent(notes);
  if (!carried_out) return carried_out.error();
  return notes;
}

// Looks again at what there is, so that it can be repeated after any interruption.
Result<> StoreWriter::carry_out_intent(Notes& notes) {
  const std::string file(kIntentFile);
  const auto record = directory_.read_file(file, kSidecarBytesMax);
  if (!record) return record.error();
  const auto intent = parse_intent(record->text(), directory_.path_of(file));
  if (!intent) return intent.error();

  const Store store(directory_);
  auto listing = store.list();
  if (!listing) return listing.error();
  const auto settled = complete_best(*listing, notes);
  if (!settled) return settled.error();
  listing = store.list();
  if (!listing) return listing.error();
  std::vector<std::string> names;
  for (auto at = listing->episodes.rbegin(); at != listing->episodes.rend(); ++at) {
    if (at->first <= intent->newer_than) break;
    for (std::string& name : pair_files(at->first, at->second)) names.push_back(std::move(name));
  }
  for (auto at = listing->pinned.upper_bound(intent->newer_than); at != listing->pinned.end(); ++at) {
    // Left by a move that was interrupted just before it.
    if (!listing->episodes.contains(*at)) names.push_back(pin_name(*at));
  }
  const auto best = store.read_best_sidecar();
  // Whether the best model is newer cannot be guessed: this is tried again at the next start.
  if (!best && best.error().kind == ErrorKind::unavailable) return best.error();
  // A best archive alone is half moved already.
  const bool best_goes = best ? best->episode > intent->newer_than : intent->newer_than < 0 || !listing->best_sidecar;
  if (best_goes) {
    if (listing->best_sidecar) names.emplace_back(kBestSidecar);
    if (listing->best_archive) names.emplace_back(kBestArchive);
  }
  const auto parent = directory_.make_subdirectory(std::string(kSupersededDirectory));
  if (!parent) return parent.error();
  const auto destination = parent->make_subdirectory(intent->destination);
  if (!destination) return destination.error();
  const auto moved = move_files(names, *destination);
  if (!moved) return moved.error();
  if (!names.empty()) {
    notes.push_back("set aside " + std::to_string(names.size()) + " files newer than episode " +
                    std::to_string(std::max<Episode>(intent->newer_than, 0)) + " in " + destination->path_of("") +
                    "; nothing was deleted");
  }
  // A history that cannot be moved is no reason not to go on: whoever trains next cuts it off.
  const auto history = set_aside_history(directory_, intent->newer_than, *destination);
  if (!history) notes.push_back("the history was not set aside: " + history.error().message);
  const auto remade = remake_best({intent->metric, intent->maximize}, notes);
  if (!remade) return remade.error();
  const auto done = directory_.unlink(file);
  if (!done) return done.error();
  return directory_.sync();
}

Result<> StoreWriter::remake_best(const BestBy& best_by, Notes& notes) {
  const Store store(directory_, Store::Contents::keep);
  const auto current = store.read_best_sidecar();
  if (current) return {};  // it was not newer, so it still is the best
  if (current.error().kind == ErrorKind::unavailable) return current.error();
  const auto listing = store.list();
  if (!listing) return listing.error();
  std::vector<std::pair<double, Episode>> candidates;  // the best first, of equal ones the oldest
  for (const auto& [episode, files] : listing->episodes) {
    const auto sidecar = store.read_sidecar(episode);
    if (!sidecar) notes.push_back("not looked at for the best model: " + sidecar.error().message);
    const auto value = sidecar ? metric_of(*sidecar, best_by.metric) : std::nullopt;
    if (value) candidates.emplace_back(best_by.maximize ? -*value : *value, episode);
  }
  std::sort(candidates.begin(), candidates.end());
  for (const auto& [rank, episode] : candidates) {
    const auto verified = store.verify(episode);
    if (!verified) {
      notes.push_back("not made the best model: " + verified.error().message);
      continue;
    }
    const auto committed = commit_best(verified->archive.bytes(), verified->sidecar);
    if (!committed) return committed.error();
    notes.push_back("the best model is now that of episode " + std::to_string(episode));
    return {};
  }
  return {};
}

}  // namespace ts::checkpoint
