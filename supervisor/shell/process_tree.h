// Processes and their parents as /proc shows them, and which of them belong to one launch of a worker.
//
// A number alone says little, since the kernel gives it out again: a process here is its number and its start time, and
// a parent that is younger than its child is somebody else who was given the number.
//
// Source: proc(5), /proc/PID/stat. Threading: plain functions; blocking, but only on /proc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "common/base/process_identity.h"
#include "supervisor/shell/launch_marks.h"
#include "supervisor/shell/proc.h"

namespace ts::shell {

using ProcessTable = std::map<pid_t, ProcessFacts>;

// Everything that runs, as of about now.
ProcessTable all_processes();

// The parent in the table; null when it is not there. Pure.
const ProcessFacts* parent_in(const ProcessTable& table, const ProcessFacts& process);

// Whether nobody's orphan has become our child but these. The kernel gives orphans to a subreaper's first living thread
// (kernel/exit.c, find_new_reaper), which is the one with the process's number; the children of the other threads are
// those that they started themselves. False where it does not tell (it was built without CONFIG_PROC_CHILDREN).
bool has_adopted_nobody_but(const std::set<pid_t>& known);

// One launch of a worker: the process that was started, and what it was told in its environment.
struct Launch {
  ProcessIdentity leader;
  LaunchMarks marks;  // with an empty run_id where they are not known
};

// Whether an environment's marks are those of this launch: same run, same attempt, same state directory. Pure.
bool bears_marks_of(const Launch& launch, const std::optional<LaunchMarks>& marks);

enum class Descent { yes, no, unknown };  // unknown: an ancestor has gone in between

// Whether `from` has `ancestor` among its parents, asked of `look`. It ends at `top` (ourselves), at init, or after
// more generations than anybody has. Pure but for `look`.
Descent descends(const ProcessFacts& from, const ProcessIdentity& ancestor, pid_t top,
                 const std::function<std::optional<ProcessFacts>(pid_t)>& look);

}  // namespace ts::shell
