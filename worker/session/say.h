// A line on stdout for people, who may be watching: flushed at once. Threading: any thread.
#pragma once

#include <string>

namespace ts::session {

void say(const std::string& line);

}  // namespace ts::session
