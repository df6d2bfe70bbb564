// The beats of the training loop, rate-limited where they are made. Sent from the loop itself, never from a helper
// thread: a helper would beat on while the loop hangs.
//
// Threading: the training thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/protocol/notify_sender.h"
#include "worker/session/training_task.h"

namespace ts::session {

class Heartbeat final : public StepGate {
 public:
  Heartbeat(protocol::NotifySender sender, std::chrono::milliseconds interval)
      : sender_(std::move(sender)), interval_(interval) {}

  // StepGate: beats when it is time; false when a stop was requested.
  bool step(std::int64_t steps_total) override;
  void enter(protocol::Phase phase) override;

  void ready(std::int64_t resumed_episode, std::int64_t total_episodes);
  void episode_done(std::int64_t episode, std::int64_t total_episodes, const protocol::Metrics& metrics);

  // The episode is told by the announcement of its snapshot: this beats, where it is time, and says nothing about it.
  // What was held back of earlier episodes is out of date.
  void episode_announced();

  // Acknowledged all the same: saved, though its announcement was not heard.
  void episode_saved(std::int64_t episode, std::int64_t total_episodes);

  void stopping();

  // Before something that may keep the loop from beating for a while.
  void expect_silence(std::chrono::seconds at_most);

 private:
  using Clock = std::chrono::steady_clock;

  void beat_when_due(std::optional<std::int64_t> steps_total);
  void send(protocol::NotifyMessage message);

  protocol::NotifySender sender_;
  std::chrono::milliseconds interval_;
  Clock::time_point next_beat_{};
  Clock::time_point next_episode_message_{};
  std::optional<protocol::NotifyMessage> unsent_episode_;  // held back by the rate; goes along with the next message
};

}  // namespace ts::session
