// supervisorctl: asks the supervisor, and looks at checkpoints.
//
// Exit status: 0 ok, 1 refused or failed, 2 usage or bad selector, 3 not running (status), 4 no daemon, 5 timed out.
#include <cstdio>
#include <exception>

#include "supervisor/ctl/command_line.h"

int main(int argc, char** argv) {
  try {
    return ts::ctl::run_command_line(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "supervisorctl: internal error: %s. Please report it.\n", error.what());
    return static_cast<int>(ts::ctl::Exit::failed);
  }
}
