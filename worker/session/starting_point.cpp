#include "worker/session/starting_point.h"

#include <utility>

namespace ts::session {
namespace {

using checkpoint::Store;
using checkpoint::StoreWriter;

std::string path_of(const Store& store, const checkpoint::Verified& verified, const checkpoint::Selector* selector) {
  if (verified.is_foreign() && selector != nullptr) return checkpoint::to_string(*selector);
  return store.directory().path_of(verified.archive_name);
}

Result<StartingPoint> resume_newest(const std::string& run_id, const Store& store) {
  auto choice = checkpoint::choose_resume_point(store, run_id);
  if (!choice) return choice.error();
  StartingPoint point;
  point.notes = std::move(choice->notes);
  point.rejected = std::move(choice->rejected);
  if (!choice->chosen) return point;
  point.path = path_of(store, *choice->chosen, nullptr);
  point.checkpoint = std::move(choice->chosen);
  return point;
}

// Whether a valid checkpoint of the same run newer than `chosen` would be left behind: then this is a step back, and
// not the plain continuation that a supervisor asks for.
Result<bool> newer_valid_exists(const Store& store, const checkpoint::Sidecar& chosen) {
  const Store lean(store.directory());  // only whether they are valid is asked here
  const auto listing = lean.list();
  if (!listing) return listing.error();
  for (auto at = listing->episodes.upper_bound(chosen.episode); at != listing->episodes.end(); ++at) {
    const auto newer = lean.verify(at->first);
    if (newer && newer->sidecar.run_id == chosen.run_id) return true;
  }
  return false;
}

Result<StartingPoint> resume_selected(const std::string& text, const std::string& run_id, const Store& store) {
  const auto selector = checkpoint::parse_selector(text);
  if (!selector)
    return make_error(selector.error().kind, selector.error().message + " Here " + store.list_usable() + ".");
  auto chosen = store.select(*selector, run_id);
  if (!chosen) {
    return make_error(chosen.error().kind,
                      chosen.error().message + " Nothing was changed; " + store.list_usable() + ".");
  }
  StartingPoint point;
  point.path = path_of(store, *chosen, &*selector);
  if (!chosen->is_foreign()) {
    const auto newer = newer_valid_exists(store, chosen->sidecar);
    if (!newer) return newer.error();
    if (*newer) point.supersede_after = chosen->sidecar.episode;
  }
  point.checkpoint = std::move(*chosen);
  return point;
}

}  // namespace

StoreWriter::BestBy best_by(const config::Config& config) {
  return {config.checkpoints.best_metric, config.checkpoints.best_mode == config::BestMode::max};
}

Result<StartingPoint> choose_starting_point(const ResumeRequest& request, const std::string& run_id,
                                            const Store& store) {
  switch (request.kind) {
    case ResumeRequest::Kind::automatic: return resume_newest(run_id, store);
    case ResumeRequest::Kind::selector: return resume_selected(request.selector, run_id, store);
    case ResumeRequest::Kind::fresh: {
      StartingPoint point;
      point.supersede_after = -1;
      return point;
    }
    case ResumeRequest::Kind::none: break;
  }
  const auto listing = store.list();
  if (!listing) return listing.error();
  if (!listing->holds_checkpoint_files()) return StartingPoint{};
  return make_error(ErrorKind::configuration,
                    store.directory().path_of("") +
                        " already holds checkpoints. Use --auto-resume to go on from the newest, --resume ep200 (for "
                        "example) to go on from another, or --fresh to set them aside and start over.");
}

Result<checkpoint::Notes> make_way(const StartingPoint& point, const config::Config& config, StoreWriter& writer) {
  if (point.supersede_after) return writer.set_aside_newer_than(*point.supersede_after, best_by(config));
  return writer.quarantine(point.rejected);
}

}  // namespace ts::session
