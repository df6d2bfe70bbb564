#include "supervisor/core/supervision.h"

namespace ts::core {

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::stopped: return "stopped";
    case Phase::starting: return "starting";
    case Phase::running: return "running";
    case Phase::stopping: return "stopping";
    case Phase::backoff: return "backoff";
    case Phase::finished: return "finished";
    case Phase::fatal: return "fatal";
  }
  return "unknown";
}

}  // namespace ts::core
