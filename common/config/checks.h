// What must hold between the values of a configuration, beyond what each must be by itself.
//
// Threading: pure. Errors: added to the Problems, at the place of the first key concerned that the file gives.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "common/config/config.h"
#include "common/config/problems.h"

namespace ts::config {

// Which keys ("dqn.gamma") the file gives, and where.
struct Given {
  std::map<std::string, Place, std::less<>> places;
  // Keys and sections with a problem of their own. Nothing is said about relations to these: their values are still the
  // defaults, which nobody wrote.
  std::set<std::string, std::less<>> broken;
};

void check_relations(const Config& config, const Given& given, Problems& problems);

}  // namespace ts::config
