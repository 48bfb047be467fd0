#pragma once

#include <memory>
#include <string>

#include "lockstep/comm/communicator.h"

namespace lockstep::comm {

class MpiProgress;

/// The ranks of MPI_COMM_WORLD. Initialises MPI on first use; MPI is finalised when the process exits.
class MpiCommunicator final : public Communicator {
 public:
  /// Throws Error if MPI cannot be initialised.
  MpiCommunicator();
  ~MpiCommunicator() override;

  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }
  int local_rank() const override { return local_rank_; }
  int cores_per_rank() const override { return cores_per_rank_; }
  void all_reduce_sum(at::Tensor tensor) override;
  std::shared_ptr<PendingCollective> begin_all_reduce_sum(at::Tensor tensor, std::string name) override;
  std::shared_ptr<PendingCollective> begin_reduce_scatter_sum(at::Tensor tensor, std::string name) override;
  std::shared_ptr<PendingCollective> begin_all_gather(at::Tensor tensor, std::string name) override;
  void broadcast_from_root(at::Tensor tensor) override;
  void barrier() override;
  void set_timeout(std::chrono::seconds timeout) override;
  void set_activity(std::string activity) override;
  std::string activity() const override;
  [[noreturn]] void abort(int exit_code) override;

 private:
  class Rings;

  [[noreturn]] void abort_on_timeout(const std::string& what);

  int rank_ = 0;
  int world_size_ = 1;
  int local_rank_ = 0;
  int cores_per_rank_ = 1;
  std::unique_ptr<MpiProgress> progress_;
  std::unique_ptr<Rings> rings_;
};

/// Returns the name and version of the MPI library, e.g. "Open MPI 4.1.4". Callable before MPI is initialised.
std::string mpi_library_version();

}  // namespace lockstep::comm
