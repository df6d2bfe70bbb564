#include "supervisor/shell/log_file.h"

#include <algorithm>
#include <exception>
#include <utility>

#include <spdlog/details/log_msg.h>

#include "common/base/block_signals.h"
#include "supervisor/shell/background.h"

namespace ts::shell {

LogFile::LogFile(std::shared_ptr<spdlog::sinks::sink> file, std::string name, Say say)
    : file_(std::move(file)), name_(std::move(name)), say_(std::move(say)), thread_([this] { run(); }) {}

LogFile::~LogFile() {
  {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void LogFile::log(const spdlog::details::log_msg& line) {
  bool begins_to_drop = false;
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({spdlog::details::log_msg_buffer(line), nullptr});
    if (++lines_ > kLinesMax) {
      const auto oldest = std::find_if(queue_.begin(), queue_.end(), [](const Entry& entry) { return entry.line; });
      queue_.erase(oldest);
      --lines_;
      begins_to_drop = ++dropped_ == 1;
    }
  }
  wake_.notify_one();
  if (begins_to_drop) say_(name_ + " has taken no line for long; the oldest of those that wait are dropped.");
}

void LogFile::end(std::function<void()> done) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({std::nullopt, std::move(done)});
  }
  wake_.notify_one();
}

void LogFile::run() {
  stay_in_the_background();
  block_signals_in_this_thread();
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return leaving_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const std::deque<Entry> entries = std::exchange(queue_, {});
    const std::uint64_t dropped = std::exchange(dropped_, 0);
    lines_ = 0;
    lock.unlock();
    write(entries, dropped);
    lock.lock();
  }
}

void LogFile::write(const std::deque<Entry>& entries, std::uint64_t dropped) {
  bool wrote = dropped > 0;
  bool worked = true;
  if (wrote) {
    const std::string text = std::to_string(dropped) + " lines are missing here: the disk took none for too long.";
    worked = attempt([&] { file_->log(spdlog::details::log_msg("supervisor", spdlog::level::warn, text)); });
  }
  for (const Entry& entry : entries) {
    if (!entry.line) continue;
    wrote = true;
    worked = attempt([&] { file_->log(*entry.line); }) && worked;
  }
  worked = attempt([&] { file_->flush(); }) && worked;
  if (wrote && worked) failure_.clear();
  for (const Entry& entry : entries) {
    if (entry.done) entry.done();
  }
}

bool LogFile::attempt(const std::function<void()>& writing) {
  std::string failure;
  try {
    writing();
    return true;
  } catch (const std::exception& error) {  // a full disk must not stop supervision
    failure = error.what();
  }
  if (failure != failure_) say_(failure);
  failure_ = std::move(failure);
  return false;
}

}  // namespace ts::shell
