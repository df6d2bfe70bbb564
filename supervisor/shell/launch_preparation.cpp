#include "supervisor/shell/launch_preparation.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <thread>
#include <utility>

#include "common/base/process_identity.h"
#include "common/base/random_id.h"
#include "common/base/text.h"
#include "common/checkpoint/directory_lock.h"
#include "common/checkpoint/resume_choice.h"
#include "common/checkpoint/store.h"
#include "common/checkpoint/store_writer.h"

namespace ts::shell {
namespace {

using checkpoint::Directory;
using checkpoint::DirectoryLock;
using checkpoint::Store;
using checkpoint::StoreWriter;

// The marks of the process that holds the lock, as far as they can be read.
LaunchMarks marks_of_holder(const Directory& directory) {
  const auto record = checkpoint::read_lock_record(directory);
  if (!record || !is_alive({record->pid, record->start_ticks, current_boot_id()})) return {};
  return marks_of(record->pid).value_or(LaunchMarks{});
}

// Where another supervisor launched it, a sentence that says which.
std::string whose(const LaunchMarks& marks, const OwnLaunches& own) {
  if (marks.state_directory.empty() || marks.state_id == own.state_id) return {};
  return " It belongs to the supervisor whose state is in " + escape_control(marks.state_directory) + ".";
}

bool is_held_by_ours(const config::Config& config, const OwnLaunches& own) {
  const auto directory = Directory::open(config.checkpoints.directory, Directory::Create::no);
  return directory && !own.state_id.empty() && marks_of_holder(*directory).state_id == own.state_id;
}

// A worker that was just killed holds its lock until the kernel has taken its memory apart; whoever still has it after
// this long is at work.
Result<DirectoryLock> acquire_lock(const Directory& directory, const OwnLaunches& own) {
  constexpr int kTries = 24;
  constexpr std::chrono::milliseconds kPauseMax{100};
  std::chrono::milliseconds pause{1};
  for (int tries = 1;; ++tries) {
    auto lock = DirectoryLock::acquire(directory, "trainer-supervisor");
    if (lock || lock.error().kind != ErrorKind::locked) return lock;
    if (tries == kTries)
      return make_error(ErrorKind::locked, lock.error().message + whose(marks_of_holder(directory), own));
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, kPauseMax);
  }
}

// One preparation, with the directory's lock held until it ends.
class Preparation {
 public:
  Preparation(const core::PrepareLaunch& launch, const config::Config& config, Directory directory, LaunchPlan& plan)
      : launch_(launch), config_(config), directory_(std::move(directory)), plan_(plan) {}

  Result<> run(const HeldSnapshot* held, const OwnLaunches& own) {
    auto lock = acquire_lock(directory_, own);
    if (!lock) return lock.error();
    StoreWriter writer(directory_, std::move(*lock));
    const auto recovered = writer.recover();
    if (!recovered) return recovered.error();
    note(*recovered);
    if (held != nullptr) {
      const Rescue rescue = rescue_snapshot(*held, plan_.run_id, config_, directory_, writer);
      if (rescue.outcome == Rescue::Outcome::not_written) return make_error(ErrorKind::cannot_write, rescue.sentence);
      if (rescue.outcome != Rescue::Outcome::not_needed) plan_.notes.push_back(rescue.sentence);
      plan_.snapshot_settled = true;
    }
    switch (launch_.from.kind) {
      case core::LaunchFrom::Kind::newest: return resume_newest(writer);
      case core::LaunchFrom::Kind::selector: return go_back(writer, launch_.from.selector);
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
    plan_.outcome = core::LaunchPrepared{
        launch_.attempt, {chosen.sidecar.episode, (directory_.path() / chosen.archive_name).string(), false}};
  }

  Result<> start_fresh(StoreWriter& writer) {
    const auto aside = writer.set_aside_newer_than(-1, best_by());
    if (!aside) return aside.error();
    note(*aside);
    plan_.run_id = make_run_id();
    plan_.outcome = core::LaunchPrepared{launch_.attempt, {}};
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
      plan_.outcome = core::LaunchPrepared{launch_.attempt, {0, std::get<checkpoint::AtPath>(*selector).path, true}};
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

  // The newest valid checkpoint of this run that is older than `episode`.
  std::optional<checkpoint::Episode> newest_before(checkpoint::Episode episode) const {
    const Store store(directory_);
    const auto listing = store.list();
    if (!listing) return std::nullopt;
    for (auto at = listing->episodes.rbegin(); at != listing->episodes.rend(); ++at) {
      if (at->first >= episode) continue;
      const auto older = store.verify(at->first);
      if (older && (plan_.run_id.empty() || older->sidecar.run_id == plan_.run_id)) return at->first;
    }
    return std::nullopt;
  }

  // A valid checkpoint that kills every worker started from it goes aside, where there is another way to go on.
  void condemn(StoreWriter& writer, const core::Poison& poison) {
    const std::string name = directory_.path_of(checkpoint::archive_name(poison.episode));
    const std::string why = std::to_string(poison.deaths) + " workers in a row that were started from " + name +
                            " ended before they completed an episode";
    const auto older = newest_before(poison.episode);
    if (!older && !config_.restart.allow_fresh) {
      plan_.notes.push_back(why +
                            "; it stays, since there is no older valid checkpoint and restart.allow_fresh is off");
      return;
    }
    const auto aside =
        writer.quarantine(std::vector{checkpoint::Rejection{poison.episode, why + ".", checkpoint::Damage::proven}});
    plan_.notes.push_back(why + "; going on from " +
                          (older ? "episode " + std::to_string(*older) : std::string("the beginning")) +
                          ". To put it back: supervisorctl checkpoints release ep" + std::to_string(poison.episode));
    note(aside ? *aside : checkpoint::Notes{aside.error().message});
  }

  Result<> resume_newest(StoreWriter& writer) {
    if (launch_.poison) condemn(writer, *launch_.poison);
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
      plan_.outcome = core::LaunchPrepared{launch_.attempt, {}};
      return {};
    }
    const auto tidied = writer.quarantine_uncommitted_before(choice->chosen->sidecar.episode);
    note(tidied ? *tidied : checkpoint::Notes{tidied.error().message});
    resume_from(*choice->chosen);
    return {};
  }

  const core::PrepareLaunch& launch_;
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

Rescue rescue_now(const HeldSnapshot& held, const OwnLaunches& own, const config::Config& config) {
  const auto refused = [&](const Error& error) {
    const std::string what = "the snapshot of episode " + std::to_string(held.notice.episode) + " was not rescued: ";
    return Rescue{Rescue::Outcome::not_written, what + error.message, std::nullopt};
  };
  try {
    const auto directory = Directory::open(config.checkpoints.directory, Directory::Create::yes);
    if (!directory) return refused(directory.error());
    auto lock = acquire_lock(*directory, own);
    if (!lock) return refused(lock.error());
    StoreWriter writer(*directory, std::move(*lock));
    const auto recovered = writer.recover();
    if (!recovered) return refused(recovered.error());
    return rescue_snapshot(held, own.run_id, config, *directory, writer);
  } catch (const std::exception& error) {  // out of memory, say
    return refused(make_error(ErrorKind::unavailable, std::string("it could not be prepared: ") + error.what() + "."));
  }
}

LaunchPlan prepare_launch(const core::PrepareLaunch& launch, const HeldSnapshot* held, const OwnLaunches& own,
                          const config::Config& config) {
  LaunchPlan plan;
  plan.run_id = own.run_id;
  const auto found_one_from = [&](std::int64_t attempt) {
    SettledSurvivors survivors = settle_survivors(own.state_id, attempt);
    plan.notes.insert(plan.notes.end(), survivors.notes.begin(), survivors.notes.end());
    plan.found = std::move(survivors.worker);
    return plan.found.has_value();
  };
  const auto prepared = [&]() -> Result<> {
    if (own.unknown_from) {
      plan.survivors_settled = true;
      if (found_one_from(*own.unknown_from)) return make_error(ErrorKind::locked, "a worker of ours trains on.");
    }
    auto directory = Directory::open(config.checkpoints.directory, Directory::Create::yes);
    if (!directory) return directory.error();
    auto run = Preparation(launch, config, std::move(*directory), plan).run(held, own);
    // One of ours that was in the middle of its exec when it was looked for bore no marks then.
    if (!run && run.error().kind == ErrorKind::locked && is_held_by_ours(config, own)) found_one_from(1);
    return run;
  }();
  if (!prepared) {
    const ErrorKind kind = prepared.error().kind;
    const core::Cause cause = cause_of(kind);
    plan.locked = kind == ErrorKind::locked;
    plan.outcome = core::LaunchRefused{launch.attempt, cause, core::is_permanent(cause), prepared.error().message};
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
