// Names that nobody else has.
#pragma once

#include <string>

namespace ts {

// 16 random hexadecimal digits, from the system's entropy: the name of a new run.
std::string make_run_id();

}  // namespace ts
