// Closes descriptors that came from somebody else, on a thread of its own.
//
// Closing may wait: for the unsent data of a socket that lingers, for the server of a network file system or of one in
// user space. Whoever sends such a descriptor must not stop the loop with it. A memory file has nothing to wait for and
// is closed at once.
//
// Sources: close(2), socket(7) (SO_LINGER). Threading: one thread. Ownership: what is being closed when this goes is
// left to its thread; nobody waits for it.
#pragma once

#include <memory>

#include "common/base/unique_fd.h"

namespace ts::shell {

class Closer {
 public:
  Closer() = default;
  ~Closer();
  Closer(const Closer&) = delete;
  Closer& operator=(const Closer&) = delete;

  void close(UniqueFd descriptor);

 private:
  struct Queue;
  std::shared_ptr<Queue> queue_;  // with its thread, from the first time on that one is needed
};

// Whether a descriptor is a memory file (memfd), asked without waiting for anything.
bool is_memory_file(int descriptor);

}  // namespace ts::shell
