#include "supervisor/ctl/arguments.h"

#include <cstdlib>
#include <system_error>
#include <vector>

#include "common/base/text.h"
#include "common/config/load.h"
#include "supervisor/ctl/sockets.h"

namespace ts::ctl {
namespace {

constexpr const char* kConfigHere = "config/config.yaml";
constexpr const char* kServiceConfig = "/etc/trainer-supervisor/config.yaml";
constexpr const char* kServiceSocket = "/run/trainer-supervisor/control.sock";
constexpr const char* kSocketVariable = "TRAINER_SUPERVISOR_SOCKET";

bool is_there(const std::string& file) {
  std::error_code ignored;
  return std::filesystem::exists(file, ignored);
}

std::string here() {
  std::error_code ignored;
  const std::filesystem::path directory = std::filesystem::current_path(ignored);
  return directory.empty() ? "here" : "in " + escape_control(directory.string());
}

// A new file would be the configuration of nothing, so nobody is told to make one.
Error no_config(const Arguments& arguments) {
  if (arguments.config_given) {
    return make_error(ErrorKind::configuration, "there is no configuration " + escape_control(arguments.config_file) +
                                                    ", seen from " + here() +
                                                    ". Name the one that the training runs with.");
  }
  return make_error(ErrorKind::configuration,
                    std::string("there is no ") + kConfigHere + " " + here() + ", and no service's " + kServiceConfig +
                        ". Go to the directory in which the training runs, or name its configuration with --config.");
}

// `problem`: what is wrong with the configuration of a supervisor that may run all the same.
Error socket_unknown(const Error& problem) {
  std::vector<std::string> served;
  for (const std::string& socket : control_sockets_here("")) served.push_back("--socket " + escape_control(socket));
  return make_error(problem.kind,
                    problem.message +
                        "\nSo it is not known where to ask. A supervisor that runs goes on with what it read before; " +
                        (served.empty() ? "ask it with --socket FILE." : "try " + join(served, ", or ") + "."));
}

}  // namespace

std::string default_config_file(const std::function<bool(const std::string&)>& there) {
  return !there(kConfigHere) && there(kServiceConfig) ? kServiceConfig : kConfigHere;
}

Result<config::Config> load(const Arguments& arguments) {
  if (!is_there(arguments.config_file)) return no_config(arguments);
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
  if (!arguments.config_given && !is_there(arguments.config_file)) {
    return Client(kServiceSocket, "the service's, since there is no " + file + " here and neither --socket nor " +
                                      kSocketVariable + " names another");
  }
  const auto config = load(arguments);
  if (config) return Client(config::resolved_control_socket(*config), "from " + file);
  const auto socket = config::control_socket_in(arguments.config_file);
  if (!socket) return socket_unknown(config.error());
  complain(config.error().message, Exit::usage);
  complain(
      "a supervisor that runs goes on with what it read before; asking it on " + escape_control(socket->string()) + ".",
      Exit::usage);
  return Client(*socket, "from " + file);
}

}  // namespace ts::ctl
