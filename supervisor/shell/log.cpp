#include "supervisor/shell/log.h"

#include <mutex>
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

Result<std::shared_ptr<spdlog::logger>> make_log(const config::Logging& config, Console& console) {
  std::error_code error;
  std::filesystem::create_directories(config.directory, error);
  auto log = std::make_shared<spdlog::logger>("supervisor");
  try {
    const auto file = (config.directory / "supervisor.log").string();
    auto sink = std::make_shared<spdlog::sinks::rotating_file_sink_st>(
        file, config.max_size, static_cast<std::size_t>(config.max_files > 1 ? config.max_files - 1 : 1));
    sink->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    log->sinks().push_back(std::move(sink));
  } catch (const spdlog::spdlog_ex& failure) {
    return make_error(ErrorKind::cannot_write, "could not open the log in " +
                                                   escape_control(config.directory.string()) + ": " + failure.what() +
                                                   "; set logging.directory to a writable place.");
  }
  log->sinks().push_back(std::make_shared<ConsoleSink>(console));
  log->set_level(spdlog::level::from_str(config.level == "warn" ? "warning" : config.level));
  log->flush_on(spdlog::level::info);
  // A full disk must not stop supervision: a line that cannot be written is lost, and said on the console.
  log->set_error_handler([&console](const std::string& what) { console.message("warning: the log: " + what); });
  return log;
}

}  // namespace ts::shell
