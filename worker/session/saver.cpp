#include "worker/session/saver.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "common/base/text.h"
#include "worker/session/signals.h"

namespace ts::session {
namespace {

using checkpoint::SaveReason;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPauseMax{60};
constexpr std::chrono::seconds kSaveSilence{600};  // a disk may take that long to sync without being hung

}  // namespace

Saver::Saver(const config::Config& config, RunIdentity identity, const TrainingTask& task,
             const checkpoint::Directory& directory, checkpoint::StoreWriter& writer, Heartbeat& heartbeat)
    : config_(config),
      identity_(std::move(identity)),
      task_(task),
      directory_(directory),
      writer_(writer),
      heartbeat_(heartbeat) {}

std::optional<SaveReason> Saver::due(const Snapshot& newest, bool save_requested) const {
  const std::int64_t episode = newest.counters.episode;
  if (episode <= durable_episode_) return std::nullopt;
  if (save_requested) return SaveReason::request;
  const auto now = Clock::now();
  if (episode >= identity_.total_episodes) return SaveReason::final;
  if (episode % config_.checkpoints.save_frequency == 0) return SaveReason::schedule;
  if (overdue_) return now < not_before_ ? std::nullopt : std::optional(SaveReason::schedule);
  const auto interval = config_.checkpoints.save_interval;
  if (interval > interval.zero() && now - last_durable_ >= interval) return SaveReason::interval;
  return std::nullopt;
}

checkpoint::Sidecar Saver::describe(const Snapshot& snapshot, SaveReason reason) const {
  checkpoint::Sidecar sidecar;
  sidecar.episode = snapshot.counters.episode;
  sidecar.total_episodes = identity_.total_episodes;
  sidecar.run_id = identity_.run_id;
  sidecar.attempt = identity_.attempt;
  sidecar.created = rfc3339_utc(std::chrono::system_clock::now());
  sidecar.reason = reason;
  for (const auto& [name, value] : snapshot.result.metrics) sidecar.metrics[name] = value;
  sidecar.epsilon = snapshot.result.epsilon;
  if (snapshot.counters.best.episode > 0) {
    sidecar.best["episode"] = snapshot.counters.best.episode;
    sidecar.best["metric"] = config_.checkpoints.best_metric;
    sidecar.best["value"] = snapshot.counters.best.value;
  }
  sidecar.exactness = task_.exactness();
  sidecar.config = task_.hyperparameters();
  sidecar.stall_ms = snapshot.copy_ms;
  return sidecar;
}

void Saver::refused(const std::string& what, const Error& error) {
  not_before_ = Clock::now() + pause_;
  const std::string sentence =
      what + " was not saved: " + error.message + " What was saved before is untouched; this will be tried again.";
  std::printf("warning: %s\n", sentence.c_str());
  std::fflush(stdout);
  heartbeat_.status(sentence);
  pause_ = std::min(pause_ * 2, kPauseMax);
}

Result<> Saver::save(const Snapshot& snapshot, SaveReason reason) {
  heartbeat_.enter(protocol::Phase::save);
  heartbeat_.expect_silence(kSaveSilence);
  const std::int64_t episode = snapshot.counters.episode;
  const auto begun = Clock::now();
  const auto committed =
      writer_.commit(snapshot.archive, describe(snapshot, reason), [&](checkpoint::Sidecar& sidecar) {
        const std::chrono::duration<double, std::milli> taken = Clock::now() - begun;
        sidecar.durable_ms = taken.count();
        sidecar.stall_ms += taken.count();  // the training thread waited for all of it
      });
  heartbeat_.enter(protocol::Phase::train);
  if (!committed) {
    overdue_ = true;
    refused("episode " + std::to_string(episode), committed.error());
    return committed.error();
  }
  durable_episode_ = episode;
  last_durable_ = Clock::now();
  pause_ = std::chrono::seconds(1);
  if (overdue_) heartbeat_.status("");
  overdue_ = false;
  newest_path_ = directory_.path_of(checkpoint::archive_name(episode));
  heartbeat_.saved(newest_path_);
  // Who asks to stop may be about to go back to an older checkpoint: the next save prunes.
  if (stop_requested()) return {};
  const checkpoint::RetentionPolicy policy{static_cast<int>(config_.checkpoints.max_keep),
                                           config_.checkpoints.keep_every};
  const auto pruned = writer_.prune(identity_.run_id, episode, policy);
  if (!pruned) {
    std::printf("warning: older checkpoints were not pruned: %s\n", pruned.error().message.c_str());
  }
  return {};
}

Result<> Saver::commit_best(std::span<const std::byte> archive, const checkpoint::Sidecar& sidecar) {
  heartbeat_.expect_silence(kSaveSilence);
  const auto committed = writer_.commit_best(archive, sidecar);
  if (!committed) {
    refused("the best model (episode " + std::to_string(sidecar.episode) + ")", committed.error());
    return committed.error();
  }
  unsaved_best_.reset();
  heartbeat_.saved(directory_.path_of(checkpoint::kBestArchive));
  return {};
}

void Saver::save_best(const Snapshot& snapshot) {
  save_best(snapshot.archive, describe(snapshot, SaveReason::best));
}

void Saver::save_best(std::span<const std::byte> archive, checkpoint::Sidecar sidecar) {
  sidecar.reason = SaveReason::best;
  if (commit_best(archive, sidecar)) return;
  unsaved_best_ = UnsavedBest{{archive.begin(), archive.end()}, std::move(sidecar)};
}

void Saver::retry_best(bool now_or_never) {
  if (!unsaved_best_ || (!now_or_never && Clock::now() < not_before_)) return;
  // A copy: success drops the original while it is in use.
  const UnsavedBest unsaved = *unsaved_best_;
  [[maybe_unused]] const auto said = commit_best(unsaved.archive, unsaved.sidecar);
}

}  // namespace ts::session
