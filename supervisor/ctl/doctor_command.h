// supervisorctl doctor, as the command line calls it; doctor.h has its parts.
//
// Threading: forks, so it is for a program that has no other threads.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "supervisor/ctl/commands.h"
#include "supervisor/ctl/doctor.h"

namespace ts::ctl {

namespace doctor {

// The findings of `look`, which runs in a child process: one that hangs is left behind, and a finding of this name says
// so. What it waits for is said on standard error after a moment.
Findings look_bounded(const std::string& check, const std::string& what, const std::function<Findings()>& look);

}  // namespace doctor

// Exit::failed when there is a problem. With a configuration that cannot be used, only what does not depend on it is
// looked at; `socket` is the one to ask, where it does not come from the configuration.
Exit run_doctor(const std::filesystem::path& config_file, const std::optional<std::filesystem::path>& socket,
                bool as_json);

}  // namespace ts::ctl
