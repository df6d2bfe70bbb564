// The thread that waits for disks in the loop's stead: jobs are done one at a time, in the order in which they came.
//
// Ownership: owns its thread; destroying it waits for every job, so whoever cannot wait for a disk that hangs ends the
// process instead (leaving.h). Threading: post and doing from any thread. Errors: a job must not throw.
#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "common/base/block_signals.h"
#include "supervisor/shell/net.h"

namespace ts::shell {

class DiskWorker {
 public:
  DiskWorker() { asio::post(thread_, block_signals_in_this_thread); }
  ~DiskWorker() { thread_.join(); }
  DiskWorker(const DiskWorker&) = delete;
  DiskWorker& operator=(const DiskWorker&) = delete;

  // For a coroutine that goes on on this thread for a while, and names what it does there.
  auto executor() { return thread_.get_executor(); }
  template <class Job>
  auto named(std::string what, const Job& job) {
    const Naming naming(*this, std::move(what));
    return job();
  }

  // `what`: a clause for people that names the directory, "writing state.json in /srv/models/.supervisor".
  void post(std::string what, std::function<void()> job) {
    asio::post(thread_, [this, what = std::move(what), job = std::move(job)] { named(what, job); });
  }

  // What is being done just now; empty when nothing is.
  std::string doing() const {
    const std::lock_guard lock(mutex_);
    return doing_;
  }

 private:
  struct Naming {
    DiskWorker& worker;
    Naming(DiskWorker& of, std::string what) : worker(of) { worker.set(std::move(what)); }
    ~Naming() { worker.set({}); }
    Naming(const Naming&) = delete;
    Naming& operator=(const Naming&) = delete;
  };

  void set(std::string what) {
    const std::lock_guard lock(mutex_);
    doing_ = std::move(what);
  }

  mutable std::mutex mutex_;
  std::string doing_;
  asio::thread_pool thread_{1};
};

}  // namespace ts::shell
