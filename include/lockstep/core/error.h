#pragma once

#include <stdexcept>
#include <string>

namespace lockstep::core {

/// Anything that stops a run. The message says where, what was expected, what was found, and the remedy.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Something that the user gave is wrong: a job file, a dataset, a model folder, an argument.
class InputError : public Error {
 public:
  using Error::Error;
};

/// The operating system refused an operation on `path`; `error_number` is its errno.
/// Throws Error, or InputError where the path itself is what is wrong (missing, not permitted).
[[noreturn]] void throw_system_error(const std::string& operation, const std::string& path, int error_number);

}  // namespace lockstep::core

namespace lockstep {
using core::Error;
using core::InputError;
}  // namespace lockstep
