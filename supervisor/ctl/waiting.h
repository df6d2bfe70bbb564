// `supervisorctl wait`: whether what is waited for is so, is not yet, or cannot be any more. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>

#include "common/base/result.h"

namespace ts::ctl {

struct Until {
  enum class Kind { running, stopped, finished, episode };
  Kind kind = Kind::finished;
  std::int64_t episode = 0;

  bool operator==(const Until&) const = default;
};

// "running", "stopped", "finished", "episode=200"; kind usage-like errors name what there is.
Result<Until> parse_until(std::string_view text);

enum class Awaited { there, not_yet, never };

// By a status of format 1.
Awaited judge(const Until& until, const boost::json::object& status);

}  // namespace ts::ctl
