#include "lockstep/comm/mpi_communicator.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <mpi.h>
#include <sched.h>
#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

namespace lockstep {
namespace {

// Throws what MPI says of a failed call; `call` is the expression's text.
void check_mpi(int status, const char* call) {
  if (status == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(status, text.data(), &length);
  throw Error(fmt::format("{}: {}", call, std::string_view(text.data(), static_cast<std::size_t>(length))));
}

#define MPI_CHECK(call) check_mpi((call), #call)

// One message stays below MPI's int counts whatever the tensor's size.
constexpr std::int64_t kMessageElements = std::int64_t{1} << 24;
constexpr std::size_t kMessageBytes = std::size_t{1} << 26;

void check_host_tensor(const at::Tensor& tensor, const char* function) {
  if (tensor.is_contiguous() && tensor.is_cpu()) return;
  throw Error(fmt::format("{}: expected a contiguous host tensor", function));
}

MPI_Datatype mpi_type(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return MPI_FLOAT;
    case at::kDouble:
      return MPI_DOUBLE;
    case at::kLong:
      return MPI_INT64_T;
    default:
      throw Error(
          fmt::format("all_reduce_sum: expected fp32, fp64 or int64, found {}", toString(tensor.scalar_type())));
  }
}

void finalise_mpi() {
  int finalised = 0;
  MPI_Finalized(&finalised);
  if (finalised == 0) MPI_Finalize();
}

void initialise_mpi() {
  int initialised = 0;
  MPI_CHECK(MPI_Initialized(&initialised));
  if (initialised != 0) return;
  int provided = 0;
  MPI_CHECK(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided));
  MPI_CHECK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  std::atexit(finalise_mpi);
}

// The cores that the ranks of this node may use, shared out evenly: right for ranks that are bound to cores of their
// own and for ranks that all may use every core.
int share_of_cores() {
  MPI_Comm node = MPI_COMM_NULL;
  MPI_CHECK(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node));
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (::sched_getaffinity(0, sizeof cores, &cores) != 0) CPU_SET(0, &cores);
  MPI_CHECK(MPI_Allreduce(MPI_IN_PLACE, &cores, sizeof cores, MPI_BYTE, MPI_BOR, node));
  int node_ranks = 1;
  MPI_CHECK(MPI_Comm_size(node, &node_ranks));
  MPI_CHECK(MPI_Comm_free(&node));
  return std::max(1, CPU_COUNT(&cores) / node_ranks);
}

}  // namespace

bool launched_by_mpi() {
  // Open MPI's mpirun; MPICH's and Intel's; srun --mpi=pmix and pmi2.
  constexpr std::array kLauncherVariables = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMI_RANK", "PMIX_RANK"};
  return std::any_of(kLauncherVariables.begin(), kLauncherVariables.end(),
                     [](const char* name) { return std::getenv(name) != nullptr; });
}

MpiCommunicator::MpiCommunicator() {
  initialise_mpi();
  MPI_CHECK(MPI_Comm_rank(MPI_COMM_WORLD, &rank_));
  MPI_CHECK(MPI_Comm_size(MPI_COMM_WORLD, &world_size_));
  cores_per_rank_ = share_of_cores();
}

void MpiCommunicator::all_reduce_sum(at::Tensor tensor) {
  check_host_tensor(tensor, "all_reduce_sum");
  const MPI_Datatype type = mpi_type(tensor);
  const at::Tensor flat = tensor.view(-1);
  for (std::int64_t begin = 0; begin < flat.numel(); begin += kMessageElements) {
    const std::int64_t count = std::min(kMessageElements, flat.numel() - begin);
    MPI_CHECK(MPI_Allreduce(MPI_IN_PLACE, flat.narrow(0, begin, count).data_ptr(), static_cast<int>(count), type,
                            MPI_SUM, MPI_COMM_WORLD));
  }
}

void MpiCommunicator::broadcast_from_root(at::Tensor tensor) {
  check_host_tensor(tensor, "broadcast_from_root");
  auto* bytes = static_cast<char*>(tensor.data_ptr());
  for (std::size_t begin = 0; begin < tensor.nbytes(); begin += kMessageBytes) {
    const std::size_t count = std::min(kMessageBytes, tensor.nbytes() - begin);
    MPI_CHECK(MPI_Bcast(bytes + begin, static_cast<int>(count), MPI_BYTE, 0, MPI_COMM_WORLD));
  }
}

void MpiCommunicator::barrier() { MPI_CHECK(MPI_Barrier(MPI_COMM_WORLD)); }

void MpiCommunicator::abort(int exit_code) {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::abort();
}

std::string mpi_library_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  const std::string_view version(text.data(), static_cast<std::size_t>(length));
  return std::string(version.substr(0, version.find_first_of(",\n")));
}

}  // namespace lockstep
