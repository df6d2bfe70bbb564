// Writes the book of incidents beside the supervisor's loop: evidence takes seconds, and a disk may take longer.
//
// One incident for each unplanned end of a worker: begun when it is about to be ended, or when it has ended by itself,
// and amended when its end and what followed are known. Everything is done in the order it was asked for.
//
// An incident that cannot be written is said, and supervision goes on.
// Ownership: owns the book and the one thread that writes it; the io_context and the children outlive it.
// Destroying it ends what is being gathered within moments. Threading: the io_context's thread; `done`, `on_ended` and
// `on_trouble` are called there.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "supervisor/shell/evidence.h"
#include "supervisor/shell/incident_book.h"
#include "supervisor/shell/net.h"

namespace ts::shell {

class IncidentRecorder {
 public:
  // An end is on record, in this folder; empty: it is not.
  using OnEnded = std::function<void(const IncidentReport& report, const std::string& where)>;
  using OnTrouble = std::function<void(const std::string& sentence)>;

  IncidentRecorder(asio::io_context& io, Children& children, IncidentBook book, OnEnded on_ended, OnTrouble on_trouble);
  ~IncidentRecorder();
  IncidentRecorder(const IncidentRecorder&) = delete;
  IncidentRecorder& operator=(const IncidentRecorder&) = delete;

  // A worker that lives and is about to be ended. `done` gets the folder's path, empty when there is none.
  void investigate(IncidentReport report, EvidenceRequest request, std::function<void(std::string)> done);

  // A worker has ended. What `investigate` has found out about the same attempt stays; without it, evidence is taken
  // now.
  void ended(IncidentReport report, EvidenceRequest request);

  // A worker has ended. One that was investigated and whose end became no incident of its own, because something else
  // was asked for meanwhile, is on record all the same, with its end; `ended` of the same attempt may still follow.
  void left(std::int64_t attempt, const core::ExitStatus& exit);

  // What followed the last incident: where the next attempt resumed, and how many episodes that cost.
  void relaunched(std::int64_t resumed_from, std::int64_t lost_episodes);

  // Its training has advanced again, so long after the incident was noticed.
  void recovered(std::optional<double> relaunch_s, double first_step_s);

  // Ends what is being gathered, and calls `done`, on the writing thread, when all that was asked for is on record.
  void end(std::function<void()> done);

 private:
  // All on the writing thread.
  void begin(IncidentReport report, const EvidenceRequest& request, std::chrono::system_clock::time_point when);
  void give_way();
  void amend();
  void warn(const Error& error);
  void guarded(const std::function<void()>& work);

  asio::io_context& io_;
  IncidentBook book_;
  OnEnded on_ended_;
  OnTrouble on_trouble_;
  EvidenceGatherer gatherer_;
  std::optional<IncidentReport> current_;  // the newest, as far as it is known
  bool is_decided_ = false;                // `ended` has told what was done about it
  std::string where_;                      // its folder
  std::stop_source stop_;
  asio::thread_pool writer_{1};
};

}  // namespace ts::shell
