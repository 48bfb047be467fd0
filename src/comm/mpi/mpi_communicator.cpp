#include "lockstep/comm/mpi/mpi_communicator.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <mpi.h>
#include <sched.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <utility>

#include "comm/mpi/launcher_daemon.h"
#include "comm/mpi/mpi_check.h"
#include "comm/mpi/mpi_progress.h"
#include "comm/mpi/ring.h"
#include "lockstep/core/log.h"

namespace lockstep::comm {
namespace {

// Keeps a message within MPI's int counts, whatever the tensor's size.
constexpr std::int64_t kMessageElements = std::int64_t{1} << 24;
// Smaller sums use MPI's own algorithm of few messages instead of a ring of many.
constexpr std::size_t kRingBytes = std::size_t{1} << 16;
constexpr std::size_t kMessageBytes = std::size_t{1} << 26;
// Size of a ring's message, large compared with its overhead. Between nodes it is small enough for an MPI to send at
// once over TCP (Open MPI up to 64 KiB): the receiver's consent to a longer message would queue behind everything in
// the socket.
constexpr std::int64_t kPieceBytes = 48 << 10, kPieceBytesOnNode = 1 << 20;

// Tag of the message that says that its sender has ended the job; the greatest tag that every MPI supports.
constexpr int kLateTag = 32767;

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
  MPI_CHECK(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided));
  if (provided < MPI_THREAD_SERIALIZED) {
    throw Error(
        "MPI was built without thread support (MPI_THREAD_SERIALIZED), which moves messages while the model computes; "
        "load an MPI that has it");
  }
  MPI_CHECK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  std::atexit(finalise_mpi);
}

struct NodeInfo {
  int local_rank = 0;
  int cores = 1;  // for this rank
  int ranks = 1;
};

// Divides the cores that the ranks of this node may use evenly. This is right both for ranks that are bound to cores of
// their own and for ranks that may all use every core.
NodeInfo query_node() {
  MPI_Comm node = MPI_COMM_NULL;
  MPI_CHECK(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node));
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (::sched_getaffinity(0, sizeof cores, &cores) != 0) CPU_SET(0, &cores);
  MPI_CHECK(MPI_Allreduce(MPI_IN_PLACE, &cores, sizeof cores, MPI_BYTE, MPI_BOR, node));
  NodeInfo place;
  MPI_CHECK(MPI_Comm_rank(node, &place.local_rank));
  MPI_CHECK(MPI_Comm_size(node, &place.ranks));
  MPI_CHECK(MPI_Comm_free(&node));
  place.cores = std::max(1, CPU_COUNT(&cores) / place.ranks);
  return place;
}

}  // namespace

// Begins rings and holds what they share.
class MpiCommunicator::Rings {
 public:
  Rings(MpiProgress& progress, std::int64_t piece_bytes) : progress_(progress), piece_bytes_(piece_bytes) {}

  std::shared_ptr<PendingCollective> begin(const at::Tensor& tensor, Ring::Phases phases, std::string name) {
    // Rings in flight at the same time use different tags.
    constexpr int kNumbers = kLateTag / Ring::kMaxLanes;
    const int first_tag = begun_++ % kNumbers * Ring::kMaxLanes;
    return progress_.begin(std::move(name), [&] {
      return std::make_unique<Ring>(tensor, phases, MPI_COMM_WORLD, first_tag, buffers_, piece_bytes_);
    });
  }

 private:
  MpiProgress& progress_;
  std::int64_t piece_bytes_;
  RingBuffers buffers_;
  int begun_ = 0;
};

MpiCommunicator::MpiCommunicator() {
  initialise_mpi();
  MPI_CHECK(MPI_Comm_rank(MPI_COMM_WORLD, &rank_));
  MPI_CHECK(MPI_Comm_size(MPI_COMM_WORLD, &world_size_));
  const NodeInfo place = query_node();
  local_rank_ = place.local_rank;
  cores_per_rank_ = place.cores;
  progress_ = std::make_unique<MpiProgress>([this](const std::string& what) { abort_on_timeout(what); });
  rings_ = std::make_unique<Rings>(*progress_, place.ranks == world_size_ ? kPieceBytesOnNode : kPieceBytes);
}

MpiCommunicator::~MpiCommunicator() { progress_.reset(); }  // collectives in flight use the rings' buffers

void MpiCommunicator::all_reduce_sum(at::Tensor tensor) {
  check_host_tensor(tensor, "all_reduce_sum");
  const at::Tensor flat = tensor.view(-1);
  for (std::int64_t begin = 0; begin < flat.numel(); begin += kMessageElements) {
    const std::int64_t count = std::min(kMessageElements, flat.numel() - begin);
    begin_all_reduce_sum(flat.narrow(0, begin, count), "a sum over ranks")->wait();
  }
}

std::shared_ptr<PendingCollective> MpiCommunicator::begin_all_reduce_sum(at::Tensor tensor, std::string name) {
  check_host_tensor(tensor, "all_reduce_sum");
  const bool is_of_mpi = tensor.scalar_type() != at::kBFloat16 && tensor.scalar_type() != at::kHalf;
  if (tensor.nbytes() >= kRingBytes || !is_of_mpi) return rings_->begin(tensor, Ring::Phases::kBoth, std::move(name));
  const MPI_Datatype type = mpi_type(tensor);
  return progress_->begin(std::move(name), [&] {
    return std::make_unique<MpiRequest>(
        [&](MPI_Request* request) {
          return MPI_Iallreduce(MPI_IN_PLACE, tensor.data_ptr(), static_cast<int>(tensor.numel()), type, MPI_SUM,
                                MPI_COMM_WORLD, request);
        },
        tensor);
  });
}

std::shared_ptr<PendingCollective> MpiCommunicator::begin_reduce_scatter_sum(at::Tensor tensor, std::string name) {
  check_host_tensor(tensor, "reduce_scatter_sum");
  return rings_->begin(tensor, Ring::Phases::kReduceScatter, std::move(name));
}

std::shared_ptr<PendingCollective> MpiCommunicator::begin_all_gather(at::Tensor tensor, std::string name) {
  check_host_tensor(tensor, "all_gather");
  return rings_->begin(tensor, Ring::Phases::kAllGather, std::move(name));
}

void MpiCommunicator::broadcast_from_root(at::Tensor tensor) {
  check_host_tensor(tensor, "broadcast_from_root");
  auto* bytes = static_cast<char*>(tensor.data_ptr());
  for (std::size_t begin = 0; begin < tensor.nbytes(); begin += kMessageBytes) {
    const std::size_t count = std::min(kMessageBytes, tensor.nbytes() - begin);
    const auto pending = progress_->begin("a broadcast of rank 0", [&] {
      return std::make_unique<MpiRequest>(
          [&](MPI_Request* request) {
            return MPI_Ibcast(bytes + begin, static_cast<int>(count), MPI_BYTE, 0, MPI_COMM_WORLD, request);
          },
          tensor);
    });
    pending->wait();
  }
}

void MpiCommunicator::barrier() {
  const auto pending = progress_->begin("a barrier", [] {
    return std::make_unique<MpiRequest>([](MPI_Request* request) { return MPI_Ibarrier(MPI_COMM_WORLD, request); },
                                        at::Tensor());
  });
  pending->wait();
}

void MpiCommunicator::set_timeout(std::chrono::seconds timeout) { progress_->set_timeout(timeout); }

void MpiCommunicator::set_activity(std::string activity) { progress_->set_activity(std::move(activity)); }

std::string MpiCommunicator::activity() const { return progress_->activity(); }

// Only one rank reports for all that wait: they take turns, and the first one tells the others.
void MpiCommunicator::abort_on_timeout(const std::string& what) {
  constexpr std::chrono::milliseconds kTurn{100}, kLastTurn{2000}, kUntilAborted{2000};
  std::this_thread::sleep_for(std::min(kTurn * rank_, kLastTurn));
  // A probe may only fetch what the next one finds.
  constexpr int kLooks = 10;
  int told = 0;
  for (int look = 0; look < kLooks && told == 0; ++look) {
    MPI_Iprobe(MPI_ANY_SOURCE, kLateTag, MPI_COMM_WORLD, &told, MPI_STATUS_IGNORE);
  }
  if (told != 0) {
    std::this_thread::sleep_for(kUntilAborted);
    abort(EXIT_FAILURE);
  }
  for (int other = 0; other < world_size_; ++other) {
    if (other == rank_) continue;
    MPI_Request unused = MPI_REQUEST_NULL;
    if (MPI_Isend(nullptr, 0, MPI_BYTE, other, kLateTag, MPI_COMM_WORLD, &unused) == MPI_SUCCESS) {
      MPI_Request_free(&unused);
    }
  }
  core::report_error(fmt::format(
      "{}: {} s: another rank has died, is stopped, or cannot be reached; see its own last messages, or raise "
      "collective_timeout_s if it was only slow",
      describe_rank(*this), what));
  abort(EXIT_FAILURE);
}

void MpiCommunicator::abort(int exit_code) {
  // MPI_Abort itself may wait for a launcher that cannot be reached, and the launcher for other hosts.
  constexpr unsigned kSeconds = 3;
  end_launcher_daemon_after(kSeconds);
  std::signal(SIGALRM, SIG_DFL);
  ::alarm(kSeconds);
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

}  // namespace lockstep::comm
