// When the newest snapshot is to be saved, and why. Pure: the caller says what time it is.
//
// A save that comes due while another is under way stays due, and takes whatever snapshot is newest when its turn
// comes. A refused one is tried again after a pause that doubles up to a minute, and whenever the next one would be
// due.
//
// Threading: none of its own.
#pragma once

#include <chrono>
#include <optional>

#include "common/checkpoint/names.h"
#include "common/checkpoint/sidecar.h"

namespace ts::session {

class SaveSchedule {
 public:
  using Time = std::chrono::steady_clock::time_point;

  struct Policy {
    checkpoint::Episode frequency = 10;     // every so many episodes
    std::chrono::milliseconds interval{0};  // and when the last durable one is so old; 0: never
    checkpoint::Episode total = 0;          // the last episode
  };

  SaveSchedule(const Policy& policy, checkpoint::Episode durable, Time now)
      : policy_(policy), durable_(durable), taken_up_(durable), last_durable_(now) {}

  checkpoint::Episode durable() const { return durable_; }

  // Somebody asks for a save of the newest snapshot, which is of episode `newest`.
  void request(checkpoint::Episode newest) { requested_ = newest; }

  // Whether `newest` is to be saved, given what is durable and what has been taken up.
  std::optional<checkpoint::SaveReason> due(checkpoint::Episode newest, Time now) const;

  // When `due` may answer differently although nothing has happened; nothing: never.
  std::optional<Time> next_change(checkpoint::Episode newest) const;

  // A save of this episode is under way or next in turn: until it is saved or refused, only later ones can be due.
  void take_up(checkpoint::Episode episode) { taken_up_ = episode; }

  // Refused things may be tried again from here on.
  bool may_retry(Time now) const { return now >= not_before_; }
  Time retry_at() const { return not_before_; }

  void saved(checkpoint::Episode episode, Time now);

  // `episode`: of the checkpoint that was refused, nothing when it was something else (the best model).
  void refused(std::optional<checkpoint::Episode> episode, Time now);

  bool is_overdue() const { return refused_.has_value(); }

 private:
  bool crosses(checkpoint::Episode from, checkpoint::Episode to) const;

  Policy policy_;
  checkpoint::Episode durable_;
  checkpoint::Episode taken_up_;  // not older than durable_
  Time last_durable_;
  checkpoint::Episode requested_ = 0;
  std::optional<checkpoint::Episode> refused_;  // the newest one that was tried in vain since the last success
  std::chrono::seconds pause_{1};
  Time not_before_{};
};

}  // namespace ts::session
