// What the time of a run went into, and what its incidents cost: goodput, episodes lost, time to detect, to relaunch
// and to the first step. Pure: follows the transitions of core::step and decides nothing.
//
// Goodput is the time that went into episodes that count, as a share of the time in which training was wanted.
//   wanted   from the run's first launch here on: all the time, but for that in which the run was finished, or stopped
//   as
//            asked with no worker left. Time in which machine or supervisor were down is wanted if it was before.
//   good     for each completed episode the time since the one before, or since the worker was READY. Whatever is
//            stepped behind (a worker died, a person went back) is taken off again. Loading, saving what a worker
//            waits for, backoff and work that is done twice are thus no good time.
//
// Threading: plain values and pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "supervisor/core/supervision.h"

namespace ts::core {

// The time that had gone into episodes up to and including this one.
struct Mark {
  std::int64_t episode = 0;
  double good_s = 0.0;

  bool operator==(const Mark&) const = default;
};

// Of those incidents of which it is known.
struct Measured {
  std::int64_t count = 0;
  double sum_s = 0.0;

  bool operator==(const Measured&) const = default;
};

struct IncidentFigures {
  Cause cause = Cause::unknown;
  double detect_s = 0.0;  // from the last sign of what was missed until it was noticed; an exit is noticed at once
  std::optional<std::int64_t> lost_episodes;  // completed before, and not in what the next attempt resumed from
  std::optional<double> relaunch_s;           // from noticing until the next worker ran
  std::optional<double> first_step_s;         // from noticing until it got anywhere: a step, or an episode

  bool operator==(const IncidentFigures&) const = default;
};

struct Accounts {
  double wanted_s = 0.0;    // up to as_of
  std::vector<Mark> marks;  // ascending, thinned out where they are old
  std::int64_t incidents = 0;
  std::int64_t lost_episodes = 0;
  Measured detection;
  Measured relaunch;
  Measured first_step;
  std::optional<IncidentFigures> last;  // the newest incident

  // Of this moment; as_of, wanted and working_since outlive the supervisor as ages.
  std::optional<Instant> as_of;
  bool wanted = false;
  std::optional<Instant> working_since;  // when the episode under way began
  std::optional<Instant> noticed;        // the trouble that is being dealt with
  double detect_s = 0.0;                 // the same of it
  bool open = false;                     // `last` is not over: its successor has got nowhere yet
  std::optional<Instant> at_risk_since;  // when the oldest episode that is not durable was completed

  bool operator==(const Accounts&) const = default;
};

// What has to be remembered of the state before a transition.
struct Vantage {
  Phase phase = Phase::stopped;
  Desired desired = Desired::down;
  Instant since{0};
  Instant beaten{0};
  Instant progressed{0};
  std::int64_t pid = 0;
  std::int64_t episode = 0;
  std::int64_t step = 0;
  std::optional<std::int64_t> resumed;
  bool elsewhere = false;  // the launch under way goes where somebody asked
};

Vantage vantage_of(const State& state);

Accounts observe(Accounts accounts, const Vantage& before, const Event& event, const Transition& after, Instant now);

// Of another run: nothing that was is of it.
Accounts new_accounts(Instant now);

// As remembered by a supervisor that wrote them down `gap_s` ago, `working_s` after the episode under way began.
Accounts remembered(Accounts accounts, double gap_s, std::optional<double> working_s, Instant now);

double good_s(const Accounts& accounts);
double wanted_s(const Accounts& accounts, Instant now);

// Nothing while no time was wanted.
std::optional<double> goodput(const Accounts& accounts, Instant now);

}  // namespace ts::core
