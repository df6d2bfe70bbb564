// Who may speak for a worker: the worker itself, its process group, its descendants, and nobody of an earlier attempt.
//
// A descendant is known by its parents. One that was made a daemon has lost them; it is known by the marks of this
// launch in its environment. Users other than root and our own are refused. What was found about a sender is remembered
// by its number and start time, so that a beat costs one look and not a walk.
//
// A sender that has ended before its message is read cannot be looked at and is refused, but for the worker itself:
// short-lived senders wait with BARRIER=1, as systemd-notify(1) does.
//
// Ownership: one for each attempt. Threading: the io_context's thread; blocking, but only on /proc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include "supervisor/shell/notify_receiver.h"
#include "supervisor/shell/process_tree.h"

namespace ts::shell {

// What can be seen of other processes; the tests have a world of their own.
struct ProcessView {
  std::function<std::optional<ProcessFacts>(pid_t)> look;
  std::function<std::optional<LaunchMarks>(pid_t)> marks;
  pid_t own_pid = 0;
  uid_t own_user = 0;

  static ProcessView real();
};

// A child of ours keeps its number until it is reaped, so it need not be looked at; an orphan that was adopted is,
// since its number may be somebody else's by now.
enum class Leader { child, orphan };

class Speakers {
 public:
  Speakers(Launch launch, Leader leader, ProcessView view = ProcessView::real());

  bool may_speak(const Sender& sender);

 private:
  struct Remembered {
    std::uint64_t start_ticks = 0;
    bool may_speak = false;
  };

  Launch launch_;
  Leader leader_;
  ProcessView view_;
  std::map<pid_t, Remembered> remembered_;
};

}  // namespace ts::shell
