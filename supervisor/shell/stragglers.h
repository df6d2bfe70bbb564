// What a worker leaves behind when it ends: the rest of its process group, and stragglers that left the group
// (daemons).
//
// A straggler is known by the marks of its launch in its environment (TRAINER_RUN_ID, TRAINER_ATTEMPT,
// TRAINER_STATE_ID), or by a parent that is one. Everything that a worker of ours started is below us, since we
// are its subreaper, so only what is below us is looked at; for an adopted worker, whose orphans went elsewhere, the
// marks with our own state directory in them are proof enough. Never touched: ourselves, what is older than the worker,
// children that somebody here keeps (debuggers, hooks) and what they started, and whatever bears no mark. So a process
// that was made a daemon *and* wiped its environment lives on; only a control group could tell that it was the
// worker's.
//
// Threading: the io_context's thread; blocking, but only on /proc.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "supervisor/shell/process_tree.h"

namespace ts::shell {

struct LeftBehind {
  std::vector<ProcessFacts> group;       // still in the worker's process group
  std::vector<ProcessFacts> stragglers;  // outside of it

  bool empty() const { return group.empty() && stragglers.empty(); }
};

// What of `table` a launch has left behind and still runs. `below`: only descendants of this process count; 0:
// anywhere. `kept`: children, the worker aside, that are somebody's here. Pure but for `marks`.
LeftBehind left_behind(const ProcessTable& table, const Launch& launch, pid_t own_pid, pid_t below,
                       const std::set<pid_t>& kept, const std::function<std::optional<LaunchMarks>(pid_t)>& marks);

// Kills this process and no other: its identity is checked when its number can no longer become anybody else's.
void kill_exactly(const ProcessFacts& process);

// "processes 12 (sleep), 13 (python3)"; long lists are cut.
std::string names_of(const std::map<pid_t, std::string>& processes);

}  // namespace ts::shell
