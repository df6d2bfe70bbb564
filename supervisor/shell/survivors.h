// What earlier supervisors have launched from our state directory and nobody watches any more.
//
// A supervisor that is killed between starting a worker and writing down its number leaves one that trains on, and that
// its successor must not put a second one beside (P4). Where supervisor and worker are killed together, what the worker
// had started may live on. Both are found by the marks of their launch, whether they hold the directory's lock or not.
//
// Source: proc(5), setpgid(2): what was launched leads a process group, in the session of the supervisor of then; a
// group's leader can never begin a session of its own, so a daemon with a session of its own is never taken for it. (A
// helper that leads a group in that session, timeout(1) say, may be, where its worker was not written down either.)
// Threading: plain functions, from any thread, all blocking, but only on /proc (see launch_marks.h).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/process_identity.h"
#include "supervisor/shell/launch_marks.h"
#include "supervisor/shell/process_tree.h"

namespace ts::shell {

// A worker of ours that no state file names.
struct UnrecordedWorker {
  ProcessIdentity identity;
  std::string run_id;
  std::int64_t attempt = 0;
  core::ResumePoint resume;    // what it was told
  std::uint64_t log_size = 0;  // of what is printed when it was found; for whoever adopts it
};

// What this supervisor knows about the launches before its own.
struct OwnLaunches {
  std::string run_id;                        // empty: not known
  std::string state_id;                      // of our state directory, as workers are told
  std::optional<std::int64_t> unknown_from;  // from this attempt on any may run; nothing: all are accounted for
};

struct Survivors {
  std::optional<UnrecordedWorker> worker;  // of the newest launch that may run
  std::vector<ProcessFacts> leftovers;     // of other launches, whose worker has ended
};

// `marks`: of processes that were launched from our state directory, nothing for all others. Ourselves, what is below
// us and what we are below are passed over. Pure but for `marks`; identities are
// without a boot id.
Survivors find_survivors(const ProcessTable& table, pid_t own_pid, std::int64_t unknown_from,
                         const std::function<std::optional<LaunchMarks>(pid_t)>& marks);

// The marks of a process of our user that was launched from this state directory.
std::optional<LaunchMarks> marks_from(pid_t pid, const std::string& state_id);

struct SettledSurvivors {
  std::optional<UnrecordedWorker> worker;
  std::vector<std::string> notes;  // what was ended, and what could not be
};

// Finds them and ends the leftovers.
SettledSurvivors settle_survivors(const std::string& state_id, std::int64_t unknown_from);

}  // namespace ts::shell
