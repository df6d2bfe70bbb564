#include "common/config/config.h"

namespace ts::config {

std::filesystem::path resolved_state_directory(const Config& config) {
  return config.supervisor.state_directory.value_or(config.checkpoints.directory / ".supervisor");
}

std::filesystem::path resolved_control_socket(const Config& config) {
  return config.supervisor.control_socket.value_or(resolved_state_directory(config) / "control.sock");
}

}  // namespace ts::config
