// The supervisor's own log: a size-bounded file for the record, and the console for whoever is watching.
#pragma once

#include <memory>

#include <spdlog/logger.h>

#include "common/base/result.h"
#include "common/config/config.h"
#include "supervisor/shell/console.h"

namespace ts::shell {

// logs/supervisor.log, with times in RFC 3339; the same lines, without times, to `console`, which must outlive it.
Result<std::shared_ptr<spdlog::logger>> make_log(const config::Logging& config, Console& console);

}  // namespace ts::shell
