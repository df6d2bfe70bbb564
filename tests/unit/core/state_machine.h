// docs/STATE_MACHINE.md, printed by running the core: whatever stands there is what step() does.
//
// Threading: pure functions; they report to GoogleTest where a state can no longer be reached in the way they know.
#pragma once

#include <string>
#include <vector>

#include "tests/unit/core/scenario.h"

namespace ts::core {

// "stopping: gathering evidence"
std::string state_in_words(const State& state);

// A Markdown table with its columns made equally wide.
std::string table(const std::vector<std::vector<std::string>>& rows);

std::string states_chapter();
std::string causes_chapter();
std::string clocks_chapter();

// The whole page.
std::string state_machine_page();

}  // namespace ts::core
