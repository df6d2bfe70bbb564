#include "supervisor/shell/incident_recorder.h"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>

namespace ts::shell {
namespace {

constexpr std::chrono::milliseconds kGiveWay{100};

}  // namespace

IncidentRecorder::IncidentRecorder(asio::io_context& io, Children& children, IncidentBook book, OnEnded on_ended,
                                   OnTrouble on_trouble)
    : io_(io),
      book_(std::move(book)),
      on_ended_(std::move(on_ended)),
      on_trouble_(std::move(on_trouble)),
      gatherer_(&children) {
  asio::post(writer_, [this] { guarded([this] { book_.sweep(); }); });
}

void IncidentRecorder::end(std::function<void()> done) {
  stop_.request_stop();
  asio::post(writer_, std::move(done));
}

IncidentRecorder::~IncidentRecorder() {
  stop_.request_stop();
  writer_.join();
}

void IncidentRecorder::warn(const Error& error) {
  asio::post(io_, [tell = on_trouble_, why = error.message] { tell("This incident is not on record: " + why); });
}

// No record is worth the supervisor's end.
void IncidentRecorder::guarded(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::exception& error) {  // no memory, say
    warn(make_error(ErrorKind::unavailable, std::string(error.what()) + "."));
  }
}

void IncidentRecorder::begin(IncidentReport report, const EvidenceRequest& request,
                             std::chrono::system_clock::time_point when) {
  current_.reset();
  is_decided_ = false;
  where_.clear();
  auto begun = book_.begin(std::move(report), when);
  if (!begun) return warn(begun.error());
  current_ = std::move(begun->report);
  where_ = begun->folder.path().string();
  current_->evidence = gatherer_.gather(request, begun->folder, stop_.get_token());
  amend();
}

// The relaunch needs the disk more urgently.
void IncidentRecorder::give_way() {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  never.wait_for(lock, stop_.get_token(), kGiveWay, [] { return false; });
}

void IncidentRecorder::amend() {
  const auto amended = book_.amend(*current_);
  if (!amended) warn(amended.error());
}

void IncidentRecorder::investigate(IncidentReport report, EvidenceRequest request,
                                   std::function<void(std::string)> done) {
  const auto when = std::chrono::system_clock::now();
  asio::post(writer_, [this, report = std::move(report), request = std::move(request), done = std::move(done), when] {
    guarded([&] { begin(report, request, when); });
    asio::post(io_, [done, where = where_] { done(where); });
  });
}

void IncidentRecorder::ended(IncidentReport report, EvidenceRequest request) {
  const auto when = std::chrono::system_clock::now();
  asio::post(writer_, [this, report = std::move(report), request = std::move(request), when] {
    guarded([&] {
      give_way();
      const bool investigated = current_ && current_->attempt == report.attempt && !is_decided_;
      if (!investigated) {
        begin(report, request, when);
      } else {
        current_->cause = report.cause;
        current_->exit = report.exit;
        current_->decision = report.decision;
        amend();
      }
      is_decided_ = true;
    });
    asio::post(io_, [tell = on_ended_, report, where = where_] { tell(report, where); });
  });
}

void IncidentRecorder::left(std::int64_t attempt, const core::ExitStatus& exit) {
  asio::post(writer_, [this, attempt, exit] {
    guarded([&] {
      if (!current_ || current_->attempt != attempt || is_decided_) return;
      current_->exit = exit;
      current_->decision = "what was asked for meanwhile came first: a stop, or a start from elsewhere";
      amend();
    });
  });
}

void IncidentRecorder::relaunched(std::int64_t resumed_from, std::int64_t lost_episodes) {
  asio::post(writer_, [this, resumed_from, lost_episodes] {
    guarded([&] {
      if (!current_ || current_->resumed_from) return;
      current_->resumed_from = resumed_from;
      current_->lost_episodes = lost_episodes;
      amend();
    });
  });
}

void IncidentRecorder::recovered(std::optional<double> relaunch_s, double first_step_s) {
  asio::post(writer_, [this, relaunch_s, first_step_s] {
    guarded([&] {
      if (!current_ || !current_->resumed_from || current_->first_step_s) return;
      current_->relaunch_s = relaunch_s;
      current_->first_step_s = first_step_s;
      amend();
    });
  });
}

}  // namespace ts::shell
