#include "worker/session/session.h"

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <thread>
#include <utility>

#include "common/base/json.h"
#include "common/base/random_id.h"
#include "common/base/text.h"
#include "common/checkpoint/archive_reader.h"
#include "worker/session/say.h"
#include "worker/session/signals.h"

namespace ts::session {
namespace {

using checkpoint::SaveReason;
using protocol::ExitCode;

constexpr checkpoint::Episode kNothingDurable = -1;  // not even the state before the first episode, which is 0
constexpr int kFinalSaveTries = 4;
constexpr std::chrono::seconds kFinalSavePause{1};
constexpr std::chrono::seconds kSaveSilence{600};  // a disk may take that long to sync without being hung

void note(const std::vector<std::string>& sentences) {
  for (const std::string& sentence : sentences) say("Note: " + sentence);
}

std::string environment_or(const char* name, std::string otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? std::string(value) : std::move(otherwise);
}

std::int64_t environment_number(const char* name) {
  return parse_plain_integer(environment_or(name, "0")).value_or(0);
}

// What a task meets at every step: the beat, the request to stop, the request to save.
class Gate final : public StepGate {
 public:
  Gate(Heartbeat& heartbeat, Saver& saver) : heartbeat_(heartbeat), saver_(saver) {}

  bool step(std::int64_t steps_total) override {
    if (take_save_request()) saver_.request();
    return heartbeat_.step(steps_total);
  }
  void enter(protocol::Phase phase) override { heartbeat_.enter(phase); }

 private:
  Heartbeat& heartbeat_;
  Saver& saver_;
};

class Session {
 public:
  Session(TrainingTask& task, const config::Config& config, checkpoint::Directory directory,
          checkpoint::DirectoryLock lock)
      : task_(task),
        config_(config),
        directory_(std::move(directory)),
        store_(directory_, checkpoint::Store::Contents::map),
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
      const auto trained = train_or_save();
      if (!trained) return trained.error();
    }
    return end();
  }

 private:
  Result<> begin(const ResumeRequest& request);
  Result<> load(const StartingPoint& point);
  void begin_announcing(const SessionFacts& facts);
  Result<> take_in_foreign(StartingPoint& point);
  void settle_best(const StartingPoint& point);
  void check_exactness(const checkpoint::Sidecar& sidecar);
  Result<> train_or_save();
  Result<> train_one_episode();
  Result<bool> judge(const EpisodeResult& result);
  Result<> save_now(SaveReason reason);
  Result<ExitCode> end();
  bool better(double value, const Best& than) const;

  TrainingTask& task_;
  const config::Config& config_;
  checkpoint::Directory directory_;
  checkpoint::Store store_;
  checkpoint::StoreWriter writer_;
  Heartbeat heartbeat_;
  std::string run_id_;
  SnapshotPool snapshots_;
  std::optional<History> history_;
  std::optional<Saver> saver_;
  std::optional<Announcer> announcer_;  // nothing: nobody to announce to, or not wanted
  Counters counters_;
  Best filed_best_;  // what best_model.* holds
};

Result<> Session::begin(const ResumeRequest& request) {
  // Verifying and loading a large checkpoint on a slow disk takes its time, and so does keeping a foreign one.
  heartbeat_.expect_silence(kSaveSilence);
  const auto recovered = writer_.recover();
  if (!recovered) return recovered.error();
  note(*recovered);
  run_id_ = environment_or(protocol::kEnvRunId, "");
  auto point = choose_starting_point(request, run_id_, store_);
  if (!point) return point.error();
  note(point->notes);
  if (point->checkpoint) {
    const auto loaded = load(*point);
    if (!loaded) return loaded.error();
  }
  if (run_id_.empty() && point->checkpoint) run_id_ = point->checkpoint->sidecar.run_id;
  if (run_id_.empty()) run_id_ = make_run_id();
  const std::int64_t total = config_.training.episodes;
  const auto prepared = snapshots_.prepare(task_);
  if (!prepared) return prepared.error();
  const bool foreign = point->checkpoint && point->checkpoint->is_foreign();
  const SessionFacts facts{{run_id_, environment_number(protocol::kEnvAttempt), total},
                           task_.exactness(),
                           task_.hyperparameters(),
                           config_.checkpoints.best_metric};
  history_.emplace(directory_, facts.identity);
  saver_.emplace(config_, facts, foreign ? kNothingDurable : counters_.episode, directory_, writer_, *history_,
                 protocol::NotifySender(std::getenv(protocol::kEnvNotifySocket)));
  begin_announcing(facts);
  if (foreign) {
    const auto taken_in = take_in_foreign(*point);
    if (!taken_in) return taken_in.error();
  }
  const auto aside = make_way(*point, config_, writer_);
  if (!aside) return aside.error();
  note(*aside);
  std::optional<checkpoint::HistoryEntry> newest;
  if (point->checkpoint && !foreign) newest = checkpoint::history_entry(point->checkpoint->sidecar);
  history_->begin(counters_.episode, newest);
  settle_best(*point);
  if (counters_.episode == 0) {
    say("Starting training: " + std::to_string(total) + " episodes");
  } else if (counters_.episode < total) {
    say("Resuming training from episode " + std::to_string(counters_.episode + 1) + "/" + std::to_string(total));
  }
  heartbeat_.ready(counters_.episode, total);
  return {};
}

// Where there is a supervisor to announce to. Training goes on without where there cannot be.
void Session::begin_announcing(const SessionFacts& facts) {
  protocol::NotifySender sender(std::getenv(protocol::kEnvNotifySocket));
  if (!config_.snapshots.enabled || !sender.connected()) return;
  const auto objection = Announcer::objection(config_.snapshots, snapshots_.snapshot_bytes());
  if (objection) return note({*objection});
  const auto prepared = snapshots_.prepare_another();  // the announced one stays as it is
  if (!prepared) return note({"The state is not kept in memory: " + prepared.error().message});
  announcer_.emplace(config_.snapshots, facts, std::move(sender));
}

// A file of another origin becomes a checkpoint of this run before anything else goes aside: a crash in the next moment
// must find it again.
Result<> Session::take_in_foreign(StartingPoint& point) {
  saver_->offer(snapshots_.take(task_, counters_, {}), false);
  const auto saved = saver_->save_now(SaveReason::request);
  if (!saved) return saved.error();
  point.supersede_after = counters_.episode;
  return {};
}

Result<> Session::load(const StartingPoint& point) {
  const checkpoint::Verified& chosen = *point.checkpoint;
  const bool ours = !chosen.is_foreign();
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
  if (ours && !counters) return refuse(counters.error());
  if (ours && counters->episode != chosen.sidecar.episode) {
    return make_error(ErrorKind::checkpoint,
                      point.path + " says episode " + std::to_string(counters->episode) + " inside and " +
                          std::to_string(chosen.sidecar.episode) +
                          " in its sidecar; it is not what it claims to be. Nothing was changed. "
                          "Move both its files elsewhere, or name another one with --resume.");
  }
  const auto loaded = counters ? task_.load(archive->root) : Result<>(counters.error());
  if (!loaded && ours) return refuse(loaded.error());
  if (!loaded) {
    const auto imported = task_.import_model(archive->root);
    if (!imported || !*imported) return refuse(imported ? loaded.error() : imported.error());
    say("Starting from the model in " + point.path + ": " + **imported + ".");
    return {};
  }
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

// Two memories of the best: the state's, which is a function of the training alone, and the file's, which may be of a
// later moment (a crash between two saves) or of an earlier one (a crash between an episode's save and the best's).
void Session::settle_best(const StartingPoint& point) {
  const std::string& metric = config_.checkpoints.best_metric;
  if (point.checkpoint && counters_.best.episode > 0) {
    const auto before = string_member(point.checkpoint->sidecar.best, "metric");
    if (before && *before != metric) {
      say("Note: the best model is judged by " + metric + " from here on, by " + *before + " until now.");
      counters_.best = {};
    }
  }
  if (!config_.checkpoints.save_best) return;
  const Best remembered = counters_.best;
  const auto on_disk = checkpoint::Store(directory_).verify_best();
  if (on_disk && on_disk->sidecar.run_id == run_id_) {
    const auto value = number_member(on_disk->sidecar.metrics, metric);
    if (value) filed_best_ = {on_disk->sidecar.episode, *value};
  } else if (!on_disk && on_disk.error().kind == ErrorKind::unavailable) {
    // It may be as good as ever, and only cannot be read just now: nothing worse may take its place.
    note({on_disk.error().message});
    filed_best_ = remembered;
    return;
  }
  if (remembered.episode == 0 || !better(remembered.value, filed_best_)) return;
  // What the state remembers is better than what is filed: file it, where it is still to be had.
  const auto kept = store_.verify(remembered.episode);
  if (!kept || kept->sidecar.run_id != run_id_) return;
  const auto copy = snapshots_.copy_of(kept->archive.bytes());
  if (!copy) return;  // no memory: the next best will be filed
  saver_->file_best(*copy, kept->sidecar);
  filed_best_ = remembered;
}

// What was completed before trouble of any kind need not be trained again.
Result<> Session::train_or_save() {
  Result<> trained;
  try {
    trained = train_one_episode();
  } catch (...) {
    [[maybe_unused]] const auto saved = save_now(SaveReason::signal);
    throw;
  }
  if (trained) return {};
  [[maybe_unused]] const auto saved = save_now(SaveReason::signal);
  return trained.error();
}

Result<> Session::train_one_episode() {
  const std::int64_t episode = counters_.episode + 1;
  Gate gate(heartbeat_, *saver_);
  const auto result = task_.run_episode(episode, gate);
  if (!result) return result.error();
  if (!*result) return {};  // stopped in the middle: the snapshot of the last completed episode stands
  counters_.episode = episode;
  const auto to_file = judge(**result);
  if (!to_file) return to_file.error();
  history_->add(episode, (*result)->metrics);  // before anybody can acknowledge the episode
  const SnapshotRef newest = snapshots_.take(task_, counters_, **result);
  saver_->offer(newest, *to_file);
  if (announcer_ && announcer_->offer(newest)) {
    heartbeat_.episode_announced();
  } else {
    heartbeat_.episode_done(episode, config_.training.episodes, (*result)->metrics);
  }
  return {};
}

// Updates the state's best; says whether this episode's model is to be filed as the best there is on disk.
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
  const Best candidate{counters_.episode, metric->second};
  if (better(candidate.value, counters_.best)) counters_.best = candidate;
  if (!config_.checkpoints.save_best || !better(candidate.value, filed_best_)) return false;
  filed_best_ = candidate;
  return true;
}

// The training thread waits, so it says for how long it may be silent.
Result<> Session::save_now(SaveReason reason) {
  heartbeat_.enter(protocol::Phase::save);
  heartbeat_.expect_silence(kSaveSilence);
  return saver_->save_now(reason);
}

Result<ExitCode> Session::end() {
  heartbeat_.stopping();
  const bool finished = counters_.episode >= config_.training.episodes;
  for (int tries = 1;; ++tries) {
    const auto saved = save_now(finished ? SaveReason::final : SaveReason::signal);
    if (saved) break;
    if (tries == kFinalSaveTries) {
      return make_error(ErrorKind::cannot_write, "episode " + std::to_string(counters_.episode) +
                                                     " could not be saved before the end: " + saved.error().message +
                                                     " The newest checkpoint is of episode " +
                                                     std::to_string(saver_->durable_episode()) + ".");
    }
    std::this_thread::sleep_for(kFinalSavePause);
  }
  // The next episode would acknowledge this one too, but there is none.
  if (announcer_ && announcer_->last_sent() < counters_.episode) {
    heartbeat_.episode_saved(counters_.episode, config_.training.episodes);
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
