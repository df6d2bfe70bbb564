// supervisorctl doctor: whether this machine and this configuration are fit for a training run, finding by finding.
//
// Facts are gathered by doctor_facts.cpp (reads only, starts no program), judged here by pure functions, and rendered
// by pure functions. The `--json` format stands in docs/FORMATS.md.
//
// A disk or network file system that hangs must not hang the doctor: each group of checks runs in a child process, and
// what has not answered within its time is said and left behind (doctor.cpp).
//
// Sources: statfs(2), proc_pid_mountinfo(5), proc_locks(5), adjtimex(2), Linux Documentation/admin-guide
// (cgroup-v2.rst, ext4.rst, LSM/Yama.rst), systemd.unit(5).
// Threading: plain values and functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "common/config/config.h"

namespace ts::ctl::doctor {

enum class Level { ok, warning, problem };

struct Finding {
  std::string check;  // "models.space": programs depend on it
  Level level = Level::ok;
  std::string what;  // a sentence
  std::string todo;  // what to do about it; empty: nothing

  bool operator==(const Finding&) const = default;
};

using Findings = std::vector<Finding>;

// A directory, or where it will be made.
struct DirectoryFacts {
  std::string check;  // "models", "state", "logs": begins the names of its findings
  std::string path;
  bool exists = false;
  std::string trouble;    // why it cannot be looked at, or is no directory; empty: none
  bool writable = false;  // for us: it, or where it has to be made
  std::string owner;      // a name, or a number
  std::string user;       // us
  std::uint32_t mode = 0;
  std::string kind;     // of the file system, as /proc/self/mountinfo says: "ext4"
  std::string options;  // of the mount and the file system, with commas around each: ",rw,relatime,"
  std::uint64_t free_bytes = 0;
  std::uint64_t total_inodes = 0;  // 0: the file system counts none
  std::uint64_t free_inodes = 0;
};

struct SpaceFacts {
  std::uint64_t free_bytes = 0;
  std::optional<std::uint64_t> pair_bytes;  // of the newest checkpoint; nothing: there is none
  std::int64_t pairs = 0;                   // there are
  bool best = false;                        // there is a best model
  std::int64_t episodes_left = 0;
  std::optional<double> episodes_per_s;  // between the saves there are
};

// Who the lock file names, and who holds the lock.
struct LockFacts {
  std::string path;
  std::optional<std::int64_t> recorded;
  std::string program;                // that it says it is
  std::vector<std::int64_t> holders;  // processes that hold it
};

struct LeftoverFacts {
  std::string directory;
  std::uint64_t temporaries = 0;
  bool intent = false;  // a going back was begun and not ended
  std::uint64_t quarantine_bytes = 0;
  std::uint64_t quarantine_folders = 0;
  std::uint64_t superseded_bytes = 0;
  bool in_use = false;  // somebody holds the directory's lock
};

struct SupervisorFacts {
  enum class Answer { yes, no_socket, nobody, no_permission, no_answer };
  std::string socket;
  Answer answer = Answer::no_socket;
  std::string owner;  // of the socket
  std::uint32_t mode = 0;
  std::string why;  // it gave no answer
  std::string version;
  std::string own_version;
  std::string state;
  std::string reason;
};

struct MachineFacts {
  std::int64_t cpus = 1;            // that we may use
  std::optional<double> cpu_limit;  // of the control groups, in CPUs
  int threads = 1;                  // configured
  std::uint64_t memory_total = 0;
  std::uint64_t memory_available = 0;
  std::uint64_t swap_total = 0;
  std::optional<std::uint64_t> memory_limit;  // of the control groups
  int overcommit = 0;
  std::uint64_t snapshot_bytes = 0;  // of one buffer; 0: none, or not known
  bool clock_synchronized = false;
  std::int64_t year = 0;
  bool newest_in_future = false;
  bool debugger = false;
  std::optional<int> ptrace_scope;  // nothing: there is no Yama
};

struct WorkerFacts {
  std::string program;
  bool ours = true;  // no worker.command is configured
  bool found = false;
  bool executable = false;
  std::string data;  // the market data's file
  bool data_readable = false;
  std::string data_why;
  std::string blas;  // what libblas.so.3 resolves to; empty: there is none
  std::string device;
  bool gpu_device = false;  // /dev/nvidiactl
  bool systemd = false;     // it runs this machine
  bool unit_installed = false;
  bool unit_enabled = false;
};

// ---- judged. Pure.
Findings judge_directory(const DirectoryFacts& facts);
Finding judge_file_system(std::string_view check, std::string_view path, std::string_view kind,
                          std::string_view options);
Findings judge_space(const SpaceFacts& facts, const config::Config& config);
Finding judge_lock(const LockFacts& facts);
Findings judge_leftovers(const LeftoverFacts& facts);
Findings judge_supervisor(const SupervisorFacts& facts);
Findings judge_machine(const MachineFacts& facts);
Findings judge_worker(const WorkerFacts& facts);

// ---- told. Pure.
boost::json::object to_document(const Findings& findings);
std::optional<Finding> finding_from(const boost::json::object& object);
boost::json::object to_object(const Finding& finding);
std::string render(const Findings& findings);
bool has_problem(const Findings& findings);

// ---- gathered. Each blocks for as long as the disk does.
DirectoryFacts look_at_directory(std::string check, const std::filesystem::path& path);
SpaceFacts look_at_space(const config::Config& config);
LockFacts look_at_lock(const std::filesystem::path& directory, const std::string& name);
LeftoverFacts look_at_leftovers(const std::filesystem::path& models, bool in_use);
SupervisorFacts look_at_supervisor(const std::filesystem::path& socket);
MachineFacts look_at_machine(const config::Config& config);
WorkerFacts look_at_worker(const config::Config& config);

}  // namespace ts::ctl::doctor
