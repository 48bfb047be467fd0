#pragma once

#include <string>
#include <utility>
#include <vector>

namespace lockstep::cli {

/// Lockstep and the libraries that are loaded, each with its version. Throws Error for a library that is not the one
/// which Lockstep was built with.
std::vector<std::pair<std::string, std::string>> library_versions();

}  // namespace lockstep::cli
