// Where a plain start goes on: one rule for the supervisor and for a trainer started by hand. Reads only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/checkpoint/store.h"

namespace ts::checkpoint {

struct ResumeChoice {
  std::optional<Verified> chosen;   // nothing: no checkpoint was ever committed here, so this is a fresh start
  std::vector<Rejection> rejected;  // newer than the chosen one, newest first
  std::vector<std::string> notes;   // why it is not simply the newest, one sentence each
};

// The newest valid checkpoint of run `run_id` (of any run when that is empty). Where no episode's of that run is valid:
// its best model, else the newest valid one of whatever run the directory holds (a trainer started by hand, say). An
// error of kind checkpoint when there are files and none is valid.
Result<ResumeChoice> choose_resume_point(const Store& store, const std::string& run_id);

}  // namespace ts::checkpoint
