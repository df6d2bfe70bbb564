#include "supervisor/shell/state_keeper.h"

#include <chrono>
#include <exception>
#include <utility>

namespace ts::shell {
namespace {

constexpr std::chrono::milliseconds kDurableSoon{200};

}  // namespace

StateKeeper::StateKeeper(asio::io_context& io, DiskWorker& disk, std::string where, Uses uses)
    : io_(io), disk_(disk), where_(std::move(where)), uses_(std::move(uses)), durable_soon_(io) {}

void StateKeeper::save(Durable durable) {
  enqueue(durable);
  // Nobody waits for a sync between a crash and a relaunch: it is made up for when that is done.
  if (durable == Durable::later) return save_soon();
  durable_soon_.cancel();
  is_due_soon_ = false;
}

void StateKeeper::save_soon() {
  if (std::exchange(is_due_soon_, true)) return;
  durable_soon_.expires_after(kDurableSoon);
  durable_soon_.async_wait([this](const boost::system::error_code& error) {
    if (error || !std::exchange(is_due_soon_, false)) return;
    enqueue(Durable::now);
  });
}

void StateKeeper::enqueue(Durable durable) {
  Memory memory = uses_.remember();
  {
    const std::lock_guard lock(mutex_);
    ++asked_;
    if (waiting_) {
      waiting_->memory = std::move(memory);
      if (durable == Durable::now) waiting_->durable = Durable::now;
      return;
    }
    waiting_ = Waiting{std::move(memory), durable};
  }
  disk_.post("writing state.json in " + where_, [this] { write_newest(); });
}

void StateKeeper::write_newest() {
  std::string failure;
  std::uint64_t number = 0;
  try {
    std::optional<Waiting> newest;
    {
      const std::lock_guard lock(mutex_);
      newest = std::exchange(waiting_, std::nullopt);
      number = asked_;
    }
    const auto saved = uses_.write(newest->memory, newest->durable);
    if (!saved) failure = saved.error().message;
  } catch (const std::exception& error) {  // no memory, say
    failure = std::string(error.what()) + ".";
  }
  asio::post(io_, [this, number, failure] { settled(number, failure); });
}

void StateKeeper::when_written(std::function<void(const std::string&)> done) {
  const std::lock_guard lock(mutex_);
  awaiting_.emplace_back(asked_, std::move(done));
}

void StateKeeper::settled(std::uint64_t number, const std::string& failure) {
  while (!awaiting_.empty() && awaiting_.front().first <= number) {
    const auto done = std::move(awaiting_.front().second);
    awaiting_.pop_front();
    done(failure);
  }
  if (failure == failure_) return;
  // The run's identity is in the sidecars too, so going on without this file loses history and no work.
  uses_.say(failure.empty() ? "The supervisor's own state is saved again."
                            : "The supervisor's own state was not saved: " + failure);
  failure_ = failure;
}

}  // namespace ts::shell
