#include "supervisor/ctl/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace ts::ctl {

// https://no-color.org: any value but an empty one says no.
Look look_of_terminal() {
  Look look;
  if (::isatty(STDOUT_FILENO) != 1) return look;
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) look.width = size.ws_col;
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
  look.color = !dumb && (no_color == nullptr || *no_color == '\0');
  return look;
}

}  // namespace ts::ctl
