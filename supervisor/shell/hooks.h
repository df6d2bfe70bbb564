// hooks.on_event: runs the configured program for events, each as one line of JSON on its standard input and in its
// environment (docs/OPERATING.md, "Hooks").
//
// Bounded in time (30 s, then its whole process group is killed) and number (hook_queue.h). What goes wrong is told,
// the same thing at most once a minute, and never runs a hook itself.
//
// Threading: the io_context's thread; the programs are waited for on two threads of its own, which are there only when
// a hook is configured, or has been. Ownership: the io_context and the children outlive it; its end kills what still
// runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "supervisor/api/event.h"
#include "supervisor/shell/children.h"
#include "supervisor/shell/hook_queue.h"
#include "supervisor/shell/net.h"
#include "supervisor/shell/tool_runner.h"

namespace ts::shell {

class Hooks {
 public:
  // A sentence on what went wrong, and more of it for programs.
  using OnTrouble = std::function<void(std::string, boost::json::object)>;

  // Without a command nothing is ever run.
  Hooks(asio::io_context& io, Children& children, std::vector<std::string> command, OnTrouble on_trouble);
  ~Hooks();
  Hooks(const Hooks&) = delete;
  Hooks& operator=(const Hooks&) = delete;

  // For the events that come, and those that wait.
  void replace(std::vector<std::string> command);

  void run(const api::Event& event);

  // `done` is called when nothing runs or waits any more, maybe at once.
  void finish(std::function<void()> done);

 private:
  void start_more();
  void ended(const api::Event& event, const std::string& program, const ToolRun& result);
  void tell_failure(const api::Event& event, const std::string& program, const ToolRun& result);

  asio::io_context& io_;
  Children& children_;
  std::vector<std::string> command_;
  OnTrouble on_trouble_;
  HookQueue queue_;
  std::function<void()> done_;
  std::string last_trouble_;
  std::chrono::steady_clock::time_point told_{};
  std::uint64_t untold_ = 0;  // the same trouble since
  std::stop_source stop_;
  std::optional<asio::thread_pool> threads_;
};

}  // namespace ts::shell
