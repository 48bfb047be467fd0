#pragma once

#include <string>

namespace lockstep::comm {

/// The version of the NCCL library that is loaded, e.g. "2.28.9". Throws Error if it is not the one whose header the
/// project was built with.
std::string nccl_library_version();

}  // namespace lockstep::comm
