// The `.json` beside a `.pt`: what a person wants to know about a checkpoint, and the record that makes it exist. Pure.
//
// A checkpoint of episode N exists if and only if its sidecar is valid and the `.pt` has the size and digest it names.
// Fields and their meaning are in docs/FORMATS.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>

#include "common/base/result.h"
#include "common/checkpoint/names.h"

namespace ts::checkpoint {

inline constexpr std::int64_t kSidecarFormat = 1;
inline constexpr std::size_t kSidecarBytesMax = std::size_t{64} << 10;

// Why a checkpoint was saved.
enum class SaveReason { schedule, interval, signal, request, best, final, rescue };

std::string_view to_string(SaveReason reason);
std::optional<SaveReason> parse_save_reason(std::string_view text);

struct Sidecar {
  Episode episode = 0;         // episodes completed
  Episode total_episodes = 0;  // the goal in force when it was saved
  std::string run_id;          // scopes choosing and pruning
  std::int64_t attempt = 0;    // the supervisor's launch number, 0 without one
  std::string created;         // RFC 3339
  SaveReason reason = SaveReason::schedule;
  boost::json::object metrics;  // finite numbers
  double epsilon = 0.0;
  boost::json::object best;          // {episode, metric, value} of the best model so far; empty when there is none
  std::string file;                  // base name of the .pt
  std::uint64_t bytes = 0;           // of the .pt
  std::string digest;                // "xxh3-128:…" of the .pt
  boost::json::object exactness;     // what must be equal for a resume to be bit-identical
  boost::json::object config;        // the hyper-parameters in force
  std::optional<double> stall_ms;    // the training thread's part of the save
  std::optional<double> durable_ms;  // from the request until the .pt was durable under its name
  Episode same_state_as = 0;         // an earlier save whose state was the very same: training is stuck; 0: none
  boost::json::object unknown;       // members of a later minor version, kept as they were
};

std::string to_json(const Sidecar& sidecar);

// `expected_file` is the .pt beside which the sidecar lies; a sidecar that names another one is refused. A higher
// format version is refused with a sentence that says so. `name` names the sidecar in errors (kind checkpoint).
Result<Sidecar> parse_sidecar(std::string_view text, std::string_view name, std::string_view expected_file);

// Whether this is a sidecar of a format that only a later version of this program reads: refused, but not damaged.
bool is_of_newer_format(std::string_view text);

}  // namespace ts::checkpoint
