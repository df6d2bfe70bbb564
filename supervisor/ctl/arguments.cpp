#include "supervisor/ctl/arguments.h"

#include <cstdlib>

#include "common/base/text.h"
#include "common/config/load.h"

namespace ts::ctl {
namespace {

constexpr const char* kSystemSocket = "/run/trainer-supervisor/control.sock";
constexpr const char* kSocketVariable = "TRAINER_SUPERVISOR_SOCKET";

}  // namespace

Result<config::Config> load(const Arguments& arguments) {
  return config::load_config(arguments.config_file);
}

std::optional<NamedSocket> named_socket(const Arguments& arguments) {
  if (!arguments.socket.empty()) return NamedSocket{arguments.socket, "given with --socket"};
  const char* variable = std::getenv(kSocketVariable);
  if (variable == nullptr || *variable == '\0' || arguments.config_given) return std::nullopt;
  return NamedSocket{variable, std::string("from ") + kSocketVariable};
}

Result<Client> find_client(const Arguments& arguments) {
  if (const auto named = named_socket(arguments)) return Client(named->path, named->origin);
  const std::string file = escape_control(arguments.config_file);
  if (arguments.config_given || std::filesystem::exists(arguments.config_file)) {
    const auto config = load(arguments);
    if (!config) return config.error();
    return Client(config::resolved_control_socket(*config), "from " + file);
  }
  return Client(kSystemSocket, "the service's, since there is no " + file + " here and neither --socket nor " +
                                   kSocketVariable + " names another");
}

}  // namespace ts::ctl
