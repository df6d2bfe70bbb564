// Starts a program with nothing of ours: a process group of its own, default signals and none blocked, three
// descriptors and no other.
//
// By posix_spawn: a fork copies our page tables first, which takes longer than all the rest of a relaunch, and what a
// vfork's child may do is easily got wrong. The C library's child runs on a stack of its own with every signal blocked,
// and the error of its exec comes back as a value.
//
// Sources: posix_spawn(3), setpgid(2), close_range(2).
// Threading: any. The caller waits until the program runs, which may mean for a disk.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace ts::shell {

// The files that it begins with.
struct StandardFiles {
  int input = -1;
  int output = -1;  // what it prints, errors included
};

// 0, or errno. `arguments` begins with the name that it is told it has. `pid` stays as it is when it could not be
// started.
int start_program(const std::string& path, std::vector<std::string>& arguments, std::vector<std::string>& environment,
                  const StandardFiles& files, pid_t& pid);

}  // namespace ts::shell
