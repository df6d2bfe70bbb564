// JSON to the text a person reads at a terminal. Pure.
#pragma once

#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "common/checkpoint/sidecar.h"

namespace ts::ctl {

std::string render_status(const boost::json::object& status);

struct CheckpointRow {
  std::string name;  // "ep250", "best"
  checkpoint::Sidecar sidecar;
  std::string problem;  // empty when there is none
};

std::string render_checkpoints(const std::vector<CheckpointRow>& rows, const std::string& metric);

}  // namespace ts::ctl
