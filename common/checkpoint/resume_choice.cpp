#include "common/checkpoint/resume_choice.h"

#include <filesystem>
#include <utility>

#include "common/base/text.h"
#include "common/checkpoint/set_aside.h"

namespace ts::checkpoint {
namespace {

Result<std::optional<Verified>> fall_back(const Store& store, const std::string& run_id,
                                          std::vector<std::string>& notes) {
  auto best = store.verify_best();
  if (best && (run_id.empty() || best->sidecar.run_id == run_id)) {
    notes.emplace_back("no episode's checkpoint is valid, but the best model's is");
    return std::optional(std::move(*best));
  }
  auto any = store.choose_newest("");
  if (!any) return any.error();
  if (!any->newest && best) any->newest = std::move(*best);
  if (any->newest) {
    notes.push_back("going on with run " + escape_control(any->newest->sidecar.run_id) +
                    ", since this one has no valid checkpoint");
  }
  return std::move(any->newest);
}

// One archive and no record of anything: the very first save never got as far as its commit, so nothing was ever
// acknowledged here. More archives than one are somebody's, whose records are gone: not for us to pass over.
// Nor is it the first save where a pair of the same episode was set aside to make way for it.
bool is_first_save_cut_short(const Store& store, const Listing& listing) {
  const bool one_alone = listing.episodes.size() == 1 && !listing.episodes.begin()->second.sidecar &&
                         !listing.best_archive && !listing.best_sidecar;
  if (!one_alone) return false;
  std::error_code error;
  std::filesystem::directory_iterator at(store.directory().path() / kSupersededDirectory, error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    if (episode_of_folder(at->path().filename().string()) == listing.episodes.begin()->first) return false;
  }
  return true;
}

}  // namespace

Result<ResumeChoice> choose_resume_point(const Store& store, const std::string& run_id) {
  const auto listing = store.list();
  if (!listing) return listing.error();
  ResumeChoice choice;
  if (!listing->holds_checkpoint_files()) return choice;
  auto newest = store.choose_newest(run_id);
  if (!newest) return newest.error();
  choice.rejected = std::move(newest->rejected);
  for (const Rejection& rejection : choice.rejected) {
    choice.notes.push_back("rejected episode " + std::to_string(rejection.episode) + ": " + rejection.reason);
  }
  choice.chosen = std::move(newest->newest);
  if (!choice.chosen) {
    auto other = fall_back(store, run_id, choice.notes);
    if (!other) return other.error();
    choice.chosen = std::move(*other);
  }
  if (choice.chosen || is_first_save_cut_short(store, *listing)) return choice;
  std::string why = store.directory().path_of("") + " holds checkpoint files, but none can be resumed from";
  if (!choice.rejected.empty()) why += " (the newest: " + choice.rejected.front().reason + ")";
  return make_error(ErrorKind::checkpoint,
                    why + ". Nothing was changed. To set them aside and start over, use --fresh.");
}

}  // namespace ts::checkpoint
