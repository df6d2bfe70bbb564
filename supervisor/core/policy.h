// The numbers that the rules use, as the configuration gave them.
#pragma once

#include <cstdint>
#include <optional>

#include "supervisor/core/time.h"

namespace ts::core {

struct Policy {
  std::int64_t total_episodes = 300;
  Duration startup_timeout{120'000};         // from the spawn to READY=1
  Duration heartbeat_timeout{30'000};        // longest silence of a running worker; zero: it does not beat
  std::optional<Duration> progress_timeout;  // longest time without progress; nothing: learned, zero: not watched
  Duration progress_floor{60'000};           // no learned limit is shorter
  Duration progress_unlearned{600'000};      // while too little was seen to learn from
  Duration durability_alarm{1'800'000};      // work at risk for longer is said loudly; zero: never
  Duration inspection{5'000};                // for the look at a silent worker, before it is judged without one
  Duration evidence{30'000};                 // for gathering evidence, before the worker is ended without it
  Duration notice{30'000};                   // disk work that takes longer is said
  Duration stop_timeout{60'000};             // from SIGTERM to harsher signals when it was asked to stop
  Duration hang_grace{5'000};                // the same for a worker that is taken to hang
  Duration abort_grace{5'000};               // from SIGABRT to SIGKILL
  Duration kill_grace{10'000};               // from SIGKILL to calling it unkillable
  Duration backoff_initial{1'000};
  Duration backoff_max{300'000};
  double backoff_factor = 2.0;
  double jitter = 0.25;           // share of the delay
  std::int64_t poison_after = 2;  // deaths before an episode is completed that condemn a resume point
  std::int64_t max_attempts_without_progress = 10;
  Duration cooldown{900'000};  // from giving up to trying again
};

}  // namespace ts::core
