#pragma once

#include <string>

namespace lockstep::comm {

/// Returns the version of the NCCL library that is loaded, e.g. "2.28.9". Throws Error if it differs from the version
/// of the header that the project was built with.
std::string nccl_library_version();

}  // namespace lockstep::comm
