#include "worker/session/save_schedule.h"

#include <algorithm>

namespace ts::session {
namespace {

using checkpoint::Episode;
using checkpoint::SaveReason;

constexpr std::chrono::seconds kPauseMax{60};
constexpr std::chrono::seconds kPauseMin{1};

}  // namespace

bool SaveSchedule::crosses(Episode from, Episode to) const {
  return to / policy_.frequency > from / policy_.frequency || (to >= policy_.total && from < policy_.total);
}

std::optional<SaveReason> SaveSchedule::due(Episode newest, Time now) const {
  if (newest <= taken_up_) return std::nullopt;
  if (requested_ > taken_up_) return SaveReason::request;
  const SaveReason planned = newest >= policy_.total ? SaveReason::final : SaveReason::schedule;
  if (crosses(std::max(taken_up_, refused_.value_or(taken_up_)), newest)) return planned;
  if (taken_up_ > durable_) return std::nullopt;
  if (refused_) return may_retry(now) ? std::optional(planned) : std::nullopt;
  const bool aged = policy_.interval > policy_.interval.zero() && now - last_durable_ >= policy_.interval;
  return aged ? std::optional(SaveReason::interval) : std::nullopt;
}

std::optional<SaveSchedule::Time> SaveSchedule::next_change(Episode newest) const {
  if (newest <= taken_up_ || taken_up_ > durable_) return std::nullopt;
  if (refused_) return not_before_;
  if (policy_.interval > policy_.interval.zero()) return last_durable_ + policy_.interval;
  return std::nullopt;
}

void SaveSchedule::saved(Episode episode, Time now) {
  durable_ = std::max(durable_, episode);
  taken_up_ = std::max(taken_up_, durable_);
  last_durable_ = now;
  refused_.reset();
  pause_ = kPauseMin;
  not_before_ = {};
}

void SaveSchedule::refused(std::optional<Episode> episode, Time now) {
  if (episode) {
    refused_ = episode;
    requested_ = 0;
    if (taken_up_ == *episode) taken_up_ = durable_;
  }
  not_before_ = now + pause_;
  pause_ = std::min(pause_ * 2, kPauseMax);
}

}  // namespace ts::session
