// The foreground: messages above, one live progress line below them on a terminal; plain lines anywhere else.
//
// Threading: the io_context's thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "supervisor/api/status.h"
#include "supervisor/core/time.h"

namespace ts::shell {

// "episode 251/300 | profit +12.4% | Sharpe 0.85 | epsilon 0.23 | 12.3 ep/s | ETA 4s | saved ep250 | restarts 1", cut
// to `width` columns without breaking a field in two. What it waits for comes first when it does not train: "stopping
// for 3s, 57s left | episode 251/300 | ...". Pure.
std::string render_progress(const api::Status& status, std::size_t width);

// What takes a line off a terminal that is `width` columns wide now: where it was wider when the line was drawn, the
// line may have been wrapped into several. Pure.
std::string erase_line(std::size_t length, std::size_t width);

// Whether the line changes with time alone, so that it has to be drawn again though nothing happens. Pure.
bool is_waiting(const core::State& state);

class Console {
 public:
  // Draws on stdout.
  explicit Console(bool is_terminal) : is_terminal_(is_terminal) {}
  ~Console() { finish(); }
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  bool is_terminal() const { return is_terminal_; }

  void message(const std::string& text);

  // On a terminal redraws at most a few times a second; elsewhere prints a line when a checkpoint became durable
  // (`milestone`), or when the last line is half a minute old.
  void progress(const api::Status& status, core::Instant now, bool milestone);

  // Leaves the last progress line standing.
  void finish();

 private:
  void clear();

  bool is_terminal_;
  std::size_t line_length_ = 0;  // of the line that is shown; 0: none is
  std::optional<core::Instant> last_drawn_;
};

}  // namespace ts::shell
