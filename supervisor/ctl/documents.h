// What the `checkpoints` verbs have to say, as JSON documents: `--json` prints them as they are, render.h makes text of
// them, so that people and programs are told the same. Pure. Format 1 of each is described in docs/FORMATS.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "common/base/result.h"
#include "common/checkpoint/compare.h"
#include "common/checkpoint/sidecar.h"
#include "supervisor/ctl/render.h"

namespace ts::ctl {

boost::json::object list_document(const std::string& directory, const std::vector<CheckpointRow>& rows);

// A checkpoint that was read and verified.
struct ReadCheckpoint {
  std::string selector;  // as it was asked for
  std::string path;
  checkpoint::Sidecar sidecar;
  bool foreign = false;  // it has no sidecar of ours; then `sidecar` holds bytes and digest only
  bool pinned = false;
};

boost::json::object show_document(const ReadCheckpoint& checkpoint,
                                  const std::vector<checkpoint::NamedTensor>& tensors);

// One whose content is another program's affair; `why` it was not read.
boost::json::object show_unread_document(const ReadCheckpoint& checkpoint, const std::string& why);

struct Finding {
  std::string name;
  std::string problem;  // empty: it is valid
};

boost::json::object verify_document(const std::string& directory, const std::vector<Finding>& findings);

boost::json::object diff_document(const ReadCheckpoint& a, const ReadCheckpoint& b,
                                  const checkpoint::Comparison& comparison);

// Of two of which at least one could not be read: all that can be told is whether they are the same file.
boost::json::object diff_unread_document(const ReadCheckpoint& a, const ReadCheckpoint& b, const std::string& why);

// One that was put back: where it lies now, where it lay, and why it had been set aside (empty: not known).
boost::json::object release_document(const std::string& directory, const checkpoint::Sidecar& sidecar,
                                     const std::string& from, const std::string& why, bool pinned);

boost::json::object pin_document(const std::string& directory, checkpoint::Episode episode, bool pinned, bool changed);

}  // namespace ts::ctl
