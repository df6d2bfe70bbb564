// supervisorctl logs.
#include <cstdio>
#include <string>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "common/base/json.h"
#include "common/base/text.h"
#include "supervisor/api/worker_output.h"
#include "supervisor/ctl/answers.h"
#include "supervisor/ctl/commands.h"
#include "supervisor/ctl/following.h"

namespace ts::ctl {
namespace {

namespace json = boost::json;

// A piece of a line can be as long as this, escaped twice.
constexpr std::size_t kLineBytesMax = 16 * api::kOutputPieceBytesMax;

// Prints lines as they come. Pieces of one are put together again: at once for people, at its end for programs.
class Printer {
 public:
  explicit Printer(bool as_json) : as_json_(as_json) {}

  void print(const json::object& line) {
    const std::string text = string_member(line, "text").value_or("");
    const bool ended = bool_member(line, "end").value_or(true);
    in_a_line_ = !ended;
    if (as_json_) {
      held_ += text;
      if (ended || held_.size() > kLineBytesMax) flush(ended);
      return;
    }
    // What a supervisor sends is escaped already; whoever answers on the socket may be another.
    std::fputs((escape_line(text) + (ended ? "\n" : "")).c_str(), stdout);
  }

  // There will be no more.
  void end() {
    if (!in_a_line_) return;
    if (as_json_) return flush(false);
    std::fputs("\n", stdout);
  }

 private:
  void flush(bool ended) {
    std::fputs((api::to_json(api::OutputLine{held_, ended, {}}) + "\n").c_str(), stdout);
    held_.clear();
  }

  bool as_json_;
  bool in_a_line_ = false;
  std::string held_;
};

// From the file, as the supervisor would have answered it.
Exit show_file(const Error& no_daemon, const Result<config::Config>& config, const LogsOptions& options) {
  if (!config) return complain(no_daemon);
  const auto file = config->logging.directory / "worker.log";
  const auto page = api::newest_output(file, std::max<std::size_t>(1, options.count));
  if (!page) return complain(page.error());
  if (page->place == api::OutputPlace{}) return complain(no_daemon);
  complain(no_daemon.message + " What follows is from " + escape_control(file.string()) + ".", Exit::ok);
  Printer printer(options.as_json);
  for (const api::OutputLine& line : page->lines) {
    if (options.count > 0) printer.print({{"text", line.text}, {"end", line.ended}});
  }
  printer.end();
  return Exit::ok;
}

}  // namespace

Exit show_logs(const Client& client, const Result<config::Config>& config, const LogsOptions& options) {
  const std::size_t asked = std::max<std::size_t>(1, options.count);
  const auto reply = client.request("GET", "/v1/logs?limit=" + std::to_string(asked));
  if (!reply) {
    const bool no_daemon = reply.error().kind == ErrorKind::unavailable;
    return no_daemon && !options.follow ? show_file(reply.error(), config, options) : complain(reply.error());
  }
  if (reply->status != 200) return complain(detail_in(*reply), Exit::failed);
  const auto page = object_in(*reply);
  if (!page) return complain(page.error());
  const json::value* lines = page->if_contains("lines");
  const auto place = string_member(*page, "place");
  if (lines == nullptr || !lines->is_array() || !place) {
    return complain("the supervisor's answer has no lines.", Exit::failed);
  }
  Printer printer(options.as_json);
  for (const json::value& line : lines->get_array()) {
    if (options.count > 0 && line.is_object()) printer.print(line.get_object());
  }
  if (!options.follow) {
    printer.end();
    return Exit::ok;
  }
  std::fflush(stdout);
  return follow_stream(
      client, "/v1/logs/stream", *place, [](const std::string&) { return "where it was"; },
      [&](const api::ServerSent& sent) {
        const auto line = parse_json(sent.data, "a line", kLineBytesMax);
        if (line && line->is_object()) printer.print(line->get_object());
      });
}

}  // namespace ts::ctl
