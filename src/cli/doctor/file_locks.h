#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "lockstep/comm/communicator.h"

namespace lockstep::cli {

/// Whether locks of files in a folder hold, by this rank's trial. Empty: they do; else why not.
struct FileLocks {
  std::string fcntl;  // HDF5's by default on some systems
  std::string flock;  // that of Lockstep's downloads and preparations
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(FileLocks, fcntl, flock)

/// Rank 0 locks new files in `folder`, and every other rank that sees them must not get the locks; a rank on a host
/// with another folder of that name tries one of its own. Leaves nothing behind.
FileLocks try_file_locks(const std::filesystem::path& folder, Communicator& communicator);

}  // namespace lockstep::cli
