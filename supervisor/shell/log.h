// The supervisor's own log: a size-bounded file for the record, and whoever is watching, who has the journal of the
// machine or else the console.
//
// Threading: the io_context's thread, which draws on the console; the file has a thread of its own (log_file.h).
#pragma once

#include <memory>
#include <string>

#include <spdlog/logger.h>

#include "common/base/result.h"
#include "common/config/config.h"
#include "supervisor/api/event.h"
#include "supervisor/shell/console.h"
#include "supervisor/shell/log_file.h"
#include "supervisor/shell/net.h"
#include "supervisor/shell/system_journal.h"

namespace ts::shell {

class Log {
 public:
  // logs/supervisor.log, with times in RFC 3339; the same sentences, without times, to the journal or to `console`,
  // which must outlive it as `io` must: trouble with the file is said on the console by way of it.
  static Result<std::unique_ptr<Log>> open(const config::Logging& config, Console& console, asio::io_context& io);

  // Nothing happens to what is below the level.
  void write(const api::Event& event);

  // "debug", "warn", …: a word that the configuration takes.
  void set_level(const std::string& word);

  LogFile& file() { return *file_; }

 private:
  Log(std::shared_ptr<LogFile> file, Console& console, LogFile::Say say);

  std::shared_ptr<LogFile> file_;
  spdlog::logger lines_;
  SystemJournal journal_;
  Console& console_;
};

}  // namespace ts::shell
