// Writes the supervisor's memory beside the loop: in order with everything else that the disk thread does, so that what
// a wish, a rescue or the leaving relies on is written before it; and nobody else waits for it.
//
// One save waits at most: what is asked for while one waits takes its place with what is newer. So a disk that hangs
// costs one save when it is back, and what is written early never tells of anything that comes behind it in the queue.
//
// A save that fails is said, once for each kind of failure until one succeeds.
// Ownership: the io_context and the disk thread outlive it, or are joined before it goes. Threading: the io_context's
// thread; `write` is called on the disk thread, `remember` and `say` on the io_context's.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "supervisor/shell/disk_worker.h"
#include "supervisor/shell/net.h"
#include "supervisor/shell/state_file.h"

namespace ts::shell {

class StateKeeper {
 public:
  struct Uses {
    std::function<Memory()> remember;                       // what is to be written, as of now
    std::function<Result<>(const Memory&, Durable)> write;  // save_memory, but for a test
    std::function<void(const std::string& sentence)> say;   // a warning
  };

  // `where`: the directory, for people.
  StateKeeper(asio::io_context& io, DiskWorker& disk, std::string where, Uses uses);

  // What is to become durable later does so a moment after this.
  void save(Durable durable);
  // Written, and durable, a moment after this.
  void save_soon();

  // The next supervisor is to have it, if the machine lives on: nobody syncs it.
  void keep() { enqueue(Durable::later); }

  // Calls this, later and once, when all that was asked for so far has been written, or has failed to be.
  void when_written(std::function<void(const std::string& failure)> done);

 private:
  struct Waiting {
    Memory memory;
    Durable durable = Durable::later;
  };

  void enqueue(Durable durable);
  void write_newest();
  void settled(std::uint64_t number, const std::string& failure);

  asio::io_context& io_;
  DiskWorker& disk_;
  std::string where_;
  Uses uses_;
  asio::steady_timer durable_soon_;
  bool is_due_soon_ = false;
  std::mutex mutex_;
  std::optional<Waiting> waiting_;  // guarded by the mutex; a job for it is queued
  std::uint64_t asked_ = 0;         // saves; also guarded
  std::deque<std::pair<std::uint64_t, std::function<void(const std::string&)>>> awaiting_;  // this save
  std::string failure_;  // said already, until a save succeeds
};

}  // namespace ts::shell
