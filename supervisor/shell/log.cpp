#include "supervisor/shell/log.h"

#include <unistd.h>

#include <cstdlib>
#include <string>
#include <system_error>
#include <utility>

#include <spdlog/sinks/rotating_file_sink.h>

#include "common/base/text.h"

namespace ts::shell {
namespace {

spdlog::level::level_enum level_of(api::EventLevel level) {
  switch (level) {
    case api::EventLevel::debug: return spdlog::level::debug;
    case api::EventLevel::info: return spdlog::level::info;
    case api::EventLevel::warn: return spdlog::level::warn;
    case api::EventLevel::error: return spdlog::level::err;
  }
  return spdlog::level::err;
}

// For people, who see no levels.
std::string_view word_for(api::EventLevel level) {
  switch (level) {
    case api::EventLevel::warn: return "warning: ";
    case api::EventLevel::error: return "error: ";
    default: return "";
  }
}

const char* journal_stream() {
  return std::getenv("JOURNAL_STREAM");
}

}  // namespace

Log::Log(std::shared_ptr<LogFile> file, Console& console, LogFile::Say say)
    : file_(std::move(file)),
      lines_("supervisor", file_),
      journal_(STDOUT_FILENO, journal_stream()),
      console_(console) {
  lines_.set_error_handler(std::move(say));
}

Result<std::unique_ptr<Log>> Log::open(const config::Logging& config, Console& console, asio::io_context& io) {
  std::error_code error;
  std::filesystem::create_directories(config.directory, error);
  const auto name = (config.directory / "supervisor.log").string();
  const auto say = [&console, &io](const std::string& what) {
    asio::post(io, [&console, what] { console.message("warning: the log: " + what); });
  };
  try {
    auto file = std::make_shared<spdlog::sinks::rotating_file_sink_st>(
        name, config.max_size, static_cast<std::size_t>(config.max_files > 1 ? config.max_files - 1 : 1));
    file->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    std::unique_ptr<Log> log(
        new Log(std::make_shared<LogFile>(std::move(file), escape_control(name), say), console, say));
    log->set_level(config.level);
    return log;
  } catch (const spdlog::spdlog_ex& failure) {
    return make_error(ErrorKind::cannot_write, "could not open the log in " +
                                                   escape_control(config.directory.string()) + ": " + failure.what() +
                                                   "; set logging.directory to a writable place.");
  }
}

void Log::write(const api::Event& event) {
  const auto level = level_of(event.level);
  if (!lines_.should_log(level)) return;
  lines_.log(level, "{}", event.message);
  if (journal_.write(event)) return;
  console_.message(priority_prefix(event.level, STDOUT_FILENO, journal_stream()).append(word_for(event.level)) +
                   event.message);
}

void Log::set_level(const std::string& word) {
  lines_.set_level(spdlog::level::from_str(word == "warn" ? "warning" : word));
}

}  // namespace ts::shell
