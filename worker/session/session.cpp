#include "worker/session/session.h"

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>

#include "common/base/json.h"
#include "common/base/random_id.h"
#include "common/base/text.h"
#include "common/checkpoint/archive_reader.h"
#include "worker/session/signals.h"

namespace ts::session {
namespace {

using checkpoint::SaveReason;
using protocol::ExitCode;

constexpr int kFinalSaveTries = 4;
constexpr std::chrono::seconds kFinalSavePause{1};

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

std::string environment_or(const char* name, std::string otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? std::string(value) : std::move(otherwise);
}

std::int64_t environment_number(const char* name) {
  return parse_plain_integer(environment_or(name, "0")).value_or(0);
}

class Session {
 public:
  Session(TrainingTask& task, const config::Config& config, checkpoint::Directory directory,
          checkpoint::DirectoryLock lock)
      : task_(task),
        config_(config),
        directory_(std::move(directory)),
        store_(directory_),
        writer_(directory_, std::move(lock)),
        heartbeat_(protocol::NotifySender(std::getenv(protocol::kEnvNotifySocket)),
                   config.supervisor.heartbeat_interval) {}

  Result<ExitCode> run(const ResumeRequest& request) {
    const auto begun = begin(request);
    if (!begun) return begun.error();
    const std::int64_t total = config_.training.episodes;
    if (counters_.episode >= total) {
      say("Training is finished: " + std::to_string(counters_.episode) + "/" + std::to_string(total) +
          " episodes. Raise training.episodes to go on.");
      return ExitCode::finished;
    }
    while (counters_.episode < total && !stop_requested()) {
      const auto trained = train_one_episode();
      if (!trained) return trained.error();
    }
    return end();
  }

 private:
  Result<> begin(const ResumeRequest& request);
  Result<> load(const StartingPoint& point);
  Result<> settle_best(const StartingPoint& point);
  void check_exactness(const checkpoint::Sidecar& sidecar);
  Result<> train_one_episode();
  Result<bool> judge(const EpisodeResult& result);
  void save_what_is_due(bool new_best);
  Result<ExitCode> end();
  bool better(double value, const Best& than) const;

  TrainingTask& task_;
  const config::Config& config_;
  checkpoint::Directory directory_;
  checkpoint::Store store_;
  checkpoint::StoreWriter writer_;
  Heartbeat heartbeat_;
  std::string run_id_;
  std::optional<Saver> saver_;
  SnapshotBuffers snapshots_;
  Counters counters_;
};

Result<> Session::begin(const ResumeRequest& request) {
  const auto recovered = writer_.recover();
  if (!recovered) return recovered.error();
  for (const std::string& note : *recovered) say("Note: " + note + ".");

  run_id_ = environment_or(protocol::kEnvRunId, "");
  const auto point = choose_starting_point(request, config_, run_id_, store_);
  if (!point) return point.error();
  for (const auto& rejection : point->rejected) {
    say("Note: rejected episode " + std::to_string(rejection.episode) + ": " + rejection.reason);
  }
  if (point->checkpoint) {
    const auto loaded = load(*point);
    if (!loaded) return loaded.error();
  }
  const auto aside = make_way(*point, config_, writer_);
  if (!aside) return aside.error();
  for (const std::string& note : *aside) say("Note: " + note + ".");
  if (run_id_.empty()) run_id_ = point->checkpoint ? point->checkpoint->sidecar.run_id : std::string();
  if (run_id_.empty()) run_id_ = make_run_id();

  const std::int64_t total = config_.training.episodes;
  saver_.emplace(config_, RunIdentity{run_id_, environment_number(protocol::kEnvAttempt), total}, task_, directory_,
                 writer_, heartbeat_);
  saver_->resumed_at(counters_.episode);
  if (point->checkpoint) {
    const auto settled = settle_best(*point);
    if (!settled) return settled.error();
    if (counters_.episode < total) {
      say("Resuming training from episode " + std::to_string(counters_.episode + 1) + "/" + std::to_string(total));
    }
  } else {
    say("Starting training: " + std::to_string(total) + " episodes");
  }
  heartbeat_.ready(counters_.episode, total);
  return {};
}

Result<> Session::load(const StartingPoint& point) {
  const checkpoint::Verified& chosen = *point.checkpoint;
  const bool ours = !chosen.sidecar.run_id.empty();
  const auto archive = checkpoint::read_archive(
      chosen.archive.bytes(), point.path, ours ? checkpoint::CrcCheck::already_digested : checkpoint::CrcCheck::verify);
  if (!archive) return archive.error();
  const auto refuse = [&](const Error& error) {
    return make_error(ErrorKind::checkpoint,
                      point.path + " does not fit this training: " + error.message +
                          ". Nothing was changed. Use the configuration that it was saved with, or start over with "
                          "--fresh.");
  };
  const auto counters = read_counters(archive->root);
  if (!counters) return refuse(counters.error());
  if (ours && counters->episode != chosen.sidecar.episode) {
    return make_error(ErrorKind::checkpoint, point.path + " says episode " + std::to_string(counters->episode) +
                                                 " inside and " + std::to_string(chosen.sidecar.episode) +
                                                 " in its sidecar; it is not what it claims to be.");
  }
  const auto loaded = task_.load(archive->root);
  if (!loaded) return refuse(loaded.error());
  counters_ = *counters;
  say("Auto-resuming from episode " + std::to_string(counters_.episode) + ": " + point.path);
  if (ours) check_exactness(chosen.sidecar);
  return {};
}

void Session::check_exactness(const checkpoint::Sidecar& sidecar) {
  const auto compare = [](const boost::json::object& before, const boost::json::object& now) {
    for (const auto& member : now) {
      const auto* old = before.if_contains(member.key());
      // Numbers are compared as they are printed: 10.0 and 10 are one value.
      if (old != nullptr && compact_json(*old) == compact_json(member.value())) continue;
      say("warning: this resume is not bit-exact: " + std::string(member.key()) + " was " +
          (old == nullptr ? "not recorded" : compact_json(*old)) + " and is " + compact_json(member.value()));
    }
  };
  compare(sidecar.exactness, task_.exactness());
  compare(sidecar.config, task_.hyperparameters());
}

bool Session::better(double value, const Best& than) const {
  if (than.episode == 0) return true;
  return config_.checkpoints.best_mode == config::BestMode::max ? value > than.value : value < than.value;
}

// The best model's file and the state's memory of it may be of different moments: the file is newer after a crash
// between two saves, older after a crash between an episode's save and the best's.
Result<> Session::settle_best(const StartingPoint& point) {
  if (!config_.checkpoints.save_best) return {};
  const auto on_disk = store_.read_best_sidecar();
  Best filed;
  if (on_disk && on_disk->run_id == run_id_) {
    const auto value = number_member(on_disk->metrics, config_.checkpoints.best_metric);
    if (value) filed = {on_disk->episode, *value};
  }
  const Best remembered = counters_.best;
  if (remembered.episode == 0 || (filed.episode > 0 && !better(remembered.value, filed))) {
    counters_.best = filed;
    return {};
  }
  if (filed == remembered) return {};
  // The remembered one is better than what is filed: file it, from where it is still to be had.
  const checkpoint::Verified& chosen = *point.checkpoint;
  if (chosen.sidecar.episode == remembered.episode && !chosen.sidecar.run_id.empty()) {
    return writer_.commit_best(chosen.archive.bytes(), chosen.sidecar);
  }
  const auto kept = store_.verify(remembered.episode);
  if (kept) return writer_.commit_best(kept->archive.bytes(), kept->sidecar);
  counters_.best = filed;
  return {};
}

Result<> Session::train_one_episode() {
  const std::int64_t episode = counters_.episode + 1;
  const auto result = task_.run_episode(episode, heartbeat_);
  if (!result) return result.error();
  if (!*result) return {};  // stopped in the middle: the snapshot of the last completed episode stands
  counters_.episode = episode;
  const auto new_best = judge(**result);
  if (!new_best) return new_best.error();
  snapshots_.take(task_, counters_, **result);
  heartbeat_.episode_done(episode, config_.training.episodes, (*result)->metrics);
  save_what_is_due(*new_best);
  return {};
}

// Whether this episode's model is the best so far.
Result<bool> Session::judge(const EpisodeResult& result) {
  for (const auto& [name, value] : result.metrics) {
    if (!std::isfinite(value)) {
      return make_error(ErrorKind::internal, "the metric \"" + name + "\" of episode " +
                                                 std::to_string(counters_.episode) +
                                                 " is not a finite number; this episode is not saved. Lower "
                                                 "dqn.learning_rate, or look at the data.");
    }
  }
  const auto metric = result.metrics.find(config_.checkpoints.best_metric);
  if (metric == result.metrics.end()) {
    std::vector<std::string> names;
    for (const auto& [name, value] : result.metrics) names.push_back(name);
    return make_error(ErrorKind::configuration, "checkpoints.best_metric is \"" + config_.checkpoints.best_metric +
                                                    "\", which this training does not report; it reports " +
                                                    join(names, ", ") + ".");
  }
  if (!better(metric->second, counters_.best)) return false;
  counters_.best = {counters_.episode, metric->second};
  return true;
}

void Session::save_what_is_due(bool new_best) {
  const Snapshot& newest = snapshots_.newest();
  const auto reason = saver_->due(newest, take_save_request());
  if (reason && saver_->save(snapshots_.sealed(), *reason)) {
    say("episode " + std::to_string(counters_.episode) + "/" + std::to_string(config_.training.episodes) + " saved (" +
        std::string(checkpoint::to_string(*reason)) + "): " + saver_->newest_path());
  }
  if (new_best && config_.checkpoints.save_best) {
    saver_->save_best(snapshots_.sealed());
  } else {
    saver_->retry_best(false);
  }
}

Result<ExitCode> Session::end() {
  heartbeat_.stopping();
  saver_->retry_best(true);
  const bool finished = counters_.episode >= config_.training.episodes;
  for (int tries = 1; saver_->durable_episode() < counters_.episode; ++tries) {
    const auto saved = saver_->save(snapshots_.sealed(), finished ? SaveReason::final : SaveReason::signal);
    if (saved) break;
    if (tries == kFinalSaveTries) {
      return make_error(ErrorKind::cannot_write, "episode " + std::to_string(counters_.episode) +
                                                     " could not be saved before the end: " + saved.error().message +
                                                     " The newest checkpoint is of episode " +
                                                     std::to_string(saver_->durable_episode()) + ".");
    }
    std::this_thread::sleep_for(kFinalSavePause);
  }
  const std::string at =
      "episode " + std::to_string(counters_.episode) + "/" + std::to_string(config_.training.episodes);
  say(finished ? "Finished: " + at : "Stopped after " + at + "; start again with --auto-resume to go on");
  return finished ? ExitCode::finished : ExitCode::interrupted;
}

}  // namespace

Result<ExitCode> run_session(TrainingTask& task, const config::Config& config, const SessionOptions& options) {
  auto directory = checkpoint::Directory::open(config.checkpoints.directory, checkpoint::Directory::Create::yes);
  if (!directory) return directory.error();
  auto lock = checkpoint::DirectoryLock::acquire(*directory, options.program);
  if (!lock) return lock.error();
  return Session(task, config, std::move(*directory), std::move(*lock)).run(options.resume);
}

}  // namespace ts::session
