// The supervisor's own log: a size-bounded file for the record, and the console for whoever is watching.
//
// Threading: log on the io_context's thread, which draws on the console; the file has a thread of its own (log_file.h).
#pragma once

#include <memory>
#include <string>

#include <spdlog/logger.h>

#include "common/base/result.h"
#include "common/config/config.h"
#include "supervisor/shell/console.h"
#include "supervisor/shell/log_file.h"
#include "supervisor/shell/net.h"

namespace ts::shell {

struct Log {
  std::shared_ptr<spdlog::logger> lines;
  std::shared_ptr<LogFile> file;
};

// "debug", "warn", …: a word that the configuration takes.
spdlog::level::level_enum level_named(const std::string& word);

// logs/supervisor.log, with times in RFC 3339; the same lines, without times, to `console`, which must outlive it as
// `io` must: trouble with the file is said on the console by way of it.
Result<Log> make_log(const config::Logging& config, Console& console, asio::io_context& io);

}  // namespace ts::shell
