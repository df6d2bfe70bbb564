#include "supervisor/core/lock_holder.h"

#include <utility>

#include "common/base/text.h"

namespace ts::core {
namespace {

HolderVerdict not_ours(std::string why) {
  return {false, std::move(why)};
}

HolderVerdict ours(const LaunchMarks& marks) {
  return {true, "an earlier supervisor launched it as attempt " + std::to_string(marks.attempt) + " of this run"};
}

}  // namespace

HolderVerdict judge_holder(const LockHolder& holder, const OwnLaunches& own) {
  if (holder.pid == 0) return not_ours("the lock does not say who holds it");
  if (!holder.alive) return not_ours("the process that the lock names has ended");
  if (!holder.has_lock_open)
    return not_ours("the process that the lock names does not have it open, as far as we can see");
  if (holder.leader == 0) return not_ours("the leader of its process group has ended, so it cannot be watched");
  if (!holder.marks) return not_ours("what it was started as cannot be read");
  const LaunchMarks& marks = *holder.marks;
  if (marks.run_id.empty() || marks.attempt <= 0) return not_ours("no supervisor started it");

  // The socket lies in the state directory, which only we have: whoever was given it is ours and no living
  // supervisor's, even if the state file has lost its run since. Without heartbeats there is none, and the run and the
  // attempt have to do.
  const bool by_socket = !own.notify_socket.empty() && marks.notify_socket == own.notify_socket;
  if (!by_socket && !marks.notify_socket.empty()) {
    return not_ours("it answers to the supervisor at " + escape_control(marks.notify_socket));
  }
  if (by_socket) return ours(marks);
  if (own.run_id.empty() || marks.run_id != own.run_id) {
    return not_ours("it trains the run " + escape_control(marks.run_id) + ", and ours is " +
                    (own.run_id.empty() ? "not known" : escape_control(own.run_id)));
  }
  if (marks.attempt > own.attempts) {
    return not_ours("it is attempt " + std::to_string(marks.attempt) + ", and only " + std::to_string(own.attempts) +
                    " have been launched here");
  }
  return ours(marks);
}

}  // namespace ts::core
