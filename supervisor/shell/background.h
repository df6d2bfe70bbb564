// For threads whose work nobody waits for: what people read comes after what is done.
//
// Source: sched(7): when such a thread is woken it interrupts nobody, and runs when a processor is free. Where the
// system forbids to ask for it (seccomp), things are as before. Threading: for the calling thread.
#pragma once

#include <pthread.h>
#include <sched.h>

namespace ts::shell {

inline void stay_in_the_background() {
  const sched_param none{};
  ::pthread_setschedparam(::pthread_self(), SCHED_BATCH, &none);
}

}  // namespace ts::shell
