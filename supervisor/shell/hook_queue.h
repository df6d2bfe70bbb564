// Which events are given to the hook, and when: so many at once, so many waiting, and what is left out is counted.
//
// The hook's own failures and the worker's chatter are no events for a hook: the first would never end, the second is
// what the log is for. Of checkpoints that wait only the newest is kept: it is what matters, and it is not missed. When
// too many wait, the oldest are left out.
//
// Pure. Threading: a plain value.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "supervisor/api/event.h"

namespace ts::shell {

inline bool is_for_hooks(api::EventType type) {
  return type != api::EventType::hook && type != api::EventType::worker;
}

class HookQueue {
 public:
  static constexpr std::size_t kAtOnce = 2;
  static constexpr std::size_t kWaitingMax = 64;

  void add(api::Event event) {
    if (!is_for_hooks(event.type)) return;
    if (event.type == api::EventType::checkpoint) {
      std::erase_if(waiting_, [](const api::Event& old) { return old.type == api::EventType::checkpoint; });
    }
    waiting_.push_back(std::move(event));
    if (waiting_.size() > kWaitingMax) {
      waiting_.pop_front();
      ++left_out_;
    }
  }

  // The next one to be run now; nothing when enough are running or none waits.
  std::optional<api::Event> next() {
    if (running_ == kAtOnce || waiting_.empty()) return std::nullopt;
    api::Event event = std::move(waiting_.front());
    waiting_.pop_front();
    ++running_;
    return event;
  }

  // One that `next` gave has ended. Returns how many were left out, once there is room again; 0: none.
  std::uint64_t ended() {
    --running_;
    if (waiting_.size() >= kWaitingMax / 2) return 0;
    return std::exchange(left_out_, 0);
  }

  bool idle() const { return running_ == 0 && waiting_.empty(); }

 private:
  std::deque<api::Event> waiting_;
  std::size_t running_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace ts::shell
