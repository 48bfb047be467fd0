#pragma once

#include <stdexcept>
#include <string>

namespace lockstep::core {

/// Reports anything that stops a run. The message says where it happened, what was expected, what was found, and the
/// remedy.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Reports a mistake in what the user provided: a job file, a dataset, a model folder, an argument.
class InputError : public Error {
 public:
  using Error::Error;
};

/// Reports that the operating system refused an operation on `path`; `error_number` is the errno. Throws InputError if
/// the path itself is at fault (missing, not permitted), Error otherwise.
[[noreturn]] void throw_system_error(const std::string& operation, const std::string& path, int error_number);

}  // namespace lockstep::core

namespace lockstep {
using core::Error;
using core::InputError;
}  // namespace lockstep
