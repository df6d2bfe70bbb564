#include "supervisor/shell/speakers.h"

#include <unistd.h>

#include <cstddef>
#include <utility>

#include "supervisor/shell/launch_marks.h"

namespace ts::shell {
namespace {

constexpr std::size_t kRememberedMax = 1024;  // whoever has each beat sent by a new process pays with a walk for each

}  // namespace

ProcessView ProcessView::real() {
  return {look_at, marks_of, ::getpid(), ::geteuid()};
}

Speakers::Speakers(Launch launch, Leader leader, ProcessView view)
    : launch_(std::move(launch)), leader_(leader), view_(std::move(view)) {}

bool Speakers::may_speak(const Sender& sender) {
  if (sender.uid != 0 && sender.uid != view_.own_user) return false;
  if (leader_ == Leader::child && sender.pid == launch_.leader.pid) return true;
  const auto facts = view_.look(sender.pid);
  // What the worker said last is read after it has ended.
  if (sender.pid == launch_.leader.pid) return !facts || facts->start_ticks == launch_.leader.start_ticks;
  if (!facts || facts->start_ticks < launch_.leader.start_ticks) return false;
  const auto known = remembered_.find(sender.pid);
  if (known != remembered_.end() && known->second.start_ticks == facts->start_ticks) return known->second.may_speak;

  Descent descent =
      facts->group == launch_.leader.pid ? Descent::yes : descends(*facts, launch_.leader, view_.own_pid, view_.look);
  if (descent != Descent::yes && bears_marks_of(launch_, view_.marks(sender.pid))) descent = Descent::yes;
  if (descent == Descent::unknown) return false;  // its parents are dying just now: the next look sees clearer
  if (remembered_.size() >= kRememberedMax) remembered_.clear();
  remembered_[sender.pid] = {facts->start_ticks, descent == Descent::yes};
  return descent == Descent::yes;
}

}  // namespace ts::shell
