#pragma once

#include <ATen/core/Tensor.h>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep::comm {

/// A collective in flight, which progresses while the process computes. Its tensor must not be used until wait()
/// returns.
class PendingCollective {
 public:
  virtual ~PendingCollective() = default;
  /// Waits until the collective is done; on a GPU, only makes the compute stream wait for it. Throws Error if it
  /// failed.
  virtual void wait() = 0;
};

/// A range [begin, end) of the elements of a flat tensor.
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end - begin; }
};

/// Returns the range that `rank` owns of a flat tensor of `elements`, which the ranks share evenly. A range that is not
/// empty starts on a multiple of 16.
Range range_of(std::int64_t elements, int rank, int world_size);

/// The ranks of one training job. All ranks call the same functions in the same order. Tensors are on the host or, with
/// a communicator from make_communicator_for(), on the rank's GPU; NcclCommunicator documents what differs there.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int world_size() const = 0;
  /// Returns the index of this rank among the ranks of its node.
  virtual int local_rank() const = 0;
  /// Returns the number of cores for this rank: the cores that the ranks of its node may use, divided evenly among
  /// them.
  virtual int cores_per_rank() const = 0;

  /// Replaces `tensor` on every rank by the sum over ranks. It must be contiguous fp32, fp64 or int64 on the host. The
  /// result has the same bits on every rank, and in every run with the same number of ranks.
  virtual void all_reduce_sum(at::Tensor tensor) = 0;
  /// Begins an all_reduce_sum() and returns without waiting; also accepts bf16 and fp16. `name` describes it in
  /// messages.
  virtual std::shared_ptr<PendingCollective> begin_all_reduce_sum(at::Tensor tensor, std::string name) = 0;
  /// Begins to replace this rank's range (range_of()) of the flat `tensor` by the sum over ranks, with the same bits as
  /// all_reduce_sum(). The content of the other ranges is unspecified afterwards.
  virtual std::shared_ptr<PendingCollective> begin_reduce_scatter_sum(at::Tensor tensor, std::string name) = 0;
  /// Begins to replace every range (range_of()) of the flat `tensor` by the values of its owner.
  virtual std::shared_ptr<PendingCollective> begin_all_gather(at::Tensor tensor, std::string name) = 0;
  /// Replaces `tensor` on every rank by the root's. It must be contiguous, on the host, and of the same size and type
  /// on all ranks.
  virtual void broadcast_from_root(at::Tensor tensor) = 0;
  /// Returns once every rank has called it.
  virtual void barrier() = 0;
  /// Sets the time after which an unfinished collective ends the processes of all ranks, with a message that names this
  /// rank, its activity and the collective. 0, the default, means no limit.
  virtual void set_timeout(std::chrono::seconds timeout) = 0;
  /// Sets what the job is doing, e.g. "step 12", for messages.
  virtual void set_activity(std::string activity) = 0;
  /// Returns the text last given to set_activity(), or an empty string.
  virtual std::string activity() const = 0;
  /// Ends the processes of all ranks immediately.
  [[noreturn]] virtual void abort(int exit_code) = 0;

  bool is_root() const { return rank() == 0; }
};

/// Returns MPI's ranks if an MPI launcher (mpirun, srun) started this process, otherwise a communicator of this process
/// only, without MPI. Throws InputError if srun started several tasks without giving them MPI ranks, or as
/// check_world_size() does (comm/agreement.h).
std::shared_ptr<Communicator> make_communicator();

/// Thrown if another rank has failed and reports the error; this rank has nothing to add.
class PeerFailed : public Error {
 public:
  using Error::Error;
};

/// Runs `work` on every rank and synchronizes. If it throws anywhere, the lowest rank that failed rethrows its error
/// and all others throw PeerFailed, so that a job prints one message and no rank waits forever. If it fails nowhere but
/// throws Stopped (core/stop_flag.h) on some ranks, all ranks throw Stopped with the message of the lowest of these.
/// `work` must not communicate.
void run_on_all(Communicator& communicator, const std::function<void()>& work);

/// Returns the root's `text`, on every rank.
std::string broadcast_text(Communicator& communicator, const std::string& text);

/// Returns the `text` of every rank, on every rank. Meant for a few kilobytes each.
std::vector<std::string> all_gather_texts(Communicator& communicator, const std::string& text);

/// Returns the rank and its host for messages: "rank 1 on node7".
std::string describe_rank(const Communicator& communicator);

}  // namespace lockstep::comm

namespace lockstep {
using comm::Communicator;
using comm::make_communicator;
}  // namespace lockstep
