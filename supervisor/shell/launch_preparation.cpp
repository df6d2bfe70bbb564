#include "supervisor/shell/launch_preparation.h"

#include <utility>

#include "common/base/random_id.h"
#include "common/base/text.h"
#include "common/checkpoint/store.h"
#include "common/checkpoint/store_writer.h"

namespace ts::shell {
namespace {

using checkpoint::Directory;
using checkpoint::DirectoryLock;
using checkpoint::Store;
using checkpoint::StoreWriter;

// One preparation, with the directory's lock held until it ends.
class Preparation {
 public:
  Preparation(std::int64_t attempt, const config::Config& config, Directory directory, LaunchPlan& plan)
      : attempt_(attempt), config_(config), directory_(std::move(directory)), plan_(plan) {}

  Result<> run(const core::LaunchFrom& from) {
    auto lock = DirectoryLock::acquire(directory_, "trainer-supervisor");
    if (!lock) return lock.error();
    StoreWriter writer(directory_, std::move(*lock));
    const auto recovered = writer.recover();
    if (!recovered) return recovered.error();
    note(*recovered);
    switch (from.kind) {
      case core::LaunchFrom::Kind::newest:
        return resume_newest(writer);
      case core::LaunchFrom::Kind::selector:
        return go_back(writer, from.selector);
      case core::LaunchFrom::Kind::fresh:
        return start_fresh(writer);
    }
    return {};
  }

 private:
  void note(const std::vector<std::string>& sentences) {
    plan_.notes.insert(plan_.notes.end(), sentences.begin(), sentences.end());
  }

  StoreWriter::BestBy best_by() const {
    return {config_.checkpoints.best_metric, config_.checkpoints.best_mode == config::BestMode::max};
  }

  void resume_from(const checkpoint::Verified& chosen) {
    plan_.run_id = chosen.sidecar.run_id.empty() ? plan_.run_id : chosen.sidecar.run_id;
    plan_.resumed = chosen.sidecar;
    plan_.outcome =
        core::LaunchPrepared{attempt_, {chosen.sidecar.episode, (directory_.path() / chosen.archive_name).string()}};
  }

  Result<> start_fresh(StoreWriter& writer) {
    const auto aside = writer.set_aside_newer_than(-1, best_by());
    if (!aside) return aside.error();
    note(*aside);
    plan_.run_id = make_run_id();
    plan_.outcome = core::LaunchPrepared{attempt_, {}};
    return {};
  }

  Result<> go_back(StoreWriter& writer, const std::string& text) {
    const auto selector = checkpoint::parse_selector(text);
    if (!selector) return selector.error();
    const Store store(directory_);
    const auto chosen = store.select(*selector, plan_.run_id);
    if (!chosen) return chosen.error();
    if (chosen->sidecar.run_id.empty()) {
      // A file from elsewhere: the worker knows better than we what is in it, and where it resumes.
      plan_.outcome = core::LaunchPrepared{attempt_, {0, std::get<checkpoint::AtPath>(*selector).path}};
      return {};
    }
    const auto aside = writer.set_aside_newer_than(chosen->sidecar.episode, best_by());
    if (!aside) return aside.error();
    note(*aside);
    resume_from(*chosen);
    return {};
  }

  Result<> resume_newest(StoreWriter& writer) {
    const Store store(directory_);
    const auto listing = store.list();
    if (!listing) return listing.error();
    if (!listing->holds_checkpoint_files()) {
      // Emptied or moved away by hand, or the first start: a run of its own either way.
      plan_.run_id = make_run_id();
      plan_.outcome = core::LaunchPrepared{attempt_, {}};
      return {};
    }
    auto choice = store.choose_newest(plan_.run_id);
    if (!choice) return choice.error();
    for (const auto& rejection : choice->rejected) {
      plan_.notes.push_back("rejected episode " + std::to_string(rejection.episode) + ": " + rejection.reason);
    }
    if (!choice->newest) {
      auto fallen_back = fall_back(store);
      if (!fallen_back) return fallen_back.error();
      if (!*fallen_back) return nothing_valid(writer, *choice);
      choice->newest = std::move(**fallen_back);
    }
    const auto aside = writer.quarantine(choice->rejected);
    if (!aside) return aside.error();
    note(*aside);
    resume_from(*choice->newest);
    return {};
  }

  // No episode of this run is valid: its best model may be, and where another run has put its checkpoints (a trainer
  // started by hand, say), that one is what there is to go on with.
  Result<std::optional<checkpoint::Verified>> fall_back(const Store& store) {
    auto best = store.verify_best();
    if (best && best->sidecar.run_id == plan_.run_id) {
      plan_.notes.push_back("no episode's checkpoint is valid, but the best model's is");
      return std::optional(std::move(*best));
    }
    auto any = store.choose_newest("");
    if (!any) return any.error();
    if (!any->newest && best) any->newest = std::move(*best);
    if (any->newest) {
      plan_.notes.push_back("going on with run " + escape_control(any->newest->sidecar.run_id) +
                            ", since this one has no valid checkpoint");
    }
    return std::move(any->newest);
  }

  Result<> nothing_valid(StoreWriter& writer, const checkpoint::Choice& choice) {
    if (config_.restart.allow_fresh) {
      plan_.notes.push_back("no checkpoint is valid; starting fresh, as restart.allow_fresh permits");
      return start_fresh(writer);
    }
    std::string why = directory_.path_of("") + " holds checkpoint files, but none can be resumed from";
    if (!choice.rejected.empty()) why += " (the newest: " + choice.rejected.front().reason + ")";
    return make_error(
        ErrorKind::checkpoint,
        why + " Nothing was changed. To set them aside and start over, use --fresh or supervisorctl fresh.");
  }

  std::int64_t attempt_;
  const config::Config& config_;
  Directory directory_;
  LaunchPlan& plan_;
};

core::Cause cause_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::checkpoint:
    case ErrorKind::data:
    case ErrorKind::not_found:
      return core::Cause::bad_data;
    case ErrorKind::configuration:
      return core::Cause::bad_configuration;
    case ErrorKind::cannot_write:
    case ErrorKind::locked:
      return core::Cause::cannot_save;
    case ErrorKind::unavailable:
    case ErrorKind::internal:
      return core::Cause::cannot_prepare;
  }
  return core::Cause::cannot_prepare;
}

}  // namespace

LaunchPlan prepare_launch(std::int64_t attempt, const core::LaunchFrom& from, const std::string& run_id,
                          const config::Config& config) {
  LaunchPlan plan;
  plan.run_id = run_id;
  const auto prepared = [&]() -> Result<> {
    auto directory = Directory::open(config.checkpoints.directory, Directory::Create::yes);
    if (!directory) return directory.error();
    return Preparation(attempt, config, std::move(*directory), plan).run(from);
  }();
  if (!prepared) {
    const ErrorKind kind = prepared.error().kind;
    const bool may_pass = kind == ErrorKind::unavailable || kind == ErrorKind::internal;
    plan.outcome = core::LaunchRefused{attempt, cause_of(kind), !may_pass, prepared.error().message};
  }
  return plan;
}

Result<std::int64_t> check_selector(const std::string& text, const std::string& run_id, const config::Config& config) {
  const auto directory = Directory::open(config.checkpoints.directory, Directory::Create::no);
  if (!directory) return directory.error();
  const Store store(*directory);
  const auto selector = checkpoint::parse_selector(text);
  const auto chosen = selector ? store.select(*selector, run_id) : Result<checkpoint::Verified>(selector.error());
  if (chosen) return chosen->sidecar.episode;
  return make_error(chosen.error().kind, "cannot go back to " + text + ": " + chosen.error().message +
                                             " Nothing was changed; " + store.list_usable() + ".");
}

}  // namespace ts::shell
