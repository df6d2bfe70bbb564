// Runs a program of the system for what it prints or does (a debugger, a hook): bounded in time and size, whatever the
// program does.
//
// Not Boost.Process, since nothing asynchronous is wanted here: start_program is enough, with a given text or nothing
// as input and one pipe.
//
// When its time is up the whole group is killed, grandchildren included, and the program is reaped. One that does not
// even end then (it hangs in the kernel) is left and reaped at a later run or never: nobody waits for it.
//
// Sources: pidfd_open(2), waitid(2) (WNOWAIT), setpgid(2).
// Threading: one thread at a time. Ownership: refers to the registry of children, where one is given.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

namespace ts::shell {

struct ToolLimits {
  std::chrono::milliseconds deadline{10'000};
  std::size_t bytes_max = std::size_t{1} << 20;  // of output; a program that prints more is ended
};

struct ToolRun {
  std::string output;    // stdout and stderr together, as far as it came
  bool complete = true;  // it ended by itself, and what it printed was kept whole
  std::string trouble;   // one clause, empty for an exit status of 0: "ended with status 1", "was ended after 10s" …
};

// What a program is given besides its arguments. The environment is ours without what is meant for us alone.
struct ToolInput {
  std::string text{};                                               // on its standard input
  std::map<std::string, std::string> environment{{"LC_ALL", "C"}};  // messages in English, which evidence.cpp reads
};

class Children;

class ToolRunner {
 public:
  // `children`: of a process that reaps orphans, which must not reap what is waited for here.
  explicit ToolRunner(Children* children = nullptr) : children_(children) {}

  // `arguments` begins with the program's name. A request to stop ends it at once.
  ToolRun run(const std::vector<std::string>& arguments, const ToolLimits& limits, const std::stop_token& stop = {},
              const ToolInput& input = {});

  // Programs that outlived their killing and have not been reaped so far.
  std::size_t abandoned() const { return abandoned_.size(); }

 private:
  void reap_abandoned();
  void release(pid_t pid);

  Children* children_;
  std::vector<pid_t> abandoned_;
};

}  // namespace ts::shell
