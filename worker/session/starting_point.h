// Where a session begins: fresh, or at a checkpoint; and what must be moved aside first.
//
// Threading: the training thread, before training starts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/checkpoint/resume_choice.h"
#include "common/checkpoint/store.h"
#include "common/checkpoint/store_writer.h"
#include "common/config/config.h"

namespace ts::session {

struct ResumeRequest {
  enum class Kind {
    none,       // start, if nothing is there to be overwritten
    automatic,  // the newest valid checkpoint, or fresh in an empty directory
    selector,   // exactly this one
    fresh,      // set aside what there is
  };
  Kind kind = Kind::none;
  std::string selector;
};

struct StartingPoint {
  std::optional<checkpoint::Verified> checkpoint;      // nothing: fresh
  std::string path;                                    // of the checkpoint, for people
  std::optional<checkpoint::Episode> supersede_after;  // a step back (or fresh: -1): what is newer goes aside
  std::vector<checkpoint::Rejection> rejected;         // newer, but not usable
  std::vector<std::string> notes;                      // for people
};

// Decides, and changes nothing. A refusal says what to do instead.
Result<StartingPoint> choose_starting_point(const ResumeRequest& request, const std::string& run_id,
                                            const checkpoint::Store& store);

// Moves aside what the decision leaves behind. Called when the checkpoint has been loaded, so that one that turns out
// not to fit has disturbed nothing.
Result<checkpoint::Notes> make_way(const StartingPoint& point, const config::Config& config,
                                   checkpoint::StoreWriter& writer);

checkpoint::StoreWriter::BestBy best_by(const config::Config& config);

}  // namespace ts::session
