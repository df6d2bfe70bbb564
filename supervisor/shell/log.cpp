#include "supervisor/shell/log.h"

#include <string>
#include <system_error>

#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/rotating_file_sink.h>

#include "common/base/text.h"

namespace ts::shell {
namespace {

class ConsoleSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit ConsoleSink(Console& console) : console_(console) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    std::string text(message.payload.data(), message.payload.size());
    if (message.level >= spdlog::level::warn)
      text.insert(0, message.level == spdlog::level::warn ? "warning: " : "error: ");
    console_.message(text);
  }
  void flush_() override {}

 private:
  Console& console_;
};

}  // namespace

spdlog::level::level_enum level_named(const std::string& word) {
  return spdlog::level::from_str(word == "warn" ? "warning" : word);
}

Result<Log> make_log(const config::Logging& config, Console& console, asio::io_context& io) {
  std::error_code error;
  std::filesystem::create_directories(config.directory, error);
  const auto name = (config.directory / "supervisor.log").string();
  Log log{std::make_shared<spdlog::logger>("supervisor"), nullptr};
  const auto say = [&console, &io](const std::string& what) {
    asio::post(io, [&console, what] { console.message("warning: the log: " + what); });
  };
  try {
    auto file = std::make_shared<spdlog::sinks::rotating_file_sink_st>(
        name, config.max_size, static_cast<std::size_t>(config.max_files > 1 ? config.max_files - 1 : 1));
    file->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    log.file = std::make_shared<LogFile>(std::move(file), escape_control(name), say);
  } catch (const spdlog::spdlog_ex& failure) {
    return make_error(ErrorKind::cannot_write, "could not open the log in " +
                                                   escape_control(config.directory.string()) + ": " + failure.what() +
                                                   "; set logging.directory to a writable place.");
  }
  log.lines->sinks() = {log.file, std::make_shared<ConsoleSink>(console)};
  log.lines->set_level(level_named(config.level));
  log.lines->set_error_handler(say);
  return log;
}

}  // namespace ts::shell
