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

std::vector<std::string> progress_fields(const api::Status& status) {
  const core::State& state = status.state;
  const auto& metrics = state.progress.metrics;
  std::vector<std::string> fields;
  fields.push_back("episode " + std::to_string(state.progress.episode) + "/" + std::to_string(status.total_episodes));
  if (state.phase != core::Phase::running) fields.emplace_back(core::to_string(state.phase));
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
  if (status.eta_s && *status.eta_s > 0.0) {
    const double whole = *status.eta_s < 10.0 ? static_cast<double>(static_cast<int>(*status.eta_s)) : *status.eta_s;
    fields.push_back("ETA " + human_duration(to_ms(whole)));
  }
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

void Console::clear() {
  if (!line_shown_) return;
  std::fputs("\r\033[K", stdout);
  line_shown_ = false;
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
    if (line_shown_ && !milestone && now - *last_drawn_ < kRedrawInterval) return;
    // One column stays free: a full line would wrap on some terminals.
    const std::string line = render_progress(status, terminal_width() - 1);
    std::fputs("\r\033[K", stdout);
    std::fputs(line.c_str(), stdout);
    line_shown_ = true;
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
  if (!line_shown_) return;
  std::fputc('\n', stdout);
  std::fflush(stdout);
  line_shown_ = false;
}

}  // namespace ts::shell
