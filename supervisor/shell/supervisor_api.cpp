// What the control API and the foreground ask of the supervisor.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/json/value.hpp>

#include "common/base/text.h"
#include "supervisor/api/incidents.h"
#include "supervisor/core/progress_limits.h"
#include "supervisor/shell/http_token.h"
#include "supervisor/shell/supervisor.h"

namespace ts::shell {
namespace {

double seconds(core::Instant span) {
  return std::chrono::duration<double>(span).count();
}

constexpr long kOutputReadsMax = 64;               // that wait for the disk
constexpr std::chrono::seconds kDiskPatience{20};  // less than that of whoever asks
constexpr std::chrono::seconds kWishPatience{3};   // it is carried out meanwhile

// An answer on its way from the disk. Only the io_context's thread holds it.
template <class T>
struct Awaited {
  Awaited(asio::io_context& io, std::chrono::seconds patience) : timer(io, patience) {}

  asio::steady_timer timer;
  std::optional<Result<T>> answer;
};

// Reads there, and comes back here; `what`: a clause for people, "reading worker.log".
template <class T>
asio::awaitable<Result<T>> read_elsewhere(DiskWorker& there, asio::io_context& here, std::string what,
                                          std::function<Result<T>()> read) {
  const auto awaited = std::make_shared<Awaited<T>>(here, kDiskPatience);
  there.post(what, [&here, what, read = std::move(read), weak = std::weak_ptr(awaited)] {
    Result<T> answer = [&]() -> Result<T> {
      try {
        return read();
      } catch (const std::exception& error) {  // no memory, say
        return make_error(ErrorKind::unavailable, what + " failed: " + error.what() + ".");
      }
    }();
    asio::post(here, [weak, answer = std::move(answer)]() mutable {
      const auto waiting = weak.lock();
      if (!waiting) return;
      waiting->answer = std::move(answer);
      waiting->timer.cancel();
    });
  });
  co_await awaited->timer.async_wait(asio::as_tuple(asio::use_awaitable));
  if (awaited->answer) co_return std::move(*awaited->answer);
  co_return make_error(ErrorKind::unavailable, "The disk does not answer: " + what + " has taken too long.");
}

}  // namespace

api::Status Supervisor::view() const {
  api::Status status;
  const core::Instant moment = now();
  status.supervisor_pid = ::getpid();
  status.run_id = run_id_;
  status.state = state_;
  status.state_for_s = seconds(moment - state_.since);
  if (state_.deadline) status.deadline_in_s = std::max(0.0, seconds(*state_.deadline - moment));
  if (worker_) status.worker_uptime_s = seconds(moment - spawned_);
  if (worker_ && last_beat_) status.heartbeat_age_s = seconds(moment - *last_beat_);
  if (policy_.heartbeat_timeout > core::Duration::zero()) status.heartbeat_limit_s = seconds(policy_.heartbeat_timeout);
  if (state_.phase == core::Phase::running && state_.clocks.progress.due) {
    status.progress_age_s = seconds(moment - state_.clocks.progressed);
    const auto phase = state_.progress.phase.value_or(protocol::Phase::train);
    const auto limit = core::progress_limit(state_.learned, phase, policy_);
    if (limit) status.progress_limit_s = seconds(*limit);
  }
  status.resumed_why = launched_for_;
  status.total_episodes = state_.progress.total > 0 ? state_.progress.total : policy_.total_episodes;
  if (worker_) status.episodes_per_s = rate_.per_second();
  const auto left = static_cast<double>(status.total_episodes - state_.progress.episode);
  if (status.episodes_per_s && *status.episodes_per_s > 0.0) status.eta_s = left / *status.episodes_per_s;
  if (facts_.newest) {
    const auto age = std::chrono::system_clock::now() - facts_.newest->written;
    const checkpoint::Sidecar& sidecar = facts_.newest->sidecar;
    status.checkpoint = {sidecar.episode, facts_.newest->path,
                         std::max(0.0, std::chrono::duration<double>(age).count()), sidecar.stall_ms,
                         sidecar.durable_ms};
  }
  if (facts_.best) {
    const std::string& metric = config_->checkpoints.best_metric;
    const auto* value = facts_.best->sidecar.metrics.if_contains(metric);
    if (value != nullptr && value->is_number()) {
      status.best = {facts_.best->sidecar.episode, metric, value->to_number<double>(), facts_.best->path};
    }
  }
  status.exact = exact_;
  status.goodput = core::goodput(accounts_, moment);
  status.accounts = accounts_;
  return status;
}

// Training does not depend on it: what goes wrong here is told, and it goes on without.
void Supervisor::listen_on_tcp() {
  const std::string& address = config_->http.listen;
  if (address.empty()) return;
  auto token = load_http_token(*state_directory_);
  if (!token) {
    tell(api::EventType::trouble, api::EventLevel::warn,
         "Nobody may do more than look over TCP: " + token.error().message);
  }
  const auto listening = server_->listen_on_tcp(address, token ? std::move(*token) : std::string());
  if (!listening) {
    tell(api::EventType::trouble, api::EventLevel::warn,
         "The control API is not served over TCP: " + listening.error().message +
             " It is tried again when the supervisor is started again.");
  }
}

boost::json::object Supervisor::status() {
  return api::to_json(view());
}

Result<> Supervisor::refuse_if_leaving() const {
  if (!state_.shutting_down && !leave_) return {};
  return make_error(ErrorKind::locked, "The supervisor is leaving; start it again instead.");
}

Result<std::string> Supervisor::start(const api::Peer& peer) {
  if (const auto refused = refuse_if_leaving(); !refused) return refuse(peer, "start", refused.error());
  tell_request(peer, "start");
  if (state_.phase == core::Phase::running || state_.phase == core::Phase::starting) {
    return std::string("It is ") + std::string(core::to_string(state_.phase)) + " already.";
  }
  post(core::StartRequested{true});
  return state_.phase == core::Phase::finished ? "Nothing to start: " + state_.reason + "." : "Starting.";
}

Result<std::string> Supervisor::stop(const api::Peer& peer) {
  tell_request(peer, "stop");
  if (leave_) return std::string("Stopped; the supervisor is leaving.");
  post(core::StopRequested{});
  if (state_.ending) return std::string("Stopping: what the worker left in memory is being saved.");
  return std::string(state_.has_process() ? "Stopping: the worker is saving its state." : "Stopped.");
}

// SIGUSR1 ends whoever does not expect it.
Result<std::string> Supervisor::checkpoint(const api::Peer& peer) {
  if (const auto refused = refuse_if_leaving(); !refused) return refuse(peer, "checkpoint", refused.error());
  if (!worker_ || state_.phase != core::Phase::running) {
    return refuse(
        peer, "checkpoint",
        make_error(ErrorKind::locked, "No worker is training that could save; " + api::summary(state_) + "."));
  }
  if (!worker_->ask_to_save()) {
    return refuse(peer, "checkpoint",
                  make_error(ErrorKind::locked, "Process " + std::to_string(worker_->pid()) +
                                                    " does not catch SIGUSR1, which asks a worker to save now; it "
                                                    "would end it. Nothing was done."));
  }
  tell_request(peer, "checkpoint");
  return std::string("Asked the worker to save now.");
}

// What is promised here outlives us: it is on disk before it is answered, or the answer says that it is not. REQUIRES:
// its save has been asked for.
asio::awaitable<std::string> Supervisor::keep_wish(std::string sentence) {
  const auto awaited = std::make_shared<Awaited<std::string>>(io_, kWishPatience);
  keeper_->when_written([weak = std::weak_ptr(awaited)](const std::string& failure) {
    const auto waiting = weak.lock();
    if (!waiting) return;
    waiting->answer = failure;
    waiting->timer.cancel();
  });
  co_await awaited->timer.async_wait(asio::as_tuple(asio::use_awaitable));
  const std::string trouble =
      awaited->answer ? **awaited->answer : "The disk does not answer: writing state.json in " + state_path_ + ".";
  if (!trouble.empty()) sentence += " A supervisor that is killed now forgets it, since it is not on disk: " + trouble;
  co_return sentence;
}

asio::awaitable<Result<std::string>> Supervisor::fresh(const api::Peer& peer) {
  if (const auto refused = refuse_if_leaving(); !refused) co_return refuse(peer, "fresh", refused.error());
  tell_request(peer, "fresh");
  post(core::RestartRequested{{core::LaunchFrom::Kind::fresh, {}}});
  std::string sentence = "Starting over; the checkpoints there are will be set aside, not deleted.";
  auto kept = co_await keep_wish(std::move(sentence));
  co_return kept;
}

asio::awaitable<Result<std::string>> Supervisor::restart(const api::Peer& peer, std::optional<std::string> from) {
  const std::string verb = from ? "restart --from " + escape_control(*from) : "restart";
  if (const auto refused = refuse_if_leaving(); !refused) co_return refuse(peer, verb, refused.error());
  if (!from) {
    tell_request(peer, verb);
    post(core::RestartRequested{});
    co_return std::string("Restarting from the newest checkpoint.");
  }
  const std::string selector = *from;
  const std::string run_id = run_id_;
  const auto config = config_;
  const auto what = "verifying a checkpoint in " + config->checkpoints.directory.string();
  co_await asio::post(asio::bind_executor(disk_.executor(), asio::use_awaitable));
  const auto target = disk_.named(what, [&]() -> Result<GoBackTarget> {
    try {
      return check_selector(selector, run_id, *config);
    } catch (const std::exception& error) {  // no memory, say
      return make_error(ErrorKind::unavailable, "could not look at " + escape_control(selector) + ": " + error.what() +
                                                    ". Nothing was changed.");
    }
  });
  co_await asio::post(asio::bind_executor(io_, asio::use_awaitable));
  if (!target) co_return refuse(peer, verb, target.error());
  if (const auto refused = refuse_if_leaving(); !refused) co_return refuse(peer, verb, refused.error());
  tell_request(peer, verb);
  post(core::RestartRequested{{core::LaunchFrom::Kind::selector, target->selector}});
  std::string sentence = "Restarting from " + target->name + "; newer checkpoints will be set aside, not deleted.";
  auto kept = co_await keep_wish(std::move(sentence));
  co_return kept;
}

asio::awaitable<Result<boost::json::object>> Supervisor::incidents(std::size_t limit) {
  const auto directory = config::resolved_state_directory(*config_);
  return read_elsewhere<boost::json::object>(disk_, io_, "reading the incidents in " + directory.string(),
                                             [directory, limit] { return api::incidents_document(directory, limit); });
}

asio::awaitable<Result<boost::json::object>> Supervisor::incident(std::string selector) {
  const auto directory = config::resolved_state_directory(*config_);
  return read_elsewhere<boost::json::object>(
      disk_, io_, "reading the incidents in " + directory.string(),
      [directory, selector] { return api::incident_document(directory, selector); });
}

asio::awaitable<Result<api::OutputPage>> Supervisor::newest_output(std::size_t limit) {
  return read_output([file = worker_log(), limit] { return api::newest_output(file, limit); });
}

asio::awaitable<Result<api::OutputPage>> Supervisor::output_after(api::OutputPlace since) {
  return read_output([file = worker_log(), since] { return api::output_after(file, since); });
}

// Whoever asks again and again while a disk hangs must not fill the memory.
asio::awaitable<Result<api::OutputPage>> Supervisor::read_output(std::function<Result<api::OutputPage>()> read) {
  const std::string what = "reading " + worker_log().string();
  if (output_reads_.use_count() > kOutputReadsMax) {
    co_return make_error(ErrorKind::unavailable, "The disk does not answer: " + what + " takes long.");
  }
  // (No temporary in what is awaited: GCC 12 destroys those twice.)
  std::function<Result<api::OutputPage>()> counted = [count = output_reads_, read = std::move(read)] { return read(); };
  auto page = co_await read_elsewhere<api::OutputPage>(log_reader_, io_, what, counted);
  co_return page;
}

}  // namespace ts::shell
