// The last step of a daemon that leaves: what other threads are still at is waited for by events, so that the loop goes
// on answering, and whoever waits for us is told when it takes long.
//
// Ownership: the io_context outlives it. Threading: the io_context's thread. Errors: none; a disk that never answers
// keeps it waiting for ever, until its owner leaves without it.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "supervisor/shell/net.h"

namespace ts::shell {

class Leaving {
 public:
  // Somebody who is waited for.
  struct Part {
    std::function<std::string()> doing;  // a clause for people that names the directory
    std::function<void(std::function<void()>)>
        end;  // asked once; calls what it is given, on any thread, when it is done
  };

  // Begins at once. `gone` is called when all parts are done, never from within this.
  Leaving(asio::io_context& io, std::vector<Part> parts, std::function<void(const std::string&)> say,
          std::function<void()> gone, std::chrono::milliseconds patience = std::chrono::seconds{3});

  // "writing state.json in models/.supervisor; …": what is not done yet.
  std::string awaited() const;
  // It has told what it waits for.
  bool has_said() const { return has_said_; }

 private:
  void done(std::size_t part);
  void say_later();

  asio::io_context& io_;
  std::vector<Part> parts_;
  std::vector<bool> done_;
  std::size_t left_;
  std::function<void(const std::string&)> say_;
  std::function<void()> gone_;
  std::chrono::milliseconds patience_;
  asio::steady_timer timer_;
  bool has_said_ = false;
};

}  // namespace ts::shell
