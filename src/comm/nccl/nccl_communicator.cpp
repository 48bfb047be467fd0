#include "comm/nccl/nccl_communicator.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <thread>
#include <utility>

#include "comm/nccl/cuda_handles.h"
#include "comm/nccl/nccl_check.h"
#include "comm/nccl/nccl_comm.h"
#include "comm/nccl/nccl_watchdog.h"
#include "lockstep/comm/nccl/nccl_version.h"
#include "lockstep/core/log.h"

namespace lockstep::comm {
namespace {

ncclDataType_t nccl_type(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return ncclFloat32;
    case at::kDouble:
      return ncclFloat64;
    case at::kLong:
      return ncclInt64;
    case at::kBFloat16:
      return ncclBfloat16;
    case at::kHalf:
      return ncclFloat16;
    default:
      throw Error(fmt::format("a collective on a GPU: expected fp32, fp64, int64, bf16 or fp16, found {}",
                              toString(tensor.scalar_type())));
  }
}

void check_device_tensor(const at::Tensor& tensor, int device) {
  if (tensor.is_contiguous() && tensor.get_device() == device) return;
  throw Error(fmt::format("a collective on a GPU: expected a contiguous tensor on cuda:{}, found {} on {}", device,
                          tensor.is_contiguous() ? "one" : "one with gaps", tensor.device().str()));
}

std::size_t elements_of(const at::Tensor& tensor) { return static_cast<std::size_t>(tensor.numel()); }

bool has_even_ranges(const at::Tensor& tensor, int world_size) {
  const std::int64_t first = range_of(tensor.numel(), 0, world_size).size();
  return first * world_size == tensor.numel();
}

// Rank 0 creates the id, and the host communicator broadcasts it.
ncclUniqueId shared_id(Communicator& host) {
  ncclUniqueId id{};
  if (host.is_root()) NCCL_CHECK(ncclGetUniqueId(&id));
  host.broadcast_from_root(at::from_blob(id.internal, {NCCL_UNIQUE_ID_BYTES}, at::TensorOptions(at::kByte)));
  return id;
}

class PendingOnStream final : public PendingCollective {
 public:
  PendingOnStream(std::shared_ptr<NcclWatchdog::Operation> operation, NcclCommunicator::ComputeStream compute_stream)
      : operation_(std::move(operation)), compute_stream_(std::move(compute_stream)) {}
  void wait() override {
    if (operation_) operation_->done.make_wait(compute_stream_());
    operation_ = nullptr;
  }

 private:
  std::shared_ptr<NcclWatchdog::Operation> operation_;
  NcclCommunicator::ComputeStream compute_stream_;
};

}  // namespace

struct NcclCommunicator::Nccl {
  Nccl(Communicator& host, int device, std::chrono::seconds timeout, std::function<void(const std::string&)> on_failure)
      : comm(host.rank(), host.world_size(), shared_id(host)), watchdog(comm, device, timeout, std::move(on_failure)) {}

  NcclComm comm;
  CudaStream stream;
  CudaEvent ready;  // work enqueued on the compute stream before a collective
  NcclWatchdog watchdog;
};

NcclCommunicator::NcclCommunicator(std::shared_ptr<Communicator> host, int device, ComputeStream compute_stream,
                                   std::chrono::seconds timeout)
    : host_(std::move(host)), device_(device), compute_stream_(std::move(compute_stream)) {
  nccl_library_version();
  CUDA_CHECK(cudaSetDevice(device));
  nccl_ = std::make_unique<Nccl>(*host_, device, timeout, [this](const std::string& what) { end_job(what); });
  const auto joining = nccl_->watchdog.begin("the start of NCCL", at::Tensor());
  nccl_->comm.settle();
  nccl_->watchdog.forget(joining);
  host_->barrier();  // no rank begins a collective while another is still joining
}

NcclCommunicator::~NcclCommunicator() = default;

void NcclCommunicator::all_reduce_sum(at::Tensor tensor) {
  if (!tensor.is_cuda()) return host_->all_reduce_sum(std::move(tensor));
  begin_all_reduce_sum(std::move(tensor), "a sum over ranks")->wait();
}

std::shared_ptr<PendingCollective> NcclCommunicator::begin_all_reduce_sum(at::Tensor tensor, std::string name) {
  if (!tensor.is_cuda()) return host_->begin_all_reduce_sum(std::move(tensor), std::move(name));
  return begin(tensor, std::move(name), [&] {
    NCCL_CHECK(ncclAllReduce(tensor.data_ptr(), tensor.data_ptr(), elements_of(tensor), nccl_type(tensor), ncclSum,
                             nccl_->comm.get(), nccl_->stream.get()));
  });
}

std::shared_ptr<PendingCollective> NcclCommunicator::begin_reduce_scatter_sum(at::Tensor tensor, std::string name) {
  if (!tensor.is_cuda()) return host_->begin_reduce_scatter_sum(std::move(tensor), std::move(name));
  const ncclComm_t comm = nccl_->comm.get();
  const cudaStream_t stream = nccl_->stream.get();
  return begin(tensor, std::move(name), [&] {
    const ncclDataType_t type = nccl_type(tensor);
    const bool is_even = has_even_ranges(tensor, world_size());
    for_each_range(tensor, [&](std::byte* part, std::size_t elements, int owner) {
      if (!is_even) {
        NCCL_CHECK(ncclReduce(part, part, elements, type, ncclSum, owner, comm, stream));
      } else if (owner == rank()) {
        NCCL_CHECK(ncclReduceScatter(tensor.data_ptr(), part, elements, type, ncclSum, comm, stream));
      }
    });
  });
}

std::shared_ptr<PendingCollective> NcclCommunicator::begin_all_gather(at::Tensor tensor, std::string name) {
  if (!tensor.is_cuda()) return host_->begin_all_gather(std::move(tensor), std::move(name));
  const ncclComm_t comm = nccl_->comm.get();
  const cudaStream_t stream = nccl_->stream.get();
  return begin(tensor, std::move(name), [&] {
    const ncclDataType_t type = nccl_type(tensor);
    const bool is_even = has_even_ranges(tensor, world_size());
    for_each_range(tensor, [&](std::byte* part, std::size_t elements, int owner) {
      if (!is_even) {
        NCCL_CHECK(ncclBroadcast(part, part, elements, type, owner, comm, stream));
      } else if (owner == rank()) {
        NCCL_CHECK(ncclAllGather(part, tensor.data_ptr(), elements, type, comm, stream));
      }
    });
  });
}

void NcclCommunicator::broadcast_from_root(at::Tensor tensor) {
  if (!tensor.is_cuda()) return host_->broadcast_from_root(std::move(tensor));
  begin(tensor, "a broadcast of rank 0", [&] {
    NCCL_CHECK(ncclBroadcast(tensor.data_ptr(), tensor.data_ptr(), tensor.nbytes(), ncclUint8, 0, nccl_->comm.get(),
                             nccl_->stream.get()));
  })->wait();
}

void NcclCommunicator::set_timeout(std::chrono::seconds timeout) {
  host_->set_timeout(timeout);
  nccl_->watchdog.set_timeout(timeout);
}

void NcclCommunicator::set_activity(std::string activity) {
  nccl_->watchdog.set_activity(activity);
  host_->set_activity(std::move(activity));
}

// Uses the host communicator, because ncclCommAbort may hang if another rank has died.
void NcclCommunicator::abort(int exit_code) {
  host_->abort(exit_code);
  std::abort();
}

// The event that marks the end of a collective is recorded only after the collective itself is on the stream.
std::shared_ptr<PendingCollective> NcclCommunicator::begin(const at::Tensor& tensor, std::string name,
                                                           const std::function<void()>& calls) {
  check_device_tensor(tensor, device_);
  const auto operation = nccl_->watchdog.begin(std::move(name), tensor);
  try {
    nccl_->ready.record(compute_stream_());
    nccl_->ready.make_wait(nccl_->stream.get());
    nccl_->comm.group(calls);
    nccl_->watchdog.record(*operation, nccl_->stream.get());
  } catch (const Error& error) {
    nccl_->watchdog.forget(operation);
    throw Error(fmt::format("{}: {}", nccl_->watchdog.describe(operation->name), error.what()));
  }
  return std::make_shared<PendingOnStream>(operation, compute_stream_);
}

void NcclCommunicator::for_each_range(const at::Tensor& tensor,
                                      const std::function<void(std::byte*, std::size_t, int)>& call) const {
  for (int owner = 0; owner < world_size(); ++owner) {
    const Range part = range_of(tensor.numel(), owner, world_size());
    if (part.size() == 0) continue;
    auto* first = static_cast<std::byte*>(tensor.data_ptr()) + static_cast<std::size_t>(part.begin) * tensor.itemsize();
    call(first, static_cast<std::size_t>(part.size()), owner);
  }
}

// Ranks that wait for the same one take turns, and the first to report ends the others.
void NcclCommunicator::end_job(const std::string& what) {
  constexpr std::chrono::milliseconds kTurn{100}, kLastTurn{2000};
  std::this_thread::sleep_for(std::min(kTurn * rank(), kLastTurn));
  core::report_error(fmt::format("{}: {}", describe_rank(*this), what));
  abort(EXIT_FAILURE);
}

}  // namespace lockstep::comm
