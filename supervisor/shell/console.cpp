#include "supervisor/shell/console.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "common/base/text.h"

namespace ts::shell {
namespace {

constexpr std::chrono::milliseconds kRedrawInterval{200};
constexpr std::chrono::seconds kPlainInterval{30};
constexpr std::size_t kWidthUnlimited = 1000;
constexpr std::size_t kWidthDefault = 80;

std::size_t terminal_width() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kWidthDefault;
  return size.ws_col;
}

// A terminal that is held (Ctrl+S) or a pipe that nobody empties would block the whole loop: then the line is dropped.
bool can_write() {
  pollfd out{STDOUT_FILENO, POLLOUT, 0};
  return ::poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) != 0;
}

// Whatever the worker's numbers come to, within what a duration can hold.
std::chrono::milliseconds to_ms(double seconds) {
  constexpr double kSecondsMax = 1e12;
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::min(seconds, kSecondsMax) * 1000.0));
}

// Whole seconds: a line that is drawn once a second should not show their fractions.
std::string human_seconds(double seconds) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(to_ms(seconds));
  return whole.count() == 0 ? "0s" : human_duration(whole);
}

// "backoff for 3s, 12s left"
std::string waiting_field(const api::Status& status) {
  std::string field(core::to_string(status.state.phase));
  if (!is_waiting(status.state)) return field;
  field += " for " + human_seconds(std::max(0.0, status.state_for_s));
  if (status.deadline_in_s && *status.deadline_in_s > 0.0)
    field += ", " + human_seconds(*status.deadline_in_s) + " left";
  return field;
}

std::vector<std::string> progress_fields(const api::Status& status) {
  const core::State& state = status.state;
  const auto& metrics = state.progress.metrics;
  std::vector<std::string> fields;
  if (state.phase != core::Phase::running) fields.push_back(waiting_field(status));
  fields.push_back("episode " + std::to_string(state.progress.episode) + "/" + std::to_string(status.total_episodes));
  if (const auto profit = metrics.find("profit"); profit != metrics.end()) {
    fields.push_back("profit " + std::string(profit->second >= 0 ? "+" : "") + format_fixed(profit->second, 1) + "%");
  }
  if (const auto sharpe = metrics.find("sharpe"); sharpe != metrics.end()) {
    fields.push_back("Sharpe " + format_fixed(sharpe->second, 2));
  }
  if (const auto epsilon = metrics.find("epsilon"); epsilon != metrics.end()) {
    fields.push_back("epsilon " + format_fixed(epsilon->second, 2));
  }
  if (status.episodes_per_s) fields.push_back(format_fixed(*status.episodes_per_s, 1) + " ep/s");
  if (status.eta_s && *status.eta_s > 0.0) fields.push_back("ETA " + human_seconds(*status.eta_s));
  if (status.checkpoint) fields.push_back("saved ep" + std::to_string(status.checkpoint->episode));
  std::int64_t restarts = 0;
  for (const auto& [cause, count] : state.restarts) restarts += count;
  fields.push_back("restarts " + std::to_string(restarts));
  return fields;
}

}  // namespace

std::string render_progress(const api::Status& status, std::size_t width) {
  static constexpr std::string_view kSeparator = " | ";
  std::string line;
  for (const std::string& field : progress_fields(status)) {
    const std::string_view separator = line.empty() ? std::string_view() : kSeparator;
    if (line.size() + separator.size() + field.size() > width) break;
    line.append(separator).append(field);
  }
  return line;
}

std::string erase_line(std::size_t length, std::size_t width) {
  const std::size_t above = length == 0 || width == 0 ? 0 : (length - 1) / width;
  if (above == 0) return "\r\033[K";
  return "\r\033[" + std::to_string(above) + "A\033[J";
}

bool is_waiting(const core::State& state) {
  switch (state.phase) {
    case core::Phase::starting:
    case core::Phase::stopping:
    case core::Phase::backoff: return true;
    case core::Phase::fatal: return state.deadline.has_value();
    default: return false;
  }
}

void Console::clear() {
  if (line_length_ == 0) return;
  std::fputs(erase_line(line_length_, terminal_width()).c_str(), stdout);
  line_length_ = 0;
}

void Console::message(const std::string& text) {
  if (!can_write()) return;
  clear();
  std::fputs(text.c_str(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

void Console::progress(const api::Status& status, core::Instant now, bool milestone) {
  if (!can_write()) return;
  if (is_terminal_) {
    if (line_length_ > 0 && !milestone && now - *last_drawn_ < kRedrawInterval) return;
    // One column stays free: a full line would wrap on some terminals.
    const std::size_t width = terminal_width();
    const std::string line = render_progress(status, width - 1);
    std::fputs((erase_line(line_length_, width) + line).c_str(), stdout);
    line_length_ = line.size();
  } else {
    if (!last_drawn_) last_drawn_ = now;
    if (!milestone && now - *last_drawn_ < kPlainInterval) return;
    std::fputs(render_progress(status, kWidthUnlimited).c_str(), stdout);
    std::fputc('\n', stdout);
  }
  std::fflush(stdout);
  last_drawn_ = now;
}

void Console::finish() {
  if (line_length_ == 0) return;
  std::fputc('\n', stdout);
  std::fflush(stdout);
  line_length_ = 0;
}

}  // namespace ts::shell
