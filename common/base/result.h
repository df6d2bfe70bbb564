// Errors as values.
//
// Every operation that can fail for a reason outside the program (a file, a message, a configuration) returns a
// Result. The Error inside is a finished sentence for a person: it names the thing, says what was wrong with it and,
// where there is something to do, what to do. Its kind is what a program decides on (the exit code, mostly).
//
// Threading: plain values.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include <boost/system/result.hpp>

namespace ts {

// What a program can decide on. common/protocol/exit_codes.h maps each kind to the exit code of the worker contract.
enum class ErrorKind {
  configuration,  // the configuration or the command line is wrong; trying again cannot help
  data,           // the market data cannot be used
  checkpoint,     // a checkpoint cannot be used
  cannot_write,   // the file system refused a write
  locked,         // another process holds what we need
  not_found,      // what was named does not exist
  unavailable,    // a read or a system call failed; the same thing may work later
  internal,       // a bug, or a non-finite loss
};

struct Error {
  ErrorKind kind = ErrorKind::internal;
  std::string message;
};

// What Result::value() throws when there is only an error: using a result unchecked is a bug, so this reaches nobody
// but the programmer.
class UncheckedResult : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] inline void throw_exception_from_error(const Error& error, const boost::source_location&) {
  throw UncheckedResult(error.message);
}

template <class T = void>
using Result = boost::system::result<T, Error>;

inline Error make_error(ErrorKind kind, std::string message) {
  return Error{kind, std::move(message)};
}

}  // namespace ts
