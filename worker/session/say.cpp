#include "worker/session/say.h"

#include <cstdio>

namespace ts::session {

void say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

}  // namespace ts::session
