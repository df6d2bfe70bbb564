// What the models directory tells a person: the newest committed checkpoint and the best model, by their sidecars.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "common/checkpoint/sidecar.h"
#include "common/config/config.h"

namespace ts::shell {

struct CheckpointFact {
  checkpoint::Sidecar sidecar;
  std::string path;  // of the .pt
  std::chrono::system_clock::time_point written;
};

struct DirectoryFacts {
  std::optional<CheckpointFact> newest;
  std::optional<CheckpointFact> best;
  std::vector<checkpoint::Sidecar> later;   // than the episode that was asked about; the newest first
  std::optional<std::uint64_t> free_bytes;  // for a writer without privileges
};

// Reads a listing and two sidecars, and those of episodes later than `seen`; blocking, so it runs on the disk thread.
// What cannot be read is left out.
DirectoryFacts gather_directory_facts(const config::Config& config, checkpoint::Episode seen = checkpoint::kEpisodeMax);

// The names of the members in which two `exactness` records differ: what makes a resume between them inexact.
std::vector<std::string> exactness_differences(const boost::json::object& before, const boost::json::object& after);

}  // namespace ts::shell
