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
// to `width` columns without breaking a field in two. Pure.
std::string render_progress(const api::Status& status, std::size_t width);

class Console {
 public:
  // Draws on stdout.
  explicit Console(bool is_terminal) : is_terminal_(is_terminal) {}
  ~Console() { finish(); }
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  void message(const std::string& text);

  // On a terminal redraws at most a few times a second; elsewhere prints a line when a checkpoint became durable
  // (`milestone`), or when the last line is half a minute old.
  void progress(const api::Status& status, core::Instant now, bool milestone);

  // Leaves the last progress line standing.
  void finish();

 private:
  void clear();

  bool is_terminal_;
  bool line_shown_ = false;
  std::optional<core::Instant> last_drawn_;
};

}  // namespace ts::shell
