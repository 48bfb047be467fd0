#pragma once

#include <functional>
#include <memory>
#include <string>

#include "lockstep/comm/communicator.h"

struct CUstream_st;

namespace lockstep::comm {

/// Ranks with one GPU each. Tensors on the GPU go to NCCL; tensors on the host go to another communicator, which never
/// receives device memory.
///
/// NCCL has a stream of its own, of the highest priority. A collective waits, by an event, for the work enqueued
/// earlier on the compute stream; work enqueued there after PendingCollective::wait() waits for the collective. The
/// host waits for neither: all_reduce_sum and broadcast_from_root, too, return before the GPU is done.
///
/// Sums accept fp32, fp64, int64, bf16 and fp16. NCCL chooses the order of additions by the kind and size of a
/// collective: every rank gets the same bits, but the last bits of a reduce-scatter may differ from those of an
/// all-reduce.
class NcclCommunicator final : public Communicator {
 public:
  /// Returns the stream on which this thread's kernels run.
  using ComputeStream = std::function<CUstream_st*()>;

  /// Joins all ranks of `host`, each with the GPU of index `device`. A collective that is not done after `timeout`, or
  /// that NCCL or CUDA reports as failed, ends all ranks' processes with a message, as Communicator::set_timeout()
  /// says. Throws Error if NCCL's version differs from that of its header, or if NCCL fails.
  NcclCommunicator(std::shared_ptr<Communicator> host, int device, ComputeStream compute_stream,
                   std::chrono::seconds timeout);
  ~NcclCommunicator() override;

  int rank() const override { return host_->rank(); }
  int world_size() const override { return host_->world_size(); }
  int local_rank() const override { return host_->local_rank(); }
  int cores_per_rank() const override { return host_->cores_per_rank(); }
  void all_reduce_sum(at::Tensor tensor) override;
  std::shared_ptr<PendingCollective> begin_all_reduce_sum(at::Tensor tensor, std::string name) override;
  std::shared_ptr<PendingCollective> begin_reduce_scatter_sum(at::Tensor tensor, std::string name) override;
  std::shared_ptr<PendingCollective> begin_all_gather(at::Tensor tensor, std::string name) override;
  void broadcast_from_root(at::Tensor tensor) override;
  void barrier() override { host_->barrier(); }
  void set_timeout(std::chrono::seconds timeout) override;
  void set_activity(std::string activity) override;
  std::string activity() const override { return host_->activity(); }
  [[noreturn]] void abort(int exit_code) override;

 private:
  struct Nccl;

  std::shared_ptr<PendingCollective> begin(const at::Tensor& tensor, std::string name,
                                           const std::function<void()>& calls);
  /// Calls `call` for the range of every rank, unless it is empty, with its first byte, its number of elements and its
  /// owner.
  void for_each_range(const at::Tensor& tensor, const std::function<void(std::byte*, std::size_t, int)>& call) const;
  [[noreturn]] void end_job(const std::string& what);

  std::shared_ptr<Communicator> host_;
  int device_;
  ComputeStream compute_stream_;
  std::unique_ptr<Nccl> nccl_;
};

}  // namespace lockstep::comm
