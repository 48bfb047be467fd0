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

/// A collective under way, which goes on while the process computes. Its tensor belongs to it until wait() returns.
class PendingCollective {
 public:
  virtual ~PendingCollective() = default;
  /// Returns once it is done. Throws Error if it failed.
  virtual void wait() = 0;
};

/// A stretch of a flat tensor, in elements.
struct Part {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end - begin; }
};

/// What belongs to `rank` of a flat tensor of `elements` that ranks share evenly; it starts on a multiple of 16.
Part part_of(std::int64_t elements, int rank, int world_size);

/// The ranks of one training job. All ranks call the same functions in the same order. Tensors lie on the host, or on
/// the rank's GPU where make_communicator_for() joined them: see NcclCommunicator for what differs there.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int world_size() const = 0;
  /// Among the ranks of its node.
  virtual int local_rank() const = 0;
  /// Cores that this rank may use by itself: those of its node that the job's ranks may use, divided among them.
  virtual int cores_per_rank() const = 0;

  /// Replaces `tensor` on every rank by the sum over ranks; contiguous fp32, fp64 or int64, on the host. The same bits
  /// on every rank, and in every run with as many ranks.
  virtual void all_reduce_sum(at::Tensor tensor) = 0;
  /// The same, without waiting; bf16 and fp16 too. `name` says what it is in messages.
  virtual std::shared_ptr<PendingCollective> begin_all_reduce_sum(at::Tensor tensor, std::string name) = 0;
  /// Replaces this rank's part_of the flat `tensor` by the sum over ranks, the same bits as all_reduce_sum gives; the
  /// rest of it is then of no use.
  virtual std::shared_ptr<PendingCollective> begin_reduce_scatter_sum(at::Tensor tensor, std::string name) = 0;
  /// Replaces every part_of the flat `tensor` by that of the rank to which it belongs.
  virtual std::shared_ptr<PendingCollective> begin_all_gather(at::Tensor tensor, std::string name) = 0;
  /// Replaces `tensor` on every rank by the root's; contiguous, of the same size and type everywhere, on the host.
  virtual void broadcast_from_root(at::Tensor tensor) = 0;
  /// Returns when every rank has called it.
  virtual void barrier() = 0;
  /// A collective that is not done after `timeout` ends all ranks' processes, with a message that names this rank,
  /// what it was at, and the collective. 0: none does. [none]
  virtual void set_timeout(std::chrono::seconds timeout) = 0;
  /// What the job is at, for that message and others: "step 12".
  virtual void set_activity(std::string activity) = 0;
  /// What set_activity() said last. [""]
  virtual std::string activity() const = 0;
  /// Ends all ranks' processes at once.
  [[noreturn]] virtual void abort(int exit_code) = 0;

  bool is_root() const { return rank() == 0; }
};

/// MPI's ranks if an MPI launcher (mpirun, srun) started this process; else the process alone, without MPI. Throws
/// InputError if srun started several tasks without giving them MPI ranks.
std::shared_ptr<Communicator> make_communicator();

/// Another rank failed and has said why; this rank has nothing to add.
class PeerFailed : public Error {
 public:
  using Error::Error;
};

/// Runs `work` on every rank and meets. If it throws anywhere, the lowest rank that failed rethrows its error and all
/// others throw PeerFailed: one message a job, nobody waits. If it throws Stopped (core/stop_flag.h) on some and fails
/// on none, all throw Stopped, with what the lowest that did says. `work` must not communicate.
void run_on_all(Communicator& communicator, const std::function<void()>& work);

/// The root's `text` on every rank.
std::string text_of_root(Communicator& communicator, const std::string& text);

/// Every rank's `text`, on every rank; for a few kilobytes each.
std::vector<std::string> texts_of_ranks(Communicator& communicator, const std::string& text);

/// "rank 1 on node7" for messages.
std::string describe_rank(const Communicator& communicator);

}  // namespace lockstep::comm

namespace lockstep {
using comm::Communicator;
using comm::make_communicator;
}  // namespace lockstep
