// Whether the process that holds the models directory's lock is a worker of ours that nobody had time to write down.
//
// A supervisor that is killed between starting a worker and writing down its number leaves one that trains on and keeps
// everybody else out. The next supervisor finds it by the lock: what is known about the holder goes in, the decision
// comes out. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ts::core {

// What a process was launched as, by the environment it was started with.
struct LaunchMarks {
  std::string run_id;
  std::int64_t attempt = 0;
  std::string notify_socket;  // empty: it was given none
};

// The process that the lock file names, as the system sees it.
struct LockHolder {
  std::int64_t pid = 0;              // 0: the lock file names nobody
  bool alive = false;                // and started when the lock file says
  bool has_lock_open = false;        // this directory's lock file itself, not one of the same name elsewhere
  std::int64_t leader = 0;           // of its process group, 0 when that one is gone
  std::optional<LaunchMarks> marks;  // the leader's; nothing: they cannot be read
};

// What the supervisor that asks knows about its launches.
struct OwnLaunches {
  std::string run_id;         // empty: not known
  std::int64_t attempts = 0;  // so far
  std::string notify_socket;  // its address here; it lies in the state directory, which one supervisor has at a time
};

struct HolderVerdict {
  bool ours = false;
  std::string why;  // one clause, for the log and the refusal
};

HolderVerdict judge_holder(const LockHolder& holder, const OwnLaunches& own);

}  // namespace ts::core
