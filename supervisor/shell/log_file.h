// supervisor.log, written on a thread of its own: a log line must never make the loop wait for a disk.
//
// Lines wait in a bounded queue. Each is written and handed to the kernel as soon as the disk takes it, so the death of
// this process costs no more than was logged in its last moment. When the disk takes none and the queue is full, the
// oldest are dropped; that is said at once, and how many are missing stands in the file where they would be.
//
// Sources: spdlog 1.10, sinks/sink.h (its own asynchronous logger would take the console's lines along).
// Ownership: owns the file and the thread; destroying it waits until all is written. Threading: log and end from any
// thread; `say` is called on any. Errors: a line that cannot be written is lost, which is said once for each kind of
// failure until one is written.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include <spdlog/details/log_msg_buffer.h>
#include <spdlog/sinks/sink.h>

namespace ts::shell {

class LogFile final : public spdlog::sinks::sink {
 public:
  using Say = std::function<void(const std::string& sentence)>;

  static constexpr std::size_t kLinesMax = 4096;  // that wait

  // `file`: where the lines go, which may wait for a disk and throw; `name`: what people know it as.
  LogFile(std::shared_ptr<spdlog::sinks::sink> file, std::string name, Say say);
  ~LogFile() override;

  void log(const spdlog::details::log_msg& line) override;
  void flush() override {}  // done by the thread, whenever it has caught up
  // A line looks as the file was told when it was opened.
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

  const std::string& name() const { return name_; }
  // Calls `done`, on the writing thread, when every line that was logged before is with the kernel or is lost.
  void end(std::function<void()> done);

 private:
  // Either a line, or somebody who waits for those before it.
  struct Entry {
    std::optional<spdlog::details::log_msg_buffer> line;
    std::function<void()> done;
  };

  void run();
  void write(const std::deque<Entry>& entries, std::uint64_t dropped);
  bool attempt(const std::function<void()>& writing);

  std::shared_ptr<spdlog::sinks::sink> file_;  // the thread's alone
  std::string name_;
  Say say_;
  std::string failure_;  // the thread's alone: what was said last, until lines are written without trouble

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::deque<Entry> queue_;
  std::size_t lines_ = 0;
  std::uint64_t dropped_ = 0;  // since the thread last took the queue
  bool leaving_ = false;
  std::thread thread_;
};

}  // namespace ts::shell
