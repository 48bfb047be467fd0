#include "cli/versions.h"

#include <fmt/format.h>
#include <hdf5.h>
#include <torch/version.h>

#include "lockstep/comm/mpi/mpi_communicator.h"
#include "lockstep/comm/nccl/nccl_version.h"

namespace lockstep::cli {

std::vector<std::pair<std::string, std::string>> library_versions() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return {{"lockstep", LOCKSTEP_VERSION},
          {"LibTorch", TORCH_VERSION},
          {"MPI", comm::mpi_library_version()},
          {"NCCL", comm::nccl_library_version()},
          {"HDF5", fmt::format("{}.{}.{}", major, minor, release)}};
}

}  // namespace lockstep::cli
