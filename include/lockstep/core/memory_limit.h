#pragma once

#include <cstdint>
#include <filesystem>

namespace lockstep::core {

/// Returns the memory limit in bytes: the smaller of the host's physical memory and the limit of this process's control
/// group, read from `root`/proc and `root`/sys. Unlike free memory, it is the same at every start. Returns 0 if it is
/// unknown.
std::uint64_t memory_limit(const std::filesystem::path& root = "/");

}  // namespace lockstep::core
