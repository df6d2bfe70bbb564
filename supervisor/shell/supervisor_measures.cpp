// What the supervisor keeps count of, and what it tells Prometheus.
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "supervisor/core/progress_limits.h"
#include "supervisor/shell/proc.h"
#include "supervisor/shell/supervisor.h"

namespace ts::shell {
namespace {

constexpr std::chrono::seconds kFactsAge{5};         // of the disk, in an answer
constexpr std::chrono::minutes kAccountsWritten{1};  // what a power cut may cost of them
constexpr std::chrono::seconds kLearnedKept{10};     // what a death of the supervisor may cost
constexpr std::size_t kDescriptorsCounted = 1 << 20;

double seconds(core::Instant span) {
  return std::chrono::duration<double>(span).count();
}

double seconds_since_epoch() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

double ticks_to_seconds(std::uint64_t ticks) {
  return static_cast<double>(ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

// The second number of /proc/self/statm, in pages.
std::optional<double> resident_bytes() {
  const auto text = read_proc("/proc/self/statm");
  if (!text) return std::nullopt;
  const std::size_t blank = text->find(' ');
  if (blank == std::string::npos) return std::nullopt;
  std::uint64_t pages = 0;
  const char* end = text->data() + text->size();
  if (std::from_chars(text->data() + blank + 1, end, pages).ec != std::errc()) return std::nullopt;
  return static_cast<double>(pages) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

api::ProcessMeasures measure_process() {
  api::ProcessMeasures out;
  out.resident_bytes = resident_bytes();
  if (const auto facts = look_at(::getpid())) {
    out.cpu_s = ticks_to_seconds(facts->cpu_ticks);
    timespec since_boot{};
    ::clock_gettime(CLOCK_BOOTTIME, &since_boot);
    const double age_s = static_cast<double>(since_boot.tv_sec) + static_cast<double>(since_boot.tv_nsec) * 1e-9 -
                         ticks_to_seconds(facts->start_ticks);
    static const double started_s = seconds_since_epoch() - age_s;  // the same in every answer
    out.start_time_s = started_s;
  }
  const std::size_t open = numbers_in("/proc/self/fd", kDescriptorsCounted).size();
  if (open > 1) out.open_fds = static_cast<double>(open - 1);  // less the one that is read here
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) out.max_fds = static_cast<double>(limit.rlim_cur);
  return out;
}

}  // namespace

// Nothing that was counted or compared is of another run.
void Supervisor::begin_run() {
  exact_.reset();
  accounts_ = core::new_accounts(now());
}

void Supervisor::keep_accounts(const core::Vantage& before, const core::Event& event, core::Transition& after,
                               core::Instant moment) {
  const bool was_open = accounts_.open;
  accounts_ = core::observe(std::move(accounts_), before, event, after, moment);
  const bool recovered = was_open && !accounts_.open && accounts_.last && accounts_.last->first_step_s;
  if (!recovered) return;
  recorder_->recovered(accounts_.last->relaunch_s, *accounts_.last->first_step_s);
  after.actions.push_back(core::SaveState{core::SaveState::When::written});  // no other transition may come for long
}

RememberedAccounts Supervisor::remember_accounts() const {
  return to_remember(accounts_, now(), seconds_since_epoch());
}

void Supervisor::recall_accounts(const Memory& memory) {
  accounts_ = recall(memory.accounts, now(), seconds_since_epoch());
}

// Those that have become durable since; between two looks there may have been several.
void Supervisor::note_checkpoints(const std::string& since) {
  const auto note = [&](const checkpoint::Sidecar& sidecar) {
    if (sidecar.created <= since) return;  // stepped back to
    if (sidecar.stall_ms) stall_.observe(*sidecar.stall_ms / 1e3);
    if (sidecar.durable_ms) durable_.observe(*sidecar.durable_ms / 1e3);
  };
  for (const checkpoint::Sidecar& sidecar : facts_.later) note(sidecar);
  if (facts_.later.empty()) note(facts_.newest->sidecar);
  // Long after the last transition, what is remembered is still not far behind.
  if (now() - saved_ > kAccountsWritten) perform(core::SaveState{core::SaveState::When::written});
}

// What was learned of a worker, and what it achieved, since the last transition, which may be hours ago.
void Supervisor::keep_what_was_learned() {
  const core::Instant moment = now();
  if (moment - kept_ < kLearnedKept) return;
  kept_ = moment;
  keeper_->keep();
}

api::Measures Supervisor::measures() {
  const core::Instant moment = now();
  if (moment - facts_asked_at_ > kFactsAge) {
    facts_asked_at_ = moment;
    refresh_facts();  // for the next answer
  }
  api::Measures out;
  out.status = view();
  out.wanted_s = core::wanted_s(accounts_, moment);
  if (accounts_.at_risk_since) out.at_risk_age_s = seconds(moment - *accounts_.at_risk_since);
  if (facts_.newest) out.checkpoint_bytes = static_cast<double>(facts_.newest->sidecar.bytes);
  if (facts_.free_bytes) out.disk_free_bytes = static_cast<double>(*facts_.free_bytes);
  out.stall = stall_;
  out.durable = durable_;
  out.rescues = {{"rescued", rescues_[static_cast<std::size_t>(Rescue::Outcome::rescued)]},
                 {"not_needed", rescues_[static_cast<std::size_t>(Rescue::Outcome::not_needed)]},
                 {"refused", rescues_[static_cast<std::size_t>(Rescue::Outcome::refused)]},
                 {"not_written", rescues_[static_cast<std::size_t>(Rescue::Outcome::not_written)]}};
  const NotifyCounts& heard = receiver_->counts();
  out.datagrams_heard = heard.heard;
  out.datagrams_dropped = {{"truncated", heard.truncated},
                           {"unattributed", heard.unattributed},
                           {"malformed", heard.malformed},
                           {"foreign", heard.foreign}};
  out.stray_descriptors = heard.stray_descriptors;
  out.process = measure_process();
  return out;
}

}  // namespace ts::shell
