// For the threads beside the one that signals are for: no request is taken from that one, and no write or message of
// theirs is interrupted. Threading: for the calling thread, and those that it starts.
#pragma once

#include <pthread.h>
#include <signal.h>

namespace ts {

inline void block_signals_in_this_thread() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace ts
