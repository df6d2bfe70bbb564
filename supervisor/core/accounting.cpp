#include "supervisor/core/accounting.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

namespace ts::core {
namespace {

constexpr std::size_t kMarksMax = 64;

double seconds(Instant span) {
  return std::max(0.0, std::chrono::duration<double>(span).count());
}

void add(Measured& measured, double value) {
  ++measured.count;
  measured.sum_s += value;
}

// What lies far back is rarely stepped behind, and need not be known to the episode then.
void mark(std::vector<Mark>& marks, Mark newest) {
  marks.push_back(newest);
  if (marks.size() <= kMarksMax) return;
  std::vector<Mark> kept;
  for (std::size_t i = 0; i < marks.size(); ++i) {
    if (i == 0 || i % 2 == 0 || i >= kMarksMax / 2) kept.push_back(marks[i]);
  }
  marks = std::move(kept);
}

// The time that had gone into episodes up to this one, in proportion where it lies between two marks. Beyond the newest
// it is taken to have gone on as before: a supervisor that died with its worker had no time to write it down.
double good_up_to(const Accounts& accounts, std::int64_t episode) {
  const auto& marks = accounts.marks;
  if (marks.empty() || episode <= marks.front().episode) return 0.0;
  const auto above = std::find_if(marks.begin(), marks.end(), [&](const Mark& at) { return at.episode >= episode; });
  const auto share = [&](const Mark& from, const Mark& to) {
    const auto whole = static_cast<double>(to.episode - from.episode);
    const double each = whole > 0.0 ? (to.good_s - from.good_s) / whole : 0.0;
    return from.good_s + each * static_cast<double>(episode - from.episode);
  };
  if (above != marks.end()) return share(*std::prev(above), *above);
  const Mark& newest = marks.back();
  return std::clamp(share(marks.front(), newest), newest.good_s, std::max(newest.good_s, accounts.wanted_s));
}

class Observation {
 public:
  Observation(Accounts accounts, const Vantage& before, const Transition& after, Instant now)
      : a_(std::move(accounts)), before_(before), after_(after.state), actions_(after.actions), now_(now) {}

  Accounts take(const Event& event) {
    pass_time();
    std::visit([this](const auto& what) { see(what); }, event);
    see_end_of_worker();
    see_incident();
    const bool trains = after_.phase == Phase::running && after_.has_process();
    if (trains && before_.phase != Phase::running && !a_.working_since) a_.working_since = now_;
    if (!after_.has_process()) a_.working_since.reset();
    // Stopped on purpose before its successor got anywhere: how long that would have taken nobody will know.
    if (before_.desired == Desired::up && after_.desired == Desired::down) a_.open = false;
    return std::move(a_);
  }

 private:
  void pass_time() {
    if (a_.as_of && a_.wanted) a_.wanted_s += seconds(now_ - *a_.as_of);
    a_.as_of = now_;
    const bool asked_for = after_.desired == Desired::up && after_.phase != Phase::finished;
    a_.wanted = asked_for || after_.is_occupied();
  }

  template <class Other>
  void see(const Other&) {}

  void see(const LaunchPrepared& event) {
    if (!has<SpawnWorker>()) return;
    const std::int64_t from = event.resume.episode;
    // Whoever asked for an older one has given up the rest, not lost it. Lost is also what went with a supervisor or a
    // machine, or was in a checkpoint that is damaged now: no incident of ours.
    const std::int64_t lost = before_.elsewhere ? 0 : std::max<std::int64_t>(0, before_.episode - from);
    a_.lost_episodes += lost;
    if (a_.open && a_.last && !a_.last->lost_episodes) a_.last->lost_episodes = lost;
    go_on_from(from);
    a_.at_risk_since.reset();
  }

  void see(const WorkerSpawned&) {
    if (before_.pid != 0 || !after_.has_process()) return;
    a_.working_since.reset();
    if (!a_.open || !a_.noticed || a_.last->relaunch_s) return;
    a_.last->relaunch_s = seconds(now_ - *a_.noticed);
    add(a_.relaunch, *a_.last->relaunch_s);
  }

  void see(const MessageReceived& event) {
    if (before_.pid == 0 || event.attempt != after_.attempt) return;
    const bool tells_where = event.message.resumed && event.message.resumed != before_.resumed;
    const std::int64_t from = tells_where ? *event.message.resumed : before_.episode;
    if (tells_where) go_on_from(from);
    const std::int64_t episode = after_.progress.episode;
    if (episode > from) {
      mark(a_.marks, {episode, good_s(a_) + (a_.working_since ? seconds(now_ - *a_.working_since) : 0.0)});
      a_.working_since = now_;
      if (!a_.at_risk_since) a_.at_risk_since = now_;
    }
    if (event.message.checkpoint) a_.at_risk_since.reset();
    const bool got_somewhere = episode > from || (!tells_where && after_.progress.step > before_.step);
    if (!got_somewhere || !a_.open || !a_.noticed) return;
    a_.last->first_step_s = seconds(now_ - *a_.noticed);
    add(a_.first_step, *a_.last->first_step_s);
    a_.open = false;
    a_.noticed.reset();
  }

  void go_on_from(std::int64_t episode) {
    if (!a_.marks.empty() && a_.marks.back().episode == episode) return;
    const Mark there{episode, good_up_to(a_, episode)};
    std::erase_if(a_.marks, [&](const Mark& mark) { return mark.episode >= episode; });
    mark(a_.marks, there);
  }

  // Noticed is whatever makes a worker end that nobody asked to.
  void see_end_of_worker() {
    const bool by_itself = before_.pid != 0 && !after_.has_process() && before_.phase != Phase::stopping;
    const bool ended_by_us =
        before_.phase != Phase::stopping && after_.phase == Phase::stopping && after_.has_process();
    if (by_itself) notice(0.0);
    if (!ended_by_us || after_.stop_cause == Cause::asked) return;
    switch (after_.stop_cause) {
      case Cause::heartbeat_lost: return notice(seconds(now_ - before_.beaten));
      case Cause::no_progress: return notice(seconds(now_ - before_.progressed));
      case Cause::start_timeout: return notice(seconds(now_ - before_.since));
      default: return notice(0.0);
    }
  }

  void notice(double detect_s) {
    a_.noticed = now_;
    a_.detect_s = detect_s;
    a_.open = false;
  }

  void see_incident() {
    const auto* incident = has<RecordIncident>();
    if (incident == nullptr) return;
    if (a_.open || !a_.noticed) notice(0.0);  // it never ran
    ++a_.incidents;
    a_.last = IncidentFigures{incident->cause, a_.detect_s, {}, {}, {}};
    add(a_.detection, a_.detect_s);
    a_.open = true;
  }

  template <class Wanted>
  const Wanted* has() const {
    for (const Action& action : actions_) {
      if (const auto* found = std::get_if<Wanted>(&action)) return found;
    }
    return nullptr;
  }

  Accounts a_;
  const Vantage& before_;
  const State& after_;
  const std::vector<Action>& actions_;
  Instant now_;
};

}  // namespace

Vantage vantage_of(const State& state) {
  return {state.phase,
          state.desired,
          state.since,
          state.clocks.beaten,
          state.clocks.progressed,
          state.pid,
          state.progress.episode,
          state.progress.step,
          state.progress.resumed,
          state.next_launch.kind != LaunchFrom::Kind::newest};
}

Accounts observe(Accounts accounts, const Vantage& before, const Event& event, const Transition& after, Instant now) {
  return Observation(std::move(accounts), before, after, now).take(event);
}

Accounts new_accounts(Instant now) {
  Accounts accounts;
  accounts.as_of = now;
  accounts.wanted = true;  // a launch is under way
  return accounts;
}

Accounts remembered(Accounts accounts, double gap_s, std::optional<double> working_s, Instant now) {
  const auto ago = [&](double age_s) {
    return now - std::chrono::duration_cast<Instant>(std::chrono::duration<double>(age_s));
  };
  accounts.as_of = ago(gap_s);
  accounts.working_since.reset();
  if (working_s) accounts.working_since = ago(gap_s + *working_s);
  accounts.noticed.reset();
  accounts.open = false;
  return accounts;
}

double good_s(const Accounts& accounts) {
  return accounts.marks.empty() ? 0.0 : accounts.marks.back().good_s;
}

double wanted_s(const Accounts& accounts, Instant now) {
  const bool goes_on = accounts.as_of && accounts.wanted;
  return accounts.wanted_s + (goes_on ? seconds(now - *accounts.as_of) : 0.0);
}

std::optional<double> goodput(const Accounts& accounts, Instant now) {
  const double wanted = wanted_s(accounts, now);
  if (wanted <= 0.0) return std::nullopt;
  return std::clamp(good_s(accounts) / wanted, 0.0, 1.0);
}

}  // namespace ts::core
