// Where a program lies that is named without a folder. One rule for everything that is started or asked about here: the
// folders of PATH, or the usual ones where it is not set; but none that is relative, since what lies in whatever folder
// we were started from is no program of the system.
//
// Threading: any, while nobody changes the environment. Errors: none, there is one or there is not.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ts {

// A file, and this process may execute it. Sets errno where it is not: EISDIR, or EACCES for what is no file either.
bool is_program(const std::string& path);

// A name with a '/' is a path, and is returned as it is.
std::optional<std::string> find_program(std::string_view name);

}  // namespace ts
