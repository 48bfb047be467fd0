#pragma once

#include <string>
#include <utility>
#include <vector>

namespace lockstep::cli {

/// Returns Lockstep and the loaded libraries, each with its version. Throws Error if a library is not the one that
/// Lockstep was built with.
std::vector<std::pair<std::string, std::string>> library_versions();

}  // namespace lockstep::cli
