// The command line of supervisorctl: one table of verbs, from which the parser, --help, the manual page and the
// completions are made.
//
// Threading: for the program's one thread. Errors: an exit status, with a sentence on standard error.
#pragma once

#include <span>

#include <CLI/CLI.hpp>

#include "supervisor/ctl/arguments.h"

namespace ts::ctl {

struct Verb {
  const char* name;                        // "checkpoints show": of the verb before the blank
  const char* help;                        // its first line is what lists show
  const char* example;                     // a whole command line, or several
  void (*options)(CLI::App&, Arguments&);  // what it takes; null: nothing
  Exit (*run)(const Arguments&);           // null: it is nothing without one of its verbs
};

// Parents before their children.
std::span<const Verb> verbs();

// Parses and does what is asked. Returns the exit status.
int run_command_line(int argc, const char* const* argv);

}  // namespace ts::ctl
