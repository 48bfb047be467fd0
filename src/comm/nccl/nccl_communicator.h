#pragma once

#include <functional>
#include <memory>
#include <string>

#include "lockstep/comm/communicator.h"

struct CUstream_st;

namespace lockstep::comm {

/// Ranks with a GPU each: tensors on it go to NCCL, tensors on the host to another communicator, which never gets a
/// device's memory.
///
/// NCCL has a stream of its own, of the highest priority. A collective waits, by an event, for what the compute stream
/// was given before; what the compute stream is given after PendingCollective::wait() waits for the collective. The
/// host waits for neither: all_reduce_sum and broadcast_from_root, too, return before a GPU has done them.
///
/// Sums of fp32, fp64, int64, bf16 and fp16. NCCL chooses their order by the kind and size of a collective: every rank
/// gets the same bits, but a sum that stays scattered may differ from one that everyone receives in its last bits.
class NcclCommunicator final : public Communicator {
 public:
  /// The stream on which this thread's kernels run.
  using ComputeStream = std::function<CUstream_st*()>;

  /// All ranks of `host` together; each brings GPU number `device`. A collective that is not done after `timeout`, or
  /// that NCCL or CUDA has given up, ends all ranks' processes with a message, as Communicator::set_timeout() says.
  /// Throws Error if NCCL's version is not that of its header, or if NCCL refuses.
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
  /// The part of every rank, in bytes from the start of `tensor` and elements.
  void for_each_part(const at::Tensor& tensor, const std::function<void(std::byte*, std::size_t, int)>& call) const;
  [[noreturn]] void end_job(const std::string& what);

  std::shared_ptr<Communicator> host_;
  int device_;
  ComputeStream compute_stream_;
  std::unique_ptr<Nccl> nccl_;
};

}  // namespace lockstep::comm
