#include "worker/session/saver.h"

#include <algorithm>
#include <utility>

#include "common/base/block_signals.h"
#include "common/base/text.h"
#include "worker/session/say.h"
#include "worker/session/signals.h"

namespace ts::session {
namespace {

using checkpoint::Episode;
using checkpoint::SaveReason;
using checkpoint::Sidecar;

// Whatever goes wrong on the saver's thread (no memory, say) is a refused save and not the end of training.
template <class Work>
Result<> guarded(Work&& work) {
  try {
    return work();
  } catch (const std::exception& error) {
    return make_error(ErrorKind::unavailable, std::string("it could not be prepared: ") + error.what() + ".");
  }
}

}  // namespace

Saver::Saver(const config::Config& config, SessionFacts facts, Episode durable, const checkpoint::Directory& directory,
             checkpoint::StoreWriter& writer, History& history, protocol::NotifySender sender)
    : config_(config),
      facts_(std::move(facts)),
      directory_(directory),
      writer_(writer),
      history_(history),
      sender_(std::move(sender)),
      schedule_({config.checkpoints.save_frequency, config.checkpoints.save_interval, facts_.identity.total_episodes},
                durable, Clock::now()),
      thread_([this] {
        block_signals_in_this_thread();
        run();
      }) {}

Saver::~Saver() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Saver::offer(const SnapshotRef& newest, bool is_best) {
  const std::lock_guard lock(mutex_);
  const bool had_timer = newest_ && schedule_.next_change(newest_->counters.episode);
  newest_ = newest;
  if (is_best) best_ = BestJob{newest, std::nullopt};
  plan_what_is_due();
  const bool has_timer = schedule_.next_change(newest->counters.episode).has_value();
  if (planned_ || is_best || (has_timer && !had_timer)) wake_.notify_one();
}

void Saver::file_best(const SnapshotRef& snapshot, Sidecar sidecar) {
  const std::lock_guard lock(mutex_);
  sidecar.reason = SaveReason::best;
  best_ = BestJob{snapshot, std::move(sidecar)};
  wake_.notify_one();
}

void Saver::request() {
  const std::lock_guard lock(mutex_);
  const Episode newest = newest_ ? newest_->counters.episode : 0;
  if (newest <= schedule_.durable()) {
    const std::string saved = std::to_string(schedule_.durable());
    say(schedule_.durable() <= 0 ? "nothing to save: no episode is complete yet"
                                 : "nothing to save: episode " + saved + " is saved, and no later one is complete");
    return;
  }
  schedule_.request(newest);
  plan_what_is_due();
  wake_.notify_one();
}

Result<> Saver::save_now(SaveReason reason) {
  std::unique_lock lock(mutex_);
  last_refusal_.reset();
  forced_ = Forced{reason};
  wake_.notify_one();
  idle_.wait(lock, [&] { return !busy_ && !forced_; });
  const bool durable = !newest_ || newest_->counters.episode <= schedule_.durable();
  if (durable || !last_refusal_) return {};
  return *last_refusal_;
}

Episode Saver::durable_episode() const {
  const std::lock_guard lock(mutex_);
  return schedule_.durable();
}

void Saver::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (forced_ && !forced_->checkpoint_tried) plan_forced();
    if (!forced_) plan_what_is_due();
    if (planned_) {
      save_checkpoint(lock);
    } else if (best_due()) {
      save_best(*best_, lock);
    } else if (forced_) {
      forced_.reset();
      idle_.notify_all();
    } else if (closing_) {
      return;
    } else {
      wait_for_work(lock);
    }
  }
}

void Saver::plan_what_is_due() {
  if (!newest_) return;
  const auto now = Clock::now();
  const auto reason = schedule_.due(newest_->counters.episode, now);
  if (!reason) return;
  planned_ = Plan{newest_, *reason, now, best_};
  schedule_.take_up(newest_->counters.episode);
}

void Saver::plan_forced() {
  forced_->checkpoint_tried = true;
  if (!newest_ || newest_->counters.episode <= schedule_.durable()) return;
  const bool is_planned = planned_ && planned_->snapshot == newest_;
  if (!is_planned) planned_ = Plan{newest_, forced_->reason, Clock::now(), best_};
  planned_->awaited = true;
  schedule_.take_up(newest_->counters.episode);
}

bool Saver::best_due() const {
  if (!best_) return false;
  return forced_ ? !forced_->best_tried : schedule_.may_retry(Clock::now());
}

void Saver::wait_for_work(std::unique_lock<std::mutex>& lock) {
  std::optional<Clock::time_point> until;
  if (newest_) until = schedule_.next_change(newest_->counters.episode);
  if (best_) until = std::min(until.value_or(Clock::time_point::max()), schedule_.retry_at());
  if (until) {
    wake_.wait_until(lock, *until);
  } else {
    wake_.wait(lock);
  }
}

void Saver::save_checkpoint(std::unique_lock<std::mutex>& lock) {
  Plan plan = *std::exchange(planned_, std::nullopt);
  busy_ = true;
  lock.unlock();

  // The best model that a checkpoint names is on disk before it: power that is cut between the two would lose it. Of
  // one snapshot the checkpoint comes first, and the best model is then another link to its file; and so it does where
  // there is no time or room for both.
  const bool best_first = plan.best && plan.best->snapshot != plan.snapshot && !plan.awaited && has_room_for_both(plan);
  if (best_first) {
    lock.lock();
    save_best(*std::exchange(plan.best, std::nullopt), lock);
    busy_ = true;
    lock.unlock();
  }
  plan.best.reset();

  const Episode episode = plan.snapshot->counters.episode;
  const auto committed = guarded([&] { return commit(plan); });
  if (!committed) {
    refuse("episode " + std::to_string(episode), committed.error(), plan.snapshot->sealed().size());
  } else if (!stop_requested()) {
    // Who asks to stop may be about to go back to an older checkpoint: the next save prunes.
    const auto pruned = guarded([&] { return prune(episode); });
    if (!pruned) say("warning: older checkpoints were not pruned: " + pruned.error().message);
  }
  plan.snapshot.reset();

  lock.lock();
  busy_ = false;
  if (committed) {
    schedule_.saved(episode, Clock::now());
    tell_when_mended();
  } else {
    schedule_.refused(episode, Clock::now());
    last_refusal_ = committed.error();
  }
  idle_.notify_all();
}

void Saver::save_best(BestJob job, std::unique_lock<std::mutex>& lock) {
  if (best_ && best_->snapshot == job.snapshot) {
    best_.reset();
    if (forced_) forced_->best_tried = true;
  }
  busy_ = true;
  lock.unlock();
  const auto committed = guarded([&] { return commit_best(job); });
  if (!committed) {
    const Episode episode = job.sidecar ? job.sidecar->episode : job.snapshot->counters.episode;
    refuse("the best model (episode " + std::to_string(episode) + ")", committed.error(),
           job.snapshot->sealed().size());
  }
  lock.lock();
  busy_ = false;
  best_refused_ = !committed;
  if (committed) {
    tell_when_mended();
  } else {
    schedule_.refused(std::nullopt, Clock::now());
    if (!best_) best_ = std::move(job);  // unless a better one has come meanwhile
  }
  idle_.notify_all();
}

// Saves that all succeed and all hold the same state are the quietest way to lose a night.
void Saver::look_for_stuck_training(Snapshot& snapshot, Sidecar& sidecar) {
  const auto now = snapshot.task_checksums();
  if (last_saved_.episode == 0 || sidecar.episode <= last_saved_.episode) return;
  stuck_ = std::ranges::equal(now, last_saved_.checksums);
  if (!stuck_) return;
  sidecar.same_state_as = last_saved_.episode;
  const std::string sentence = "error: the state of episode " + std::to_string(sidecar.episode) +
                               " is the very state that was saved for episode " + std::to_string(last_saved_.episode) +
                               ": training changes nothing, or the task hands out stale copies of its tensors.";
  say(sentence);
  tell_trouble(sentence);
}

bool Saver::has_room_for_both(const Plan& plan) const {
  const auto free = directory_.free_bytes();
  return !free || *free >= checkpoint::space_needed(plan.snapshot->bytes()) +
                               checkpoint::space_needed(plan.best->snapshot->bytes());
}

Result<> Saver::commit(const Plan& plan) {
  Snapshot& snapshot = *plan.snapshot;
  const auto archive = snapshot.sealed();
  Sidecar sidecar = describe(facts_, snapshot, plan.reason);
  look_for_stuck_training(snapshot, sidecar);
  const std::uint64_t history = history_.start_sync();  // beside the archive's, and done before the commit
  const auto committed = writer_.commit(archive, std::move(sidecar), [&](Sidecar& durable) {
    history_.await_sync(history);
    const std::chrono::duration<double, std::milli> taken = Clock::now() - plan.requested;
    durable.durable_ms = taken.count();
    if (plan.awaited) durable.stall_ms = snapshot.copy_ms + taken.count();  // the training thread waits for all of it
  });
  if (!committed) return committed.error();
  const auto checksums = snapshot.task_checksums();
  last_saved_ = {committed->episode, {checksums.begin(), checksums.end()}};
  const std::string path = directory_.path_of(checkpoint::archive_name(committed->episode));
  say("episode " + std::to_string(committed->episode) + "/" + std::to_string(facts_.identity.total_episodes) +
      " saved (" + std::string(checkpoint::to_string(plan.reason)) + "): " + path);
  announce(path);
  return {};
}

Result<> Saver::commit_best(const BestJob& job) {
  const Sidecar sidecar = job.sidecar ? *job.sidecar : describe(facts_, *job.snapshot, SaveReason::best);
  history_.await_sync(history_.start_sync());
  const auto committed = writer_.commit_best(job.snapshot->sealed(), sidecar);
  if (!committed) return committed.error();
  announce(directory_.path_of(checkpoint::kBestArchive));
  return {};
}

Result<> Saver::prune(Episode verified) {
  const checkpoint::RetentionPolicy policy{static_cast<int>(config_.checkpoints.max_keep),
                                           config_.checkpoints.keep_every};
  const auto pruned = writer_.prune(facts_.identity.run_id, verified, policy);
  if (!pruned) return pruned.error();
  return {};
}

void Saver::announce(const std::string& path) {
  protocol::NotifyMessage message;
  message.checkpoint = path;
  sender_.send(message);
}

void Saver::tell_trouble(const std::string& sentence) {
  protocol::NotifyMessage message;
  message.status = sentence;
  message.trouble = true;
  sender_.send(message);
  trouble_told_ = true;
}

void Saver::refuse(const std::string& what, const Error& error, std::size_t bytes) {
  std::string sentence = what + " was not saved: " + error.message + " What was saved before is untouched.";
  const auto free = directory_.free_bytes();
  const std::string set_aside =
      free && *free < 2 * checkpoint::space_needed(bytes) ? checkpoint::describe_set_aside(directory_) : "";
  if (!set_aside.empty()) sentence += " " + set_aside;
  say("warning: " + sentence);
  tell_trouble(sentence);
}

void Saver::tell_when_mended() {
  if (!trouble_told_ || schedule_.is_overdue() || best_refused_ || stuck_) return;
  trouble_told_ = false;
  protocol::NotifyMessage message;
  message.status = "";
  sender_.send(message);
}

}  // namespace ts::session
