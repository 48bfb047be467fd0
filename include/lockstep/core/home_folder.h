#pragma once

#include <string>

namespace lockstep::core {

/// Returns `path` with "~" at its start replaced by the home folder ($HOME), as shells do for unquoted words. Throws
/// InputError for another user's home folder ("~name"), or if HOME is not set, so that no folder is ever called "~".
std::string expand_home(const std::string& path);

}  // namespace lockstep::core
