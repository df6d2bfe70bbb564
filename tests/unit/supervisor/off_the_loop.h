// A loop and a disk thread beside it, and a disk that hangs.
#pragma once

#include <chrono>
#include <functional>
#include <latch>
#include <memory>

#include <gtest/gtest.h>

#include "supervisor/shell/disk_worker.h"
#include "supervisor/shell/net.h"

namespace ts::shell {

using namespace std::chrono_literals;

// A disk that does not answer until it is told to.
class HungDisk {
 public:
  explicit HungDisk(DiskWorker& disk) {
    disk.post("hanging", [state = state_] {
      state->hangs.count_down();
      state->answers.wait();
    });
    state_->hangs.wait();
  }
  ~HungDisk() { answer(); }
  void answer() {
    if (!state_->answers.try_wait()) state_->answers.count_down();
  }

 private:
  struct State {
    std::latch hangs{1};
    std::latch answers{1};
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

class OffTheLoop : public testing::Test {
 protected:
  // Runs the loop until all that was posted to the disk by now has come back.
  void settle() {
    bool settled = false;
    disk_.post("settling", [&] { asio::post(io_, [&] { settled = true; }); });
    run_until([&] { return settled; });
    // What the loop has posted in its last turn is done too, and may be looked at.
    const auto rests = std::make_shared<std::latch>(1);
    disk_.post("settling", [rests] { rests->count_down(); });
    rests->wait();
  }
  void run_until(const std::function<bool()>& holds) {
    io_.restart();
    const auto until = std::chrono::steady_clock::now() + 30s;
    while (!holds() && std::chrono::steady_clock::now() < until) {
      io_.run_one_for(10ms);
      io_.restart();
    }
    ASSERT_TRUE(holds());
  }

  asio::io_context io_{1};
  DiskWorker disk_;
};

}  // namespace ts::shell
