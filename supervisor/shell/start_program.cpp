#include "supervisor/shell/start_program.h"

#include <signal.h>
#include <spawn.h>
#include <unistd.h>

namespace ts::shell {
namespace {

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// What posix_spawn is told; freed with it.
struct Settings {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;

  explicit Settings(const StandardFiles& standard) {
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_adddup2(&files, standard.input, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&files, standard.output, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&files, standard.output, STDERR_FILENO);
    // Ours are close-on-exec, but not what Asio accepts nor what our own parent left open; and whoever outlives us must
    // not keep our locks and sockets.
    ::posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    sigset_t signals;
    sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes, &signals);
    for (const int number : {SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGCHLD}) sigaddset(&signals, number);
    ::posix_spawnattr_setsigdefault(&attributes, &signals);
  }
  ~Settings() {
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&attributes);
  }
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;
};

}  // namespace

int start_program(const std::string& path, std::vector<std::string>& arguments, std::vector<std::string>& environment,
                  const StandardFiles& files, pid_t& pid) {
  const Settings settings(files);
  pid_t started = 0;
  const int error = ::posix_spawn(&started, path.c_str(), &settings.files, &settings.attributes,
                                  pointers_to(arguments).data(), pointers_to(environment).data());
  if (error == 0) pid = started;
  return error;
}

}  // namespace ts::shell
