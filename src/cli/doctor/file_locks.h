#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "lockstep/comm/communicator.h"

namespace lockstep::cli {

/// The result of this rank's trial of file locks in a folder. An empty string means that they work; otherwise it says
/// why they do not.
struct FileLocks {
  std::string fcntl;  // used by HDF5 by default on some systems
  std::string flock;  // used by Lockstep's downloads and preparation
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(FileLocks, fcntl, flock)

/// Tries file locks in `folder`. Rank 0 locks new files, and every other rank that sees them must fail to lock them. A
/// rank that does not see them, because its host has another folder of that name, locks a file of its own. Removes all
/// files.
FileLocks try_file_locks(const std::filesystem::path& folder, Communicator& communicator);

}  // namespace lockstep::cli
