#pragma once

#include <ATen/core/Tensor.h>
#include <mpi.h>
#include <functional>

#include "comm/mpi/mpi_check.h"

namespace lockstep::comm {

/// A collective that moves on whenever it is asked to.
class MpiOperation {
 public:
  virtual ~MpiOperation() = default;
  enum class State { stuck, moved, done };
  /// Does what can be done without waiting; whether that was something, or all there was. Throws Error if MPI fails.
  virtual State advance() = 0;
};

/// One of MPI's own nonblocking collectives.
class MpiRequest final : public MpiOperation {
 public:
  /// `begin` starts it; `tensor` lives as long as it is under way.
  MpiRequest(const std::function<int(MPI_Request*)>& begin, at::Tensor tensor) : tensor_(std::move(tensor)) {
    MPI_CHECK(begin(&request_));
  }

  State advance() override {
    int done = 0;
    MPI_CHECK(MPI_Test(&request_, &done, MPI_STATUS_IGNORE));
    return done != 0 ? State::done : State::stuck;
  }

 private:
  at::Tensor tensor_;
  MPI_Request request_ = MPI_REQUEST_NULL;
};

}  // namespace lockstep::comm
