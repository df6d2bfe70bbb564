// The real file system with a stop-watch: which call on which file took how long.
//
// Threading: any thread.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "bench/support/report.h"
#include "common/checkpoint/file_system.h"

namespace ts::bench {

class TimedFileSystem final : public checkpoint::FileSystem {
 public:
  struct Call {
    std::string name;  // of the function below
    std::string file;  // as it was opened or named
    Clock::time_point begun;
    Clock::time_point ended;
  };

  // What was called since the last time, in order.
  std::vector<Call> take_calls();

  int open(int directory, const std::string& name, int flags, mode_t mode) override;
  int close(int fd) override;
  std::int64_t write(int fd, const std::byte* data, std::size_t bytes) override;
  std::int64_t read(int fd, std::byte* data, std::size_t bytes) override;
  int fsync(int fd) override;
  int reserve(int fd, std::uint64_t bytes) override;
  std::int64_t size(int fd) override;
  std::int64_t free_bytes(int directory) override;
  int rename_new(int from_directory, const std::string& from, int to_directory, const std::string& to) override;
  int rename_over(int directory, const std::string& from, const std::string& to) override;
  int link(int from_directory, const std::string& from, int to_directory, const std::string& to) override;
  int unlink(int directory, const std::string& name) override;
  int make_directory(int directory, const std::string& name, mode_t mode) override;

 private:
  template <class Work>
  auto timed(const char* name, std::string file, Work&& work);
  std::string file_of(int fd);

  checkpoint::FileSystem& real_ = checkpoint::posix_file_system();
  std::mutex mutex_;                  // guards what follows
  std::map<int, std::string> files_;  // by descriptor; the last one opened under it
  std::vector<Call> calls_;
};

}  // namespace ts::bench
