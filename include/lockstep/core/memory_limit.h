#pragma once

#include <cstdint>
#include <filesystem>

namespace lockstep::core {

/// The bytes of memory that all processes of this host may use together, or those of this process's control group, if
/// it allows less; as `root`/proc and `root`/sys tell. It is the same at every start, unlike what is free. 0: unknown.
std::uint64_t memory_limit(const std::filesystem::path& root = "/");

}  // namespace lockstep::core
