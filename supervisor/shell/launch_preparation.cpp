#include "supervisor/shell/launch_preparation.h"

#include <chrono>
#include <thread>
#include <utility>

#include "common/base/random_id.h"
#include "common/base/text.h"
#include "common/checkpoint/resume_choice.h"
#include "common/checkpoint/store.h"
#include "common/checkpoint/store_writer.h"

namespace ts::shell {
namespace {

using checkpoint::Directory;
using checkpoint::DirectoryLock;
using checkpoint::Store;
using checkpoint::StoreWriter;

// A worker that was just killed holds its lock until the kernel has taken its memory apart; whoever still has it after
// this long is at work. It is refused, unless it is a worker of ours: then there is nothing to wait for.
Result<DirectoryLock> acquire_lock(const Directory& directory, const core::OwnLaunches& own, LaunchPlan& plan) {
  constexpr int kTries = 20;
  constexpr std::chrono::milliseconds kPause{100};
  for (int tries = 1;; ++tries) {
    auto lock = DirectoryLock::acquire(directory, "trainer-supervisor");
    if (lock || lock.error().kind != ErrorKind::locked) return lock;
    auto holder = examine_holder(directory, own);
    if (holder.worker) {
      plan.found = std::move(holder.worker);
      return lock;
    }
    if (tries == kTries)
      return make_error(ErrorKind::locked, lock.error().message + " It is not adopted: " + holder.why + ".");
    std::this_thread::sleep_for(kPause);
  }
}

// One preparation, with the directory's lock held until it ends.
class Preparation {
 public:
  Preparation(std::int64_t attempt, const config::Config& config, Directory directory, LaunchPlan& plan)
      : attempt_(attempt), config_(config), directory_(std::move(directory)), plan_(plan) {}

  Result<> run(const core::LaunchFrom& from, const core::OwnLaunches& own) {
    auto lock = acquire_lock(directory_, own, plan_);
    if (!lock) return lock.error();
    StoreWriter writer(directory_, std::move(*lock));
    const auto recovered = writer.recover();
    if (!recovered) return recovered.error();
    note(*recovered);
    switch (from.kind) {
      case core::LaunchFrom::Kind::newest: return resume_newest(writer);
      case core::LaunchFrom::Kind::selector: return go_back(writer, from.selector);
      case core::LaunchFrom::Kind::fresh: return start_fresh(writer);
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
    const Store store(directory_);
    const auto chosen =
        selector ? store.select(*selector, plan_.run_id) : Result<checkpoint::Verified>(selector.error());
    if (!chosen) {
      // It was there when it was asked for; the training must not end because it has gone since.
      plan_.notes.push_back("cannot go back to " + escape_control(text) + " any more: " + chosen.error().message +
                            " Going on from the newest instead");
      return resume_newest(writer);
    }
    if (chosen->is_foreign()) {
      // What is in it and where it resumes is for the worker to tell.
      plan_.outcome = core::LaunchPrepared{attempt_, {0, std::get<checkpoint::AtPath>(*selector).path}};
      return {};
    }
    // Our own trainer sets aside what is newer when it has loaded the checkpoint; of any other program we cannot know.
    if (!config_.worker.command.empty()) {
      const auto aside = writer.set_aside_newer_than(chosen->sidecar.episode, best_by());
      if (!aside) return aside.error();
      note(*aside);
    }
    resume_from(*chosen);
    return {};
  }

  Result<> resume_newest(StoreWriter& writer) {
    auto choice = checkpoint::choose_resume_point(Store(directory_), plan_.run_id);
    if (!choice) {
      if (choice.error().kind != ErrorKind::checkpoint || !config_.restart.allow_fresh) return choice.error();
      plan_.notes.push_back(choice.error().message + " Starting fresh, as restart.allow_fresh permits");
      return start_fresh(writer);
    }
    note(choice->notes);
    const auto aside = writer.quarantine(choice->rejected);
    // Tidying up is no condition for going on.
    note(aside ? *aside : checkpoint::Notes{aside.error().message});
    if (!choice->chosen) {
      // Emptied or moved away by hand, or the first start: a run of its own either way.
      plan_.run_id = make_run_id();
      plan_.outcome = core::LaunchPrepared{attempt_, {}};
      return {};
    }
    const auto tidied = writer.quarantine_uncommitted_before(choice->chosen->sidecar.episode);
    note(tidied ? *tidied : checkpoint::Notes{tidied.error().message});
    resume_from(*choice->chosen);
    return {};
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
    case ErrorKind::not_found: return core::Cause::bad_data;
    case ErrorKind::configuration: return core::Cause::bad_configuration;
    case ErrorKind::cannot_write:
    case ErrorKind::locked: return core::Cause::cannot_save;
    case ErrorKind::unavailable:
    case ErrorKind::internal: return core::Cause::cannot_prepare;
  }
  return core::Cause::cannot_prepare;
}

}  // namespace

LaunchPlan prepare_launch(std::int64_t attempt, const core::LaunchFrom& from, const core::OwnLaunches& own,
                          const config::Config& config) {
  LaunchPlan plan;
  plan.run_id = own.run_id;
  const auto prepared = [&]() -> Result<> {
    auto directory = Directory::open(config.checkpoints.directory, Directory::Create::yes);
    if (!directory) return directory.error();
    return Preparation(attempt, config, std::move(*directory), plan).run(from, own);
  }();
  if (!prepared) {
    const ErrorKind kind = prepared.error().kind;
    const core::Cause cause = cause_of(kind);
    plan.locked = kind == ErrorKind::locked;
    plan.outcome = core::LaunchRefused{attempt, cause, core::is_permanent(cause), prepared.error().message};
  }
  return plan;
}

Result<GoBackTarget> check_selector(const std::string& text, const std::string& run_id, const config::Config& config) {
  const auto directory = Directory::open(config.checkpoints.directory, Directory::Create::no);
  if (!directory) return directory.error();
  const Store store(*directory);
  const auto selector = checkpoint::parse_selector(text);
  const auto chosen = selector ? store.select(*selector, run_id) : Result<checkpoint::Verified>(selector.error());
  if (!chosen) {
    return make_error(chosen.error().kind, "cannot go back to " + escape_control(text) + ": " + chosen.error().message +
                                               " Nothing was changed; " + store.list_usable() + ".");
  }
  if (chosen->is_foreign()) return GoBackTarget{text, escape_control(text)};
  // By number: what is newest or best when the worker has stopped may be another one than now.
  const checkpoint::Episode episode = chosen->sidecar.episode;
  const bool by_number = checkpoint::parse_episode_file(chosen->archive_name).has_value() || store.verify(episode);
  return GoBackTarget{by_number ? "ep" + std::to_string(episode) : checkpoint::to_string(*selector),
                      "episode " + std::to_string(episode)};
}

}  // namespace ts::shell
