#include "supervisor/api/metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "common/base/text.h"
#include "supervisor/api/version.h"

namespace ts::api {
namespace {

constexpr std::array kStates = {core::Phase::stopped,  core::Phase::starting, core::Phase::running,
                                core::Phase::stopping, core::Phase::backoff,  core::Phase::finished,
                                core::Phase::fatal};
constexpr std::array kCauses = {core::Cause::finished,       core::Cause::interrupted,   core::Cause::asked,
                                core::Cause::killed_outside, core::Cause::crash,         core::Cause::out_of_memory,
                                core::Cause::error_exit,     core::Cause::start_timeout, core::Cause::heartbeat_lost,
                                core::Cause::no_progress,    core::Cause::wrong_resume,  core::Cause::bad_configuration,
                                core::Cause::bad_data,       core::Cause::cannot_save,   core::Cause::exec_failed,
                                core::Cause::cannot_prepare, core::Cause::unknown};

// Go's ParseFloat, which Prometheus uses, knows these three words.
std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  std::array<char, 32> text{};
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end};
}

// Control characters and malformed UTF-8 first become readable ones, then the three letters that the format escapes.
std::string label_value(std::string_view text) {
  std::string out;
  for (const char letter : escape_control(text)) {
    if (letter == '\\' || letter == '"') out += '\\';
    out += letter;
  }
  return out;
}

class Text {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    out_ += "# HELP " + name_ + " " + std::string(help) + "\n# TYPE " + name_ + " " + std::string(type) + "\n";
  }
  void sample(double value, std::string_view label = {}, std::string_view label_text = {}) {
    sample_of("", value, label, label_text);
  }
  void sample_of(std::string_view suffix, double value, std::string_view label = {}, std::string_view label_text = {}) {
    out_ += name_ + std::string(suffix);
    if (!label.empty()) out_ += "{" + std::string(label) + "=\"" + label_value(label_text) + "\"}";
    out_ += " " + number(value) + "\n";
  }
  void gauge(std::string_view name, std::string_view help, std::optional<double> value) {
    if (!value) return;
    family(name, "gauge", help);
    sample(*value);
  }
  void counter(std::string_view name, std::string_view help, std::optional<double> value) {
    if (!value) return;
    family(name, "counter", help);
    sample(*value);
  }
  void counters(std::string_view name, std::string_view help, std::string_view label, const Counts& counts) {
    family(name, "counter", help);
    for (const auto& [text, count] : counts) sample(static_cast<double>(count), label, text);
  }
  void summary(std::string_view name, std::string_view help, const core::Measured& measured) {
    family(name, "summary", help);
    sample_of("_sum", measured.sum_s);
    sample_of("_count", static_cast<double>(measured.count));
  }
  void histogram(std::string_view name, std::string_view help, const Histogram& values) {
    family(name, "histogram", help);
    for (std::size_t i = 0; i < Histogram::kBounds.size(); ++i) {
      sample_of("_bucket", static_cast<double>(values.up_to(i)), "le", number(Histogram::kBounds[i]));
    }
    sample_of("_bucket", static_cast<double>(values.count()), "le", "+Inf");
    sample_of("_sum", values.sum());
    sample_of("_count", static_cast<double>(values.count()));
  }

  std::string take() { return std::move(out_); }

 private:
  std::string name_;
  std::string out_;
};

std::optional<double> as_double(std::optional<bool> flag) {
  return flag ? std::optional(*flag ? 1.0 : 0.0) : std::nullopt;
}

void add_supervision(Text& text, const Measures& measures) {
  const Status& status = measures.status;
  const core::State& state = status.state;
  text.family("trainer_supervisor_build_info", "gauge", "Always 1; the version is in the label.");
  text.sample(1.0, "version", kVersion);
  text.family("trainer_supervisor_state", "gauge", "1 for the state that the supervision is in, 0 for the others.");
  for (const core::Phase phase : kStates) {
    text.sample(state.phase == phase ? 1.0 : 0.0, "state", core::to_string(phase));
  }
  text.gauge("trainer_supervisor_desired_up", "Whether training is wanted (1) or was stopped as asked (0).",
             state.desired == core::Desired::up ? 1.0 : 0.0);
  text.gauge("trainer_supervisor_state_age_seconds", "How long it has been in this state.", status.state_for_s);
  text.gauge("trainer_supervisor_attempt", "Launches of the run so far.", static_cast<double>(state.attempt));
  text.family("trainer_restarts_total", "counter", "Unplanned ends of workers, by cause.");
  for (const core::Cause cause : kCauses) {
    const auto found = state.restarts.find(cause);
    const std::int64_t count = found == state.restarts.end() ? 0 : found->second;
    text.sample(static_cast<double>(count), "cause", core::to_string(cause));
  }
  text.gauge("trainer_incidents_in_a_row", "Unplanned ends without a new episode between them.",
             static_cast<double>(state.incidents));
}

void add_training(Text& text, const Measures& measures) {
  const Status& status = measures.status;
  const core::State& state = status.state;
  text.gauge("trainer_worker_up", "Whether a worker runs.", state.has_process() ? 1.0 : 0.0);
  if (state.has_process()) {
    text.gauge("trainer_worker_uptime_seconds", "How long the worker has run.", status.worker_uptime_s);
  }
  text.gauge("trainer_episode", "Episodes completed.", static_cast<double>(state.progress.episode));
  text.gauge("trainer_episode_goal", "Episodes to train.", static_cast<double>(status.total_episodes));
  text.gauge("trainer_episodes_per_second", "Episodes a second over the last half minute.", status.episodes_per_s);
  text.gauge("trainer_eta_seconds", "Time to the last episode at that rate.", status.eta_s);
  text.family("trainer_metric", "gauge", "Metrics of the newest episode, as the worker names them.");
  std::size_t series = 0;
  for (const auto& [name, value] : state.progress.metrics) {
    if (++series > kTrainingMetricsMax) break;
    if (name.size() <= kMetricNameMax) text.sample(value, "name", name);
  }
  text.gauge("trainer_heartbeat_age_seconds", "Since the worker was last heard of.", status.heartbeat_age_s);
  text.gauge("trainer_heartbeat_limit_seconds", "The longest silence of a running worker.",
             measures.status.heartbeat_limit_s);
  text.gauge("trainer_progress_age_seconds", "Since training last advanced.", measures.status.progress_age_s);
  text.gauge("trainer_progress_limit_seconds", "The longest time without progress, in the worker's phase.",
             measures.status.progress_limit_s);
}

void add_saving(Text& text, const Measures& measures) {
  const Status& status = measures.status;
  text.family("trainer_at_risk_episodes", "gauge",
              "Episodes that the end of the worker, or a power cut, would cost now.");
  text.sample(static_cast<double>(status.at_risk_memory()), "by", "worker_end");
  text.sample(static_cast<double>(status.at_risk_disk()), "by", "power_cut");
  text.gauge("trainer_at_risk_age_seconds", "Since the oldest episode that is not durable was completed; 0: all are.",
             measures.at_risk_age_s.value_or(0.0));
  if (status.checkpoint) {
    text.gauge("trainer_checkpoint_episode", "Episode of the newest durable checkpoint.",
               static_cast<double>(status.checkpoint->episode));
    text.gauge("trainer_checkpoint_age_seconds", "Age of the newest durable checkpoint.", status.checkpoint->age_s);
  }
  text.gauge("trainer_checkpoint_size_bytes", "Size of the newest durable checkpoint.", measures.checkpoint_bytes);
  text.histogram("trainer_checkpoint_stall_seconds", "How long training waited for each checkpoint.", measures.stall);
  text.histogram("trainer_checkpoint_durable_seconds", "From the request of each checkpoint until it was durable.",
                 measures.durable);
  text.gauge("trainer_disk_free_bytes", "Free space where the checkpoints are.", measures.disk_free_bytes);
  if (status.best) {
    text.family("trainer_best_value", "gauge", "The best value so far of the metric that decides.");
    text.sample(status.best->value, "name", status.best->metric);
    text.gauge("trainer_best_episode", "Episode of the best model.", static_cast<double>(status.best->episode));
  }
  text.gauge("trainer_exact", "Whether every resume so far was bit-exact.", as_double(status.exact));
  text.counters("trainer_rescues_total", "What became of the state that dead workers left in memory.", "outcome",
                measures.rescues);
}

void add_accounts(Text& text, const Measures& measures) {
  const core::Accounts& accounts = measures.status.accounts;
  text.gauge("trainer_goodput_ratio",
             "Share of the time in which training was wanted that went into episodes that count.",
             measures.status.goodput);
  text.gauge("trainer_good_seconds", "Time that went into episodes that count.", core::good_s(accounts));
  text.gauge("trainer_wanted_seconds", "Time in which training was wanted, since the run began here.",
             measures.wanted_s);
  text.counter("trainer_lost_episodes_total", "Episodes that were completed and had to be trained again.",
               static_cast<double>(accounts.lost_episodes));
  text.summary("trainer_incident_detection_seconds", "From the last sign of what was missed until it was noticed.",
               accounts.detection);
  text.summary("trainer_incident_relaunch_seconds", "From noticing an incident until the next worker ran.",
               accounts.relaunch);
  text.summary("trainer_incident_first_step_seconds", "From noticing an incident until training advanced again.",
               accounts.first_step);
}

void add_supervisor(Text& text, const Measures& measures) {
  text.counter("trainer_notify_datagrams_total", "Messages of workers that counted.",
               static_cast<double>(measures.datagrams_heard));
  text.counters("trainer_notify_dropped_datagrams_total", "Messages that were dropped.", "kind",
                measures.datagrams_dropped);
  text.counter("trainer_notify_stray_descriptors_total", "Descriptors that nobody asked for; they were closed.",
               static_cast<double>(measures.stray_descriptors));
  const ProcessMeasures& process = measures.process;
  text.gauge("process_resident_memory_bytes", "Resident memory of the supervisor.", process.resident_bytes);
  text.gauge("process_start_time_seconds", "When the supervisor started, since the epoch.", process.start_time_s);
  text.counter("process_cpu_seconds_total", "CPU time of the supervisor, user and system.", process.cpu_s);
  text.gauge("process_open_fds", "Open descriptors of the supervisor.", process.open_fds);
  text.gauge("process_max_fds", "How many it may have.", process.max_fds);
}

}  // namespace

void Histogram::observe(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0.0) return;
  const auto* bound = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  if (bound != kBounds.end()) ++counts_[static_cast<std::size_t>(bound - kBounds.begin())];
  ++count_;
  sum_ += seconds;
}

std::uint64_t Histogram::up_to(std::size_t i) const {
  std::uint64_t count = 0;
  for (std::size_t at = 0; at <= i; ++at) count += counts_[at];
  return count;
}

std::string to_prometheus(const Measures& measures) {
  Text text;
  add_supervision(text, measures);
  add_training(text, measures);
  add_saving(text, measures);
  add_accounts(text, measures);
  add_supervisor(text, measures);
  return text.take();
}

}  // namespace ts::api
