#include "worker/session/heartbeat.h"

#include <utility>

#include "worker/session/signals.h"

namespace ts::session {
namespace {

// More often than this nobody looks; the newest episode goes along with the next message.
constexpr std::chrono::milliseconds kEpisodeMessageInterval{20};

}  // namespace

void Heartbeat::send(protocol::NotifyMessage message) {
  if (unsent_episode_) {
    message.episode = unsent_episode_->episode;
    message.total = unsent_episode_->total;
    message.metrics = std::move(unsent_episode_->metrics);
    unsent_episode_.reset();
  }
  sender_.send(message);
}

void Heartbeat::beat_when_due(std::optional<std::int64_t> steps_total) {
  const auto now = Clock::now();
  if (now < next_beat_) return;
  next_beat_ = now + interval_;
  protocol::NotifyMessage message;
  message.watchdog = true;
  message.step = steps_total;
  send(std::move(message));
}

bool Heartbeat::step(std::int64_t steps_total) {
  if (stop_requested()) return false;
  beat_when_due(steps_total);
  return true;
}

void Heartbeat::enter(protocol::Phase phase) {
  if (!sender_.connected()) return;
  protocol::NotifyMessage message;
  message.watchdog = true;
  message.phase = phase;
  sender_.send(message);
}

void Heartbeat::ready(std::int64_t resumed_episode, std::int64_t total_episodes) {
  protocol::NotifyMessage message;
  message.ready = true;
  message.resumed = resumed_episode;
  message.episode = resumed_episode;
  message.total = total_episodes;
  message.phase = protocol::Phase::train;
  sender_.send(message);
}

void Heartbeat::episode_done(std::int64_t episode, std::int64_t total_episodes, const protocol::Metrics& metrics) {
  protocol::NotifyMessage message;
  message.watchdog = true;
  message.episode = episode;
  message.total = total_episodes;
  message.metrics = metrics;
  const auto now = Clock::now();
  if (now < next_episode_message_ && episode < total_episodes) {
    unsent_episode_ = std::move(message);
    return;
  }
  next_episode_message_ = now + kEpisodeMessageInterval;
  next_beat_ = now + interval_;
  unsent_episode_.reset();
  sender_.send(message);
}

void Heartbeat::episode_announced() {
  unsent_episode_.reset();
  beat_when_due(std::nullopt);
}

void Heartbeat::episode_saved(std::int64_t episode, std::int64_t total_episodes) {
  protocol::NotifyMessage message;
  message.episode = episode;
  message.total = total_episodes;
  sender_.send(message);
}

void Heartbeat::stopping() {
  protocol::NotifyMessage message;
  message.stopping = true;
  send(std::move(message));
}

void Heartbeat::expect_silence(std::chrono::seconds at_most) {
  protocol::NotifyMessage message;
  message.watchdog = true;
  message.extend_timeout = at_most;
  sender_.send(message);
}

}  // namespace ts::session
