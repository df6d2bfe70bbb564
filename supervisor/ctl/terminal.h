// The terminal that standard output is, if it is one.
#pragma once

#include "supervisor/ctl/render.h"

namespace ts::ctl {

Look look_of_terminal();

}  // namespace ts::ctl
