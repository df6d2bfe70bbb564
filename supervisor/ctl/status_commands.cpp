// Looking at the status: once, again and again, or until something is so.
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "supervisor/ctl/render.h"
#include "supervisor/ctl/status_reading.h"
#include "supervisor/ctl/terminal.h"
#include "supervisor/ctl/waiting.h"

namespace ts::ctl {
namespace {

namespace json = boost::json;

constexpr std::chrono::milliseconds kPollInterval{200};
constexpr std::chrono::seconds kWatchInterval{1};

void draw(const std::string& text) {
  constexpr const char* kHomeAndClear = "\033[H\033[2J";
  if (::isatty(STDOUT_FILENO) == 1) std::fputs(kHomeAndClear, stdout);
  std::fputs(text.c_str(), stdout);
  if (::isatty(STDOUT_FILENO) != 1) std::fputc('\n', stdout);
  std::fflush(stdout);
}

}  // namespace

Exit show_status(const Client& client, bool as_json) {
  const auto status = read_status(client);
  if (!status) return complain(status.error());
  std::fputs((as_json ? pretty_json(*status) : render_status(*status, look_of_terminal())).c_str(), stdout);
  return is_active(string_member(*status, "state").value_or("")) ? Exit::ok : Exit::not_running;
}

Exit watch_status(const Client& client) {
  while (std::ferror(stdout) == 0) {
    const auto status = read_status(client);
    if (!status && status.error().kind != ErrorKind::unavailable) return complain(status.error());
    draw(status ? render_status(*status, look_of_terminal()) : status.error().message + "\nWaiting for one.\n");
    std::this_thread::sleep_for(kWatchInterval);
  }
  return Exit::ok;  // whoever read it has gone
}

Exit wait_until(const Client& client, const std::string& text, std::chrono::seconds timeout, bool as_json) {
  const auto until = parse_until(text);
  if (!until) return complain(until.error().message, Exit::usage);
  const auto begun = std::chrono::steady_clock::now();
  std::string last;
  while (true) {
    const auto status = read_status(client);
    if (status) {
      const bool first = last.empty();
      last = sentence_of(*status) + ", episode " + std::to_string(integer_member(*status, "episode").value_or(0));
      const Awaited awaited = judge(*until, *status);
      if (awaited == Awaited::there) {
        return conclude(last + ".", Exit::ok, *status, as_json);
      }
      if (awaited == Awaited::never)
        return conclude("waiting for " + escape_control(text) + " is in vain: " + last + ".", Exit::failed, *status,
                        as_json);
      if (first)
        std::fprintf(stderr, "supervisorctl: %s; waiting until %s.\n", last.c_str(), escape_control(text).c_str());
    } else if (last.empty() || status.error().kind != ErrorKind::unavailable) {
      return complain(status.error());
    }
    if (timeout.count() > 0 && std::chrono::steady_clock::now() - begun > timeout) {
      return conclude("timed out after " + std::to_string(timeout.count()) + " s; " + last, Exit::timed_out,
                      status ? std::optional(*status) : std::nullopt, as_json);
    }
    std::this_thread::sleep_for(kPollInterval);
  }
}

}  // namespace ts::ctl
