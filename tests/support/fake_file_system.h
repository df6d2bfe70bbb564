// The real file system with one fault in it: fails the n-th call, or every call from the n-th on, or lets the process
// die there. Loop n from 1 until the run makes fewer calls than n, and every error path has been walked.
//
// Nothing is really synced: no test outlives a power cut. What a power cut would leave is modelled by ShadowDisk
// (tests/unit/checkpoint/shadow_disk.h).
//
// Ownership: refers to the file system behind it; closes the files that a death left open. Threading: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "common/checkpoint/file_system.h"

namespace ts::checkpoint {

// Thrown through the code under test where the process would have died. No std::exception, so that nothing catches it.
struct ProcessDied {};

struct Fault {
  enum class Kind { none, error, short_write, death };
  enum class Calls { all, changes };  // changes: only calls that write, name, unname or sync something are counted

  Kind kind = Kind::none;
  Calls calls = Calls::all;
  int error = 0;          // an errno, for Kind::error
  std::size_t at = 1;     // the first such call is number 1
  bool for_ever = false;  // and every call after it
};

class FakeFileSystem final : public FileSystem {
 public:
  explicit FakeFileSystem(Fault fault = {}, FileSystem& real = posix_file_system()) : fault_(fault), real_(real) {}
  ~FakeFileSystem() override;
  FakeFileSystem(const FakeFileSystem&) = delete;
  FakeFileSystem& operator=(const FakeFileSystem&) = delete;

  // From now on this fault instead, counting from 1 again.
  void plan(const Fault& fault) {
    fault_ = fault;
    count_ = 0;
  }

  std::size_t counted_calls() const { return count_; }
  bool fired() const { return fired_; }

  // What no caller may do, whatever failed: sync a file again whose sync has failed.
  const std::vector<std::string>& violations() const { return violations_; }

  int open(int directory, const std::string& name, int flags, mode_t mode) override;
  int close(int fd) override;
  std::int64_t write(int fd, const std::byte* data, std::size_t bytes) override;
  std::int64_t read(int fd, std::byte* data, std::size_t bytes) override;
  int fsync(int fd) override;
  int reserve(int fd, std::uint64_t bytes) override;
  int resize(int fd, std::uint64_t bytes) override;
  std::int64_t size(int fd) override;
  std::int64_t free_bytes(int directory) override;
  int rename_new(int from_directory, const std::string& from, int to_directory, const std::string& to) override;
  int rename_over(int directory, const std::string& from, const std::string& to) override;
  int link(int from_directory, const std::string& from, int to_directory, const std::string& to) override;
  int unlink(int directory, const std::string& name) override;
  int make_directory(int directory, const std::string& name, mode_t mode) override;

 private:
  // Counts the call; whether the fault falls on it.
  bool strikes(bool changes_something);
  // 0, or the negative errno that the call is to return.
  int error_for(bool changes_something);

  Fault fault_;
  FileSystem& real_;
  std::size_t count_ = 0;
  bool fired_ = false;
  std::set<int> written_files_;  // open; the store closes these through the seam
  std::set<int> failed_syncs_;
  std::vector<std::string> violations_;
};

}  // namespace ts::checkpoint
