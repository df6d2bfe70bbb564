// Requests that arrive as signals: SIGTERM and SIGINT ask to stop, SIGUSR1 to save. The handlers only set flags, which
// the training loop reads at its next step (a save inside a handler would catch the state half changed).
//
// A second SIGTERM or SIGINT ends the process at once, by the signal's default action. Two within a third of a second
// count as one: service managers and wrappers often send a signal to the process and to its group.
//
// Source: signal-safety(7) (clock_gettime is on its list). Threading: flags are lock-free atomics, readable from
// anywhere.
#pragma once

namespace ts::session {

void install_signal_handlers();

bool stop_requested();

// True once for each request.
bool take_save_request();

}  // namespace ts::session
